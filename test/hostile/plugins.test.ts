/**
 * Plugins from hell beside honest ones: whatever a hook throws, rejects with, returns, hangs in or writes to, the
 * others see every message, the peer stays, the network answers, and the plugin is counted and in the end
 * suspended. A body is a view that all plugins share: what a plugin writes there the next ones read, and nobody else.
 */

import { defineMessage, type Message, Network, type Plugin, text, toUtf8 } from "@testudo/core";
import { MemoryHub, memory } from "@testudo/transports/memory";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type VirtualRuntime as Virtual, VirtualRuntime } from "../support/virtual-runtime.ts";
import { vouch } from "../support/vouch.ts";
import { turn } from "./fuzz.ts";

const Word = defineMessage({ name: "hell-word", opcode: 61_020, codec: text });
const Echo = defineMessage({ name: "hell-echo", opcode: 61_021, codec: text });

const boom = (): never => {
  throw new Error("boom");
};

/** Things that throw when they are looked at. */
const cursed: readonly [string, () => unknown][] = [
  ["an error", () => new Error("boom")],
  ["nothing", () => undefined],
  ["null", () => null],
  ["a symbol", () => Symbol("boom")],
  ["an object without a prototype", () => Object.create(null)],
  ["an object whose text throws", () => ({ toString: boom })],
  [
    "an error whose message throws",
    () => Object.defineProperty(new Error("x"), "message", { get: boom }),
  ],
  [
    "an error whose message is a symbol",
    () => Object.assign(new Error("x"), { message: Symbol("x") }),
  ],
  [
    "an error whose message is an object",
    () => Object.assign(new Error("x"), { message: { toString: boom } }),
  ],
  [
    "an error whose stack throws",
    () => Object.defineProperty(new Error("x"), "stack", { get: boom }),
  ],
  [
    "a proxy that throws at everything",
    () => new Proxy({}, { get: boom, has: boom, getPrototypeOf: boom }),
  ],
  [
    "a proxy that was revoked",
    () => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    },
  ],
];

const THEN = "then";
const then = (property: PropertyDescriptor, on: object = {}): unknown =>
  Object.defineProperty(on, THEN, property);

/** What looks like a promise, or is one that was tampered with. */
const falsePromises: readonly [string, () => unknown][] = [
  ["a then that throws", () => then({ value: boom })],
  ["a then that cannot be read", () => then({ get: boom })],
  ["a then that can be read once", () => readableOnce()],
  ["a then that calls back at once, twice, and throws", () => then({ value: thrice })],
  ["a promise without its then", () => then({ value: boom }, Promise.resolve())],
  ["a promise whose then does nothing", () => then({ value: () => {} }, Promise.resolve())],
  [
    "a promise without its maker",
    () => Object.defineProperty(Promise.resolve(), "constructor", { get: boom }),
  ],
  ["itself, again and again", () => endless(0)],
];

function readableOnce(): unknown {
  let reads = 0;
  return then({ get: () => (reads++ === 0 ? () => {} : boom()) });
}

function thrice(resolve: (value: unknown) => void, reject: (reason: unknown) => void): void {
  resolve(1);
  reject(new Error("boom"));
  boom();
}

function endless(depth: number): unknown {
  return then({
    value: (resolve: (value: unknown) => void) => resolve(depth > 20 ? boom : endless(depth + 1)),
  });
}

describe("beside a plugin from hell", () => {
  const limits = {
    hookTimeoutMs: 1_000,
    closeHookTimeoutMs: 500,
    maxPluginFaults: 10,
    maxInFlight: 8,
  };
  let runtime: Virtual;
  let network: Network;
  let friend: Network;
  const logged: string[] = [];
  const stray: unknown[] = [];
  const onStray = (reason: unknown): void => void stray.push(reason);

  beforeEach(async () => {
    process.on("unhandledRejection", onStray);
    runtime = new VirtualRuntime();
    const hub = new MemoryHub();
    const stacks = (): ConstructorParameters<typeof Network>[0] => ({
      runtime,
      limits,
      stacks: [[memory({ hub, runtime }), vouch()]],
    });
    const note = (_: unknown, message?: string): void => void logged.push(message ?? "");
    const logger = { debug: note, info: note, warn: note, error: note, trace: note };
    network = new Network({ ...stacks(), logger } as never);
    friend = new Network(stacks());
    await network.listen("memory:here~vouch");
    logged.splice(0);
    stray.splice(0);
  });

  afterEach(async () => {
    await runtime.during(Promise.all([network.close(), friend.close()]));
    await turn();
    process.off("unhandledRejection", onStray);
    expect(stray).toEqual([]);
    expect(runtime.pending).toBe(0);
  });

  /** A plugin that writes down what it sees. */
  function witness(name: string): Plugin & { readonly words: string[] } {
    const words: string[] = [];
    return {
      name,
      words,
      newMessage({ message, reply }) {
        const word = message.as(Word);
        if (word === undefined) return;
        words.push(word);
        if (word === "answer me") return reply(Echo.of(name));
      },
    };
  }

  /** Registers it between two witnesses, connects, and says so many words. */
  async function meet(
    plugin: Plugin,
    words: number,
  ): Promise<{ first: readonly string[]; last: readonly string[] }> {
    const [first, last] = [witness("first"), witness("last")];
    for (const each of [first, plugin, last]) await network.registerPlugin(each);
    const peer = await runtime.during(friend.add("memory:here~vouch"));
    for (let i = 0; i < words; i++) {
      await peer.send(Word.of(`word ${i}`));
      await turn();
    }
    await turn();
    expect(network.peers.size, "the peer is still here").toBe(1);
    expect(peer.connected).toBe(true);
    return { first: first.words, last: last.words };
  }

  const said = (count: number): string[] => Array.from({ length: count }, (_, i) => `word ${i}`);
  const health = () => network.networkState().plugins.find(({ name }) => name === "hell");

  async function mustAnswer(): Promise<void> {
    const [peer] = friend.peers.values();
    const answer = peer?.request(Word.of("answer me"), Echo);
    expect(await runtime.during(answer as Promise<string>)).toBe("first");
  }

  describe.each(cursed)("that fails with %s", (_, curse) => {
    it.each([
      [
        "throwing",
        () => {
          throw curse();
        },
      ],
      ["rejecting", () => Promise.reject(curse())],
    ])("%s", async (_how, newMessage) => {
      const { first, last } = await meet(
        { name: "hell", newMessage, nodeAdded: newMessage } as Plugin,
        12,
      );
      expect(first).toEqual(said(12));
      expect(last).toEqual(said(12));
      expect(health()).toMatchObject({ status: "suspended", faults: 10, inFlight: 0 });
      expect(typeof health()?.lastFault).toBe("string");
      expect(JSON.stringify(network.networkState())).toContain("suspended");
      await mustAnswer();
    });
  });

  it.each(falsePromises)("that returns %s", async (_, make) => {
    const hook = (): never => make() as never;
    const { first, last } = await meet(
      { name: "hell", newMessage: hook, nodeAdded: hook, close: hook },
      6,
    );
    expect(first).toEqual(said(6));
    expect(last).toEqual(said(6));
    await mustAnswer();
    await runtime.advance(5_000);
    expect(health()?.inFlight).toBe(0);
    await mustAnswer();
  });

  it("that never comes back: reading waits, its deadline ends the wait, and in the end it is suspended", async () => {
    const hang = (): Promise<void> => new Promise(() => {});
    const [first, last] = [witness("first"), witness("last")];
    for (const each of [first, { name: "hell", newMessage: hang }, last])
      await network.registerPlugin(each);
    const peer = await runtime.during(friend.add("memory:here~vouch"));
    for (let i = 0; i < 100; i++) void peer.send(Word.of(`word ${i}`));
    await turn();
    expect(first.words.length).toBe(limits.maxInFlight);
    expect(last.words.length).toBe(limits.maxInFlight);
    await runtime.advance(10_000);
    expect(first.words).toEqual(said(100));
    expect(last.words).toEqual(said(100));
    expect(health()).toMatchObject({ status: "suspended", inFlight: 0 });
    await mustAnswer();
  });

  it("that hangs in every other hook, and in close", async () => {
    const hang = (): Promise<void> => new Promise(() => {});
    const plugin: Plugin = { name: "hell", nodeAdded: hang, nodeDeleted: hang, close: hang };
    const { last } = await meet(plugin, 3);
    expect(last).toEqual(said(3));
    await runtime.during(friend.close());
    await runtime.until(() => network.peers.size === 0, 5_000);
    expect(health()?.inFlight).toBe(2);
  });

  it("that spins", async () => {
    let spun = 0;
    const spin = (): void => {
      for (const end = performance.now() + 5; performance.now() < end; ) spun++;
    };
    const { first, last } = await meet({ name: "hell", newMessage: spin, nodeAdded: spin }, 10);
    expect(first).toEqual(said(10));
    expect(last).toEqual(said(10));
    expect(spun).toBeGreaterThan(0);
    expect(health()).toMatchObject({ status: "active", faults: 0 });
  });

  it("that writes to a body: the plugins behind it read that, and nobody and nothing else", async () => {
    const checksums: number[] = [];
    const { first, last } = await meet(
      {
        name: "hell",
        newMessage: ({ message }) => {
          checksums.push(message.checksum);
          message.body.fill(0x2a);
        },
      },
      5,
    );
    expect(first).toEqual(said(5));
    expect(last).toEqual(said(5).map((word) => "*".repeat(word.length)));
    expect(new Set(checksums).size).toBe(5);
    await mustAnswer();
  });

  it("that writes to all the memory behind a body: at worst that one peer is closed", async () => {
    const plugin: Plugin = {
      name: "hell",
      newMessage: ({ message }) => void new Uint8Array(message.body.buffer).fill(0xff),
    };
    const first = witness("first");
    await network.registerPlugin(first);
    await network.registerPlugin(plugin);
    const peer = await runtime.during(friend.add("memory:here~vouch"));
    for (let i = 0; i < 5; i++) void peer.send(Word.of(`word ${i}`));
    await runtime.advance(5_000);
    expect(said(5)).toEqual(expect.arrayContaining(first.words));
    expect(network.networkState().counters.deleted).toBeLessThanOrEqual(1);
    await network.unregisterPlugin(plugin);
    await friend.delete(peer);
    await runtime.during(friend.add("memory:here~vouch"));
    await mustAnswer();
  });

  it("that reaches for the context: it cannot be changed", async () => {
    const { first, last } = await meet(
      {
        name: "hell",
        newMessage: (context) => {
          const loose = context as unknown as Record<string, unknown>;
          for (const key of ["message", "peer", "network", "reply", "deliver"]) {
            delete loose[key];
            expect(() => {
              loose[key] = undefined;
            }).toThrow(TypeError);
          }
        },
      },
      3,
    );
    expect(first).toEqual(said(3));
    expect(last).toEqual(said(3));
    expect(health()).toMatchObject({ faults: 0 });
  });

  it("that throws in a timer of the network's: told, and nothing else happens", async () => {
    const { last } = await meet(
      {
        name: "hell",
        newMessage: ({ network: { runtime: clock } }) => void clock.setTimer(boom, 10),
      },
      3,
    );
    await runtime.advance(100);
    expect(last).toEqual(said(3));
    expect(logged.filter((line) => line.includes("timer")).length).toBe(3);
    await mustAnswer();
    await runtime.advance(100);
  });

  it("that closes, deletes, unregisters and registers in the middle of a hook", async () => {
    const late = witness("late");
    let done = false;
    const plugin: Plugin = {
      name: "hell",
      async newMessage({ network: own, peer }) {
        if (done) return;
        done = true;
        void own.registerPlugin(late);
        void own.unregisterPlugin(plugin);
        peer.writable = false;
        await own.delete("memory:nowhere~vouch");
        own.broadcast({ opcode: 61_022, body: toUtf8("in the middle") } as Message);
      },
    };
    const { first, last } = await meet(plugin, 3);
    expect(first).toEqual(said(3));
    expect(last).toEqual(said(3));
    expect(late.words).toEqual(said(3).slice(1));
    expect(health()).toBeUndefined();
  });

  it("whose startup fails is not there, and the others are", async () => {
    for (const [, curse] of cursed) {
      const startup = (): never => {
        throw curse();
      };
      await expect(network.registerPlugin({ name: "hell", startup })).rejects.toMatchObject({
        code: "PLUGIN_FAILED",
      });
    }
    const { last } = await meet({ name: "mild", newMessage: () => {} }, 2);
    expect(last).toEqual(said(2));
  });

  it("whose disseminate fails is passed over", async () => {
    const plugin: Plugin = { name: "hell", disseminate: boom };
    await meet(plugin, 1);
    for (const each of [
      boom,
      () => 7,
      () => ({ report: 1 }),
      () => Promise.reject(new Error("boom")),
    ]) {
      plugin.disseminate = each as never;
      expect(network.broadcast(Word.of("around")).queued).toBe(1);
    }
    await turn();
  });
});
