/**
 * `testudo pipe`: netcat over a stack's byte connection, below the message layer.
 *
 * stdout carries the bytes and nothing else; everything it says goes to stderr. A connection that ends
 * without the goodbye its transform has is a failure: what was read may be half of what was sent.
 */

import { setMaxListeners } from "node:events";
import {
  type Connection,
  type Deferred,
  defaultLimits,
  deferred,
  type Link,
  type Listener,
  type Route,
  SealedConnection,
  Stack,
  type StackOptions,
  systemRuntime,
  toBase64,
  toUtf8,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import type { Command, CommandContext } from "../command.ts";
import { copyBothWays, echo } from "../copy.ts";
import { failureOf, UsageError } from "../failure.ts";
import { NODE_OPTIONS, type NodeSettings, readSettings } from "../node.ts";
import { aboutRoutes, loadStacks, usableRoutes } from "../protocols.ts";

export const pipe: Command = {
  about:
    "stdin to the stream, the stream to stdout. Each direction ends by itself; what is said goes to\nstderr. An address without a transform (net:127.0.0.1:9000) is the bare transport.",
  usage: ["pipe <address>", "pipe --listen <address> [--echo]"],
  options: {
    listen: { help: "wait for one connection instead of dialling" },
    echo: { help: "with --listen: send back what comes, to any number of connections" },
    ...NODE_OPTIONS,
  },
  positionals: [1, 1],
  events: "stderr",
  run,
};

/** Connections that `--echo` serves at once; a further one is refused. */
const MAX_CONNECTIONS = 1_024;

/** A connection whose handshakes are done. */
interface Opened {
  readonly link: Link;
  readonly bytes: Connection;
  readonly halfClose: boolean;
}

/** A route and the stack that speaks it. */
interface Way {
  readonly route: Route;
  readonly stack: Stack;
}

async function run(context: CommandContext): Promise<undefined> {
  const { args } = context;
  const listening = args.flag("listen");
  if (args.flag("echo") && !listening) throw new UsageError("--echo needs --listen");
  const side = listening ? "listener" : "dialer";
  const routes = usableRoutes(args.positionals[0] ?? "", { side, bare: true });
  const settings = await readSettings(context);
  const stacks = (await loadStacks(routes, settings.protocol)).map((parts) => new Stack(parts));
  const ways = routes.flatMap((route) => {
    const stack = stacks.find((candidate) => candidate.speaks(route));
    return stack === undefined ? [] : [{ route, stack }];
  });
  if (!listening) await dial(context, settings, ways);
  else if (args.flag("echo")) await serve(context, settings, ways);
  else await listenOnce(context, settings, ways);
}

function stackOptions(settings: NodeSettings): StackOptions {
  return {
    identity: settings.identity,
    networkId: provider.hash("SHA256", toUtf8(settings.networkId)),
    runtime: systemRuntime,
    dialTimeoutMs: defaultLimits.dialTimeoutMs,
    handshakeTimeoutMs: defaultLimits.handshakeTimeoutMs,
  };
}

async function dial(
  { io, out, leave }: CommandContext,
  settings: NodeSettings,
  ways: readonly Way[],
): Promise<void> {
  let failure: unknown;
  for (const { route, stack } of ways) {
    let link: Link;
    try {
      link = await stack.dial(route, { ...stackOptions(settings), signal: leave });
    } catch (error) {
      if (leave.aborted) throw leave.reason;
      failure = aboutRoutes(error, [route]);
      continue;
    }
    const opened = openedOf(link, stack);
    void out.event("connected", described(opened));
    await copyBothWays(opened.bytes, io, { halfClose: opened.halfClose, leave });
    return;
  }
  throw failure;
}

async function listenOnce(
  context: CommandContext,
  settings: NodeSettings,
  ways: readonly Way[],
): Promise<void> {
  const { io, out, leave } = context;
  const first: Deferred<Opened | undefined> = deferred();
  const enough = new AbortController();
  setMaxListeners(0, enough.signal);
  const none = (): void => first.resolve(undefined);
  leave.addEventListener("abort", none, { once: true });
  let taken = false;
  const doors = new Doors(context, settings, enough.signal, (opened) => {
    if (taken || leave.aborted) {
      opened.bytes.abort(new Error("another connection came first"));
      return;
    }
    taken = true;
    first.resolve(opened);
  });
  let opened: Opened | undefined;
  try {
    await doors.open(ways);
    if (leave.aborted) none();
    opened = await first.promise;
  } finally {
    enough.abort(new Error("no longer listening"));
    leave.removeEventListener("abort", none);
    await doors.close();
  }
  if (opened === undefined) return;
  void out.event("connected", described(opened), `connected: ${opened.link.address}`);
  await copyBothWays(opened.bytes, io, { halfClose: opened.halfClose, leave });
}

async function serve(
  context: CommandContext,
  settings: NodeSettings,
  ways: readonly Way[],
): Promise<void> {
  const { out, leave } = context;
  const serving = new Set<Promise<void>>();
  const doors = new Doors(context, settings, leave, (opened) => {
    if (serving.size >= MAX_CONNECTIONS) {
      opened.bytes.abort(new Error("too many connections"));
      return;
    }
    const who = described(opened);
    void out.event("connected", who, `connected: ${who.address}`);
    const served = echo(opened.bytes, leave).then(
      () => void out.event("disconnected", who, `disconnected: ${who.address}`),
      (error: unknown) => {
        const reason = failureOf(error);
        const text = `disconnected: ${who.address}: ${reason.message}`;
        void out.event("disconnected", { ...who, reason }, text);
      },
    );
    serving.add(served);
    void served.then(() => serving.delete(served));
  });
  try {
    await doors.open(ways);
    await new Promise<void>((resolve) => {
      if (leave.aborted) resolve();
      else leave.addEventListener("abort", () => resolve(), { once: true });
    });
  } finally {
    await doors.close();
    await Promise.all(serving);
  }
}

/** The listeners of one command, and the handshakes under way at them. */
class Doors {
  readonly #context: CommandContext;
  readonly #options: StackOptions;
  readonly #enough: AbortSignal;
  readonly #came: (opened: Opened) => void;
  readonly #listeners: Listener[] = [];
  readonly #shaking = new Set<Promise<void>>();
  readonly #announced: Deferred<void> = deferred();
  readonly #allowStrangers: boolean;

  constructor(
    context: CommandContext,
    settings: NodeSettings,
    enough: AbortSignal,
    came: (opened: Opened) => void,
  ) {
    this.#context = context;
    this.#options = stackOptions(settings);
    this.#allowStrangers = settings.allowPublicNoauth;
    this.#enough = enough;
    this.#came = came;
  }

  /** Listens on every route, then says so. */
  async open(ways: readonly Way[]): Promise<void> {
    const addresses: string[] = [];
    for (const { route, stack } of ways) {
      const [section] = route.sections;
      if (section === undefined) continue;
      const listener = await stack
        .listen(section, (connection) => this.#arrive(stack, connection))
        .catch((error: unknown) => Promise.reject(aboutRoutes(error, [route])));
      this.#listeners.push(listener);
      addresses.push(stack.addressOf(listener, this.#options.identity));
      const strangers = this.#allowStrangers ? undefined : stack.strangersAt(listener);
      if (strangers !== undefined) throw aboutRoutes(strangers, [route]);
    }
    // The listening line comes first, so who is already at the door waits for it.
    this.#announced.resolve();
    const id = this.#options.identity.id.text;
    const fields = { id, addresses: [addresses.join(";")] };
    await this.#context.out.event("listening", fields, `listening on ${addresses.join(";")}`);
  }

  async close(): Promise<void> {
    this.#announced.resolve();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    await Promise.all(this.#shaking);
  }

  #arrive(stack: Stack, connection: Connection): void {
    if (this.#enough.aborted || this.#shaking.size >= defaultLimits.maxHandshakes) {
      connection.abort(new Error("not taken"));
      return;
    }
    const cut = (): void => connection.abort(this.#enough.reason);
    this.#enough.addEventListener("abort", cut, { once: true });
    const shaken = this.#announced.promise
      .then(() => stack.accept(connection, this.#options))
      // Whoever takes it may be the one who says that it is enough.
      .finally(() => this.#enough.removeEventListener("abort", cut));
    const shaking = shaken
      .then(
        (link) => this.#came(openedOf(link, stack)),
        (error: unknown) => this.#refused(connection, error),
      )
      .then(() => {
        this.#shaking.delete(shaking);
      });
    this.#shaking.add(shaking);
  }

  #refused(connection: Connection, error: unknown): void {
    if (this.#enough.aborted) return;
    const { code, message } = failureOf(error);
    const address = connection.remote.text;
    const text = `refused ${address}: ${message}`;
    void this.#context.out.event("refused", { address, reason: { code, message } }, text);
  }
}

function openedOf(link: Link, stack: Stack): Opened {
  const bytes =
    stack.transforms.length === 0 && link.opened.length === 0
      ? link.connection
      : new SealedConnection(link.connection, link.session, [...link.opened]);
  return { link, bytes, halfClose: stack.transport.halfClose };
}

function described({ link }: Opened): { id?: string; address: string; authenticated: boolean } {
  const key = link.session.remoteKey;
  return {
    ...(key === undefined ? {} : { id: toBase64(key) }),
    address: link.address,
    authenticated: key !== undefined,
  };
}
