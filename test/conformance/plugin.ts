/**
 * Conformance of plugins: what every one must do, whatever it is for.
 *
 *     pluginConformance("keepalive", () => keepalive());
 *
 * Each test makes a fresh plugin, or several. Time is virtual and the line is in memory, under noise. What
 * a plugin says on the wire is its own business; here it must stay in order, harm nobody, bear whatever
 * comes, and leave nothing behind.
 */

import {
  type AnyPlugin,
  defineMessage,
  isCoreOpcode,
  type MessageContext,
  type Network,
  type PeerContext,
  type PluginState,
  text,
} from "@testudo/core";
import { noise } from "@testudo/transports/noise";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { Nodes, type TestNode } from "../support/nodes.ts";
import { seededNumbers, settled } from "../support/virtual-runtime.ts";

const HOOKS = ["startup", "nodeAdded", "newMessage", "nodeDeleted", "close"] as const;
type Hook = (typeof HOOKS)[number];
type AnyHook = (context: unknown) => unknown;

const Say = defineMessage({ name: "say in a conformance test", opcode: 1_201, codec: text });
const TEN_MINUTES_MS = 600_000;

export function pluginConformance(name: string, makePlugin: () => AnyPlugin): void {
  describe(`${name} as a plugin`, () => {
    expectNoLeaks();

    let nodes: Nodes;
    let alice: TestNode;
    let bob: TestNode;
    beforeEach(async () => {
      nodes = new Nodes({ transform: noise });
      alice = await nodes.start("alice");
      bob = await nodes.start("bob");
    });
    afterEach(() => nodes.close());

    for (const spelling of ["its own", "the other"] as const) {
      it(`is called in order, each hook when it is due, in ${spelling} spelling`, async () => {
        const plugin = makePlugin();
        const log = new HookLog();
        const registered = spelling === "its own" ? plugin : respelt(plugin);
        log.watch(registered);
        await nodes.connect(bob, alice);
        await alice.network.registerPlugin(registered);
        await settled();
        bob.network.broadcast(Say.of("hello"));
        await settled();
        const carol = await nodes.start("carol");
        await nodes.connect(carol, alice);
        carol.network.broadcast(Say.of("hello too"));
        await settled();
        await nodes.runtime.during(bob.network.close());
        await nodes.runtime.during(alice.network.close());
        expect(log.entries).toEqual(
          [
            "startup",
            `nodeAdded ${bob.network.id.short}`,
            `newMessage ${bob.network.id.short} hello`,
            `nodeAdded ${carol.network.id.short}`,
            `newMessage ${carol.network.id.short} hello too`,
            `nodeDeleted ${bob.network.id.short} NETWORK_CLOSED`,
            "close",
          ].filter((entry) => log.watches(entry)),
        );
      });
    }

    it("is closed once, by unregisterPlugin or by the network", async () => {
      const [first, second] = [makePlugin(), makePlugin()];
      const [firstLog, secondLog] = [new HookLog(), new HookLog()];
      firstLog.watch(first);
      secondLog.watch(second);
      await alice.network.registerPlugin(first);
      await bob.network.registerPlugin(second);
      await nodes.connect(alice, bob);
      await alice.network.unregisterPlugin(first);
      await expect(alice.network.unregisterPlugin(first)).rejects.toThrow(TypeError);
      await nodes.runtime.during(Promise.all([bob.network.close(), bob.network.close()]));
      await nodes.runtime.during(alice.network.close());
      for (const log of [firstLog, secondLog]) {
        const closings = log.entries.filter((entry) => entry === "close");
        expect(closings).toEqual(log.watches("close") ? ["close"] : []);
        if (log.watches("close")) expect(log.entries.at(-1)).toBe("close");
      }
    });

    it("sees nothing more once it is unregistered", async () => {
      const plugin = makePlugin();
      const log = new HookLog();
      log.watch(plugin);
      await alice.network.registerPlugin(plugin);
      await alice.network.unregisterPlugin(plugin);
      const before = [...log.entries];
      await nodes.connect(bob, alice);
      bob.network.broadcast(Say.of("too late"));
      await settled();
      await nodes.runtime.during(bob.network.close());
      expect(log.entries).toEqual(before);
    });

    it("bears peers that come and go, and ends with nothing under way", async () => {
      await alice.network.registerPlugin(makePlugin());
      for (let round = 0; round < 20; round++) {
        const visitor = await nodes.start(`visitor ${round}`);
        const dialer = round % 2 === 0 ? visitor : alice;
        await nodes.connect(dialer, dialer === alice ? visitor : alice);
        visitor.network.broadcast(Say.of("here I am"));
        if (round % 3 === 0) {
          visitor.line.loseAll();
          await nodes.runtime.advance(TEN_MINUTES_MS / 20);
        }
        if (round % 3 === 1) await nodes.runtime.during(alice.network.delete(visitor.address));
        await nodes.runtime.during(visitor.network.close());
        await nodes.runtime.during(alice.network.delete(visitor.network.id));
      }
      await nodes.runtime.advance(TEN_MINUTES_MS);
      expect(alice.network.peers.size).toBe(0);
      expect(stateIn(alice.network)).toMatchObject({ status: "active", faults: 0, inFlight: 0 });
    });

    it("keeps two nodes together that have it, however long nothing happens", async () => {
      await alice.network.registerPlugin(makePlugin());
      await bob.network.registerPlugin(makePlugin());
      const [peer] = await nodes.connect(alice, bob);
      await nodes.runtime.advance(TEN_MINUTES_MS);
      expect(peer.connected).toBe(true);
      for (const node of [alice, bob]) {
        expect(stateIn(node.network)).toMatchObject({ status: "active", faults: 0, inFlight: 0 });
      }
    });

    it("bears bodies that no honest node sends", async () => {
      await alice.network.registerPlugin(makePlugin());
      const random = seededNumbers(9);
      const opcodes = Array.from({ length: 256 }, (_, opcode) => opcode).filter(
        (opcode) => !isCoreOpcode(opcode),
      );
      for (const opcode of [...opcodes, 1_000, 1_201, 0xffff_ffff]) {
        const peer =
          bob.network.peers.get(alice.network.id.text) ?? (await nodes.connect(bob, alice))[0];
        const body = Uint8Array.from({ length: Math.floor(random() * 40) }, () => random() * 256);
        peer.send({ opcode, body }).catch(() => {});
        await settled();
      }
      await nodes.runtime.advance(TEN_MINUTES_MS);
      expect(stateIn(alice.network)).toMatchObject({ status: "active", faults: 0, inFlight: 0 });
    });

    it("works beside plugins that throw, reject and hang in every hook", async () => {
      const neighbours = [faulty("throws"), faulty("rejects"), makePlugin(), faulty("hangs")];
      const log = new HookLog();
      const plugin = neighbours[2] as AnyPlugin;
      log.watch(plugin);
      for (const neighbour of neighbours) await alice.network.registerPlugin(neighbour);
      await nodes.connect(bob, alice);
      for (let i = 0; i < 12; i++) bob.network.broadcast(Say.of(String(i)));
      await settled();
      await nodes.runtime.during(bob.network.close());
      const states = alice.network.networkState().plugins;
      expect(states.map(({ status }) => status).slice(0, 3)).toEqual([
        "suspended",
        "suspended",
        "active",
      ]);
      expect(states[2]).toMatchObject({ faults: 0 });
      await nodes.runtime.during(alice.network.close());
      const id = bob.network.id.short;
      expect(log.entries).toEqual(
        [
          "startup",
          `nodeAdded ${id}`,
          ...Array.from({ length: 12 }, (_, i) => `newMessage ${id} ${i}`),
          `nodeDeleted ${id} NETWORK_CLOSED`,
          "close",
        ].filter((entry) => log.watches(entry)),
      );
    });

    it("leaves no timer behind once it is unregistered, with peers still there", async () => {
      const plugins = [makePlugin(), makePlugin()] as const;
      await alice.network.registerPlugin(plugins[0]);
      await bob.network.registerPlugin(plugins[1]);
      const [peer] = await nodes.connect(alice, bob);
      await nodes.runtime.advance(TEN_MINUTES_MS / 10);
      await alice.network.unregisterPlugin(plugins[0]);
      await bob.network.unregisterPlugin(plugins[1]);
      // Core's own deadlines, of requests and hooks, have gone by then.
      await nodes.runtime.advance(60_000);
      expect(peer.connected).toBe(true);
      expect(nodes.runtime.pending).toBe(0);
    });
  });
}

/** Writes down the hooks of a plugin, in its own spelling, as they are called. */
class HookLog {
  readonly entries: string[] = [];
  readonly #watched = new Set<Hook>();

  watch(plugin: AnyPlugin): void {
    for (const hook of HOOKS) {
      for (const spelling of [hook, goSpelling(hook)]) {
        const original = hookOf(plugin, spelling);
        if (original === undefined) continue;
        this.#watched.add(hook);
        const value = (context: unknown): unknown => {
          const entry = entryOf(hook, context);
          if (entry !== undefined) this.entries.push(entry);
          return original(context);
        };
        Object.defineProperty(plugin, spelling, { value, configurable: true });
      }
    }
  }

  /** Whether the plugin has the hook that the entry begins with. */
  watches(entry: string): boolean {
    return this.#watched.has(entry.split(" ")[0] as Hook);
  }
}

/** `undefined` for what the plugin says to itself: only this suite's own messages are of interest. */
function entryOf(hook: Hook, context: unknown): string | undefined {
  if (hook === "startup" || hook === "close") return hook;
  const { peer, reason } = context as PeerContext;
  if (hook === "nodeAdded") return `nodeAdded ${peer.id.short}`;
  if (hook === "nodeDeleted") return `nodeDeleted ${peer.id.short} ${reason?.code}`;
  const said = (context as MessageContext).message.as(Say);
  return said === undefined ? undefined : `newMessage ${peer.id.short} ${said}`;
}

/** The same plugin with its hooks in the other spelling. */
function respelt(plugin: AnyPlugin): AnyPlugin {
  const twin: Record<string, unknown> = {};
  for (const hook of HOOKS) {
    const camel = hookOf(plugin, hook);
    const go = hookOf(plugin, goSpelling(hook));
    if (camel !== undefined) twin[goSpelling(hook)] = camel;
    if (go !== undefined) twin[hook] = go;
  }
  return twin as AnyPlugin;
}

function hookOf(plugin: AnyPlugin, spelling: string): AnyHook | undefined {
  const found: unknown = Reflect.get(plugin, spelling);
  return typeof found === "function" ? (found.bind(plugin) as AnyHook) : undefined;
}

function goSpelling(hook: string): string {
  return hook.slice(0, 1).toUpperCase() + hook.slice(1);
}

/** Fails wherever it can, but starts: a plugin that does not start is not registered. */
function faulty(how: "throws" | "rejects" | "hangs"): AnyPlugin {
  const fail = (): Promise<void> => {
    if (how === "throws") throw new Error("a neighbour throws");
    return how === "rejects"
      ? Promise.reject(new Error("a neighbour rejects"))
      : new Promise(() => {});
  };
  return { name: how, newMessage: fail, nodeAdded: fail, nodeDeleted: fail, close: fail };
}

function stateIn(network: Network): PluginState | undefined {
  return network.networkState().plugins[0];
}
