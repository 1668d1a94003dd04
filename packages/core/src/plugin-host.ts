/**
 * Plugin host: registration, fan-out, and the isolation of faults.
 *
 * Hooks are called in registration order and not awaited; what they return is counted and has a deadline.
 * A hook that throws, rejects or hangs is its plugin's fault and nobody else's: the other plugins, the
 * peer and the network go on. Ten faults in a row suspend the plugin. What a hook causes while it is being
 * called (a peer closed, a message delivered) is shown after it, so that all plugins see one order.
 */

import { Deadlines } from "./deadlines.ts";
import type { Delivery } from "./delivery.ts";
import { asError, type NetworkError, networkError, ProtocolError, StreamError } from "./errors.ts";
import type { Finder } from "./finder.ts";
import type { PeerId } from "./identity.ts";
import type { Limits } from "./limits.ts";
import type { Logger } from "./logger.ts";
import { InboundMessage, type Message } from "./message.ts";
import type { Network } from "./network.ts";
import type { LivePeer, Peer } from "./peer.ts";
import {
  type AnyPlugin,
  type HookName,
  type Hooks,
  hooksOf,
  type MessageContext,
  type NetworkContext,
  type PeerContext,
  type PluginState,
  type PluginStatus,
} from "./plugin.ts";
import { networkContext, peerContext, ReceivedContext } from "./plugin-context.ts";
import { type Deferred, deferred, Fifo } from "./queue.ts";
import type { Runtime } from "./runtime.ts";

interface Registered {
  readonly plugin: AnyPlugin;
  readonly hooks: Hooks;
  status: PluginStatus;
  faults: number;
  faultsInARow: number;
  inFlight: number;
  lastFault: string | null;
  started: Promise<void>;
  closed: Promise<void> | undefined;
}

/** A hook that returned a promise which has not settled. */
interface Running {
  readonly entry: Registered;
  readonly hook: HookName;
  readonly peer: LivePeer;
  over: boolean;
}

export interface PluginHostOptions {
  readonly network: Network;
  readonly networkId: Uint8Array;
  readonly limits: Readonly<Limits>;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: () => Iterable<LivePeer>;
  readonly replyTo: (
    origin: PeerId,
    via: Peer,
    message: Message,
    to: InboundMessage,
  ) => Promise<void>;
}

export class PluginHost {
  readonly #options: PluginHostOptions;
  #plugins: readonly Registered[] = [];
  readonly #deadlines: Deadlines<Running>;
  readonly #starting = new Set<Promise<unknown>>();
  readonly #givenUp: Deferred<never> = deferred();
  readonly #context: NetworkContext;
  #calling = false;
  /** Whose hook is being called: what it delivers is for the others. */
  #current: Registered | undefined;
  /** What came up while hooks were being called. */
  readonly #next = new Fifo<() => void>();

  constructor(options: PluginHostOptions) {
    this.#options = options;
    this.#context = networkContext(options.network, this);
    this.#deadlines = new Deadlines(options.runtime, options.limits.hookTimeoutMs, (running) =>
      this.#late(running, options.limits.hookTimeoutMs),
    );
  }

  get states(): PluginState[] {
    return this.#plugins.map(({ hooks, status, faults, inFlight, lastFault }) => ({
      name: hooks.name,
      status,
      faults,
      inFlight,
      lastFault,
    }));
  }

  /** Resolves when every plugin registered so far has started or failed to. Never rejects. */
  async started(): Promise<void> {
    while (this.#starting.size > 0) await Promise.allSettled([...this.#starting]);
  }

  /**
   * Throws `TypeError` for something that is no plugin, `PLUGIN_DUPLICATE` for one already here. Rejects
   * `PLUGIN_FAILED` when its startup throws, rejects or takes too long; then it is not registered.
   */
  register(plugin: AnyPlugin): Promise<void> {
    const hooks = hooksOf(plugin);
    if (this.#plugins.some((entry) => entry.plugin === plugin)) {
      throw networkError("PLUGIN_DUPLICATE", `plugin ${hooks.name} is already registered`);
    }
    const entry: Registered = {
      plugin,
      hooks,
      status: "starting",
      faults: 0,
      faultsInARow: 0,
      inFlight: 0,
      lastFault: null,
      started: Promise.resolve(),
      closed: undefined,
    };
    this.#plugins = [...this.#plugins, entry];
    const starting = this.#start(entry);
    entry.started = starting;
    this.#starting.add(starting);
    const done = (): void => {
      this.#starting.delete(starting);
    };
    starting.then(done, done);
    return starting;
  }

  /** Closes one plugin, after its startup if that is still under way. */
  async unregister(plugin: AnyPlugin): Promise<void> {
    const entry = this.#plugins.find((candidate) => candidate.plugin === plugin);
    if (entry === undefined) throw new TypeError("plugin is not registered with this network");
    if (entry.status === "starting") await Promise.allSettled([entry.started]);
    await this.#close(entry);
    this.#plugins = this.#plugins.filter((candidate) => candidate !== entry);
  }

  /** All close hooks, last registered first, each with its deadline. A startup still under way has as long. */
  async close(): Promise<void> {
    const { runtime, limits } = this.#options;
    const timer = runtime.setTimer(
      () => this.#givenUp.reject(new Error("the network closed before it was done")),
      limits.closeHookTimeoutMs,
    );
    await this.started();
    timer.cancel();
    await Promise.all([...this.#plugins].reverse().map((entry) => this.#close(entry)));
    this.#deadlines.clear();
  }

  nodeAdded(peer: LivePeer): void {
    this.#inTurn(() => {
      const context = peerContext(this.#options.network, this, peer);
      for (const entry of this.#plugins) this.#call(entry, "nodeAdded", context, peer);
    });
  }

  nodeDeleted(peer: LivePeer, reason: NetworkError): void {
    this.#inTurn(() => {
      const context = peerContext(this.#options.network, this, peer, reason);
      for (const entry of this.#plugins) this.#call(entry, "nodeDeleted", context, peer);
    });
  }

  newMessage(peer: LivePeer, message: InboundMessage): void {
    this.#offerAll(new ReceivedContext(this.#options.network, this, peer, message), peer);
  }

  /** The first plugin that takes `message` on; a plugin that throws is passed over. */
  disseminate(message: Message): Delivery | undefined {
    for (const entry of this.#plugins) {
      if (entry.status !== "active" || entry.hooks.disseminate === undefined) continue;
      try {
        const delivery = entry.hooks.disseminate(message);
        if (delivery === undefined) continue;
        if (typeof delivery?.report === "function") return delivery;
        throw new TypeError("disseminate must return a Delivery or undefined");
      } catch (error) {
        this.#fault(entry, "disseminate", error);
      }
    }
    return undefined;
  }

  /** Who may know where a node is, in order of registration. */
  get finders(): Finder[] {
    return this.#plugins.flatMap((entry) => {
      const { name, findPeer } = entry.hooks;
      const failed = (error: unknown): void => this.#fault(entry, "findPeer", error);
      const found = (): void => {
        entry.faultsInARow = 0;
      };
      const finder = { name, ready: entry.status === "active", found, failed };
      return findPeer === undefined ? [] : [{ ...finder, find: findPeer }];
    });
  }

  /** What one plugin received for the others: all see it but those that disseminate, and the one whose hook delivers it. */
  deliver(message: Message, origin: PeerId, via: Peer): void {
    const inbound =
      message instanceof InboundMessage && message.sender.equals(origin)
        ? message
        : new InboundMessage(
            { opcode: message.opcode, nonce: 0, flags: 0, checksum: 0, payload: message.body },
            origin,
            { networkId: this.#options.networkId, malformed: () => {} },
          );
    const peer = via as LivePeer;
    const context = new ReceivedContext(this.#options.network, this, peer, inbound, (reply) =>
      this.#options.replyTo(origin, via, reply, inbound),
    );
    const from = this.#current;
    this.#inTurn(() => this.#offerAll(context, peer, { but: from }));
  }

  /** Now, or when the hooks being called now have returned. */
  #inTurn(turn: () => void): void {
    if (this.#calling) {
      this.#next.push(turn);
      return;
    }
    this.#calling = true;
    try {
      for (let now: (() => void) | undefined = turn; now !== undefined; now = this.#next.shift()) {
        now();
      }
    } finally {
      this.#calling = false;
    }
  }

  #offerAll(
    context: MessageContext,
    peer: LivePeer,
    delivered?: { but: Registered | undefined },
  ): void {
    const nested = this.#calling;
    this.#calling = true;
    try {
      for (const entry of this.#plugins) {
        const spared = entry.hooks.disseminate !== undefined || entry === delivered?.but;
        if (delivered === undefined || !spared) this.#call(entry, "newMessage", context, peer);
      }
    } finally {
      this.#calling = nested;
    }
    const next = nested ? undefined : this.#next.shift();
    if (next !== undefined) this.#inTurn(next);
  }

  #call<Name extends "newMessage" | "nodeAdded" | "nodeDeleted">(
    entry: Registered,
    name: Name,
    context: Name extends "newMessage" ? MessageContext : PeerContext,
    peer: LivePeer,
  ): void {
    const hook = entry.hooks[name] as ((given: typeof context) => unknown) | undefined;
    if (hook === undefined || entry.status !== "active") return;
    this.#current = entry;
    try {
      const result = hook(context);
      if (result !== undefined && isThenable(result)) this.#track(entry, name, result, peer);
      else entry.faultsInARow = 0;
    } catch (error) {
      this.#fault(entry, name, error, peer);
    } finally {
      this.#current = undefined;
    }
  }

  #track(entry: Registered, hook: HookName, result: PromiseLike<unknown>, peer: LivePeer): void {
    // Through a promise of our own: a plugin's thenable may throw, or call back twice.
    const settled = Promise.resolve(result);
    const running: Running = { entry, hook, peer, over: false };
    this.#deadlines.add(running);
    entry.inFlight++;
    if (++peer.inFlight >= this.#options.limits.maxInFlight) peer.pause();
    // Not `settled.then`, which a promise's maker may have replaced.
    Promise.prototype.then.call(
      settled,
      () => {
        if (!this.#over(running)) return;
        entry.faultsInARow = 0;
      },
      (error: unknown) => {
        if (this.#over(running)) this.#fault(entry, hook, error, peer);
      },
    );
  }

  /** False when its deadline came first. */
  #over(running: Running): boolean {
    if (running.over) return false;
    running.over = true;
    this.#deadlines.delete(running);
    running.entry.inFlight--;
    const { peer } = running;
    if (--peer.inFlight < this.#options.limits.maxInFlight) peer.resume();
    return true;
  }

  #late(running: Running, timeoutMs: number): void {
    if (this.#over(running))
      this.#fault(running.entry, running.hook, new Error(`not done after ${timeoutMs} ms`));
  }

  #fault(entry: Registered, hook: string, thrown: unknown, peer?: LivePeer): void {
    const { logger, limits } = this.#options;
    const error = asError(thrown);
    if (isPeersDoing(error, peer)) {
      logger.debug({ plugin: entry.hooks.name, hook, error }, "a peer failed a hook");
      return;
    }
    entry.faults++;
    entry.faultsInARow++;
    entry.lastFault = `${hook}: ${error.message}`;
    logger.warn({ plugin: entry.hooks.name, hook, error }, "a plugin's hook failed");
    if (entry.faultsInARow >= limits.maxPluginFaults && entry.status === "active") {
      entry.status = "suspended";
      logger.error({ plugin: entry.hooks.name, faults: entry.faultsInARow }, "plugin suspended");
    }
  }

  async #start(entry: Registered): Promise<void> {
    const { startup, name } = entry.hooks;
    try {
      if (startup !== undefined) {
        const { hookTimeoutMs } = this.#options.limits;
        await this.#within(hookTimeoutMs, () => startup(this.#context), this.#givenUp.promise);
      }
    } catch (error) {
      entry.status = "closed";
      this.#plugins = this.#plugins.filter((candidate) => candidate !== entry);
      throw networkError(
        "PLUGIN_FAILED",
        `plugin ${name} did not start: ${asError(error).message}`,
        { cause: error },
      );
    }
    const present = [...this.#options.peers()];
    this.#inTurn(() => {
      entry.status = "active";
      for (const peer of present)
        this.#call(entry, "nodeAdded", peerContext(this.#options.network, this, peer), peer);
    });
  }

  #close(entry: Registered): Promise<void> {
    entry.closed ??= this.#callClose(entry);
    return entry.closed;
  }

  async #callClose(entry: Registered): Promise<void> {
    const { close } = entry.hooks;
    if (entry.status === "closed") return;
    entry.status = "closed";
    if (close === undefined) return;
    try {
      await this.#within(this.#options.limits.closeHookTimeoutMs, () => close(this.#context));
    } catch (error) {
      this.#fault(entry, "close", error);
    }
  }

  async #within(timeoutMs: number, hook: () => unknown, until?: Promise<never>): Promise<void> {
    const late = deferred<never>();
    const timer = this.#options.runtime.setTimer(
      () => late.reject(new Error(`not done after ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      await Promise.race([hook(), late.promise, until ?? late.promise]);
    } finally {
      timer.cancel();
    }
  }
}

/** What a peer can bring about at will must not get a plugin suspended: its broken bodies, its leaving, its silence. */
function isPeersDoing(error: Error, peer: LivePeer | undefined): boolean {
  return (
    error instanceof ProtocolError || error instanceof StreamError || error === peer?.lastError
  );
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { readonly then?: unknown } | null | undefined)?.then === "function";
}
