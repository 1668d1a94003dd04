/**
 * Closing at any moment: while dials, listens, startups, handshakes, transfers, requests, channels and floods
 * are under way, with plugins that hang and strangers that say nothing. It ends within five seconds, everything
 * that was waited for settles, every peer that came has gone, and no timer or socket is left.
 */

import { defineMessage, Network, type Peer, type Plugin, text } from "@testudo/core";
import { MemoryHub, memory } from "@testudo/transports/memory";
import { noauth } from "@testudo/transports/noauth";
import { it } from "vitest";
import { settled, VirtualRuntime } from "../support/virtual-runtime.ts";
import { vouch } from "../support/vouch.ts";
import { fuzz, must, PATIENCE_MS, type Random, RUNS } from "./fuzz.ts";
import { Waits } from "./waits.ts";

const Word = defineMessage({ name: "shutdown-word", opcode: 61_030, codec: text });
const POINTS = Math.max(1, Math.round(RUNS / 100));
const LONGEST_CLOSE_MS = 5_000;
const BUSY_MS = 250;
const LIMITS = {
  closeTimeoutMs: 1_000,
  closeHookTimeoutMs: 1_000,
  maxInFlight: 4,
  channelWindowBytes: 20_000,
};

/** Paired edges, or a hook that takes its time or never ends. */
class Plugged implements Plugin {
  readonly name = "plugged";
  readonly #random: Random;
  readonly #runtime: VirtualRuntime;
  readonly present = new Set<Peer>();

  constructor(random: Random, runtime: VirtualRuntime) {
    this.#random = random;
    this.#runtime = runtime;
  }

  #sometime(): Promise<void> | void {
    const kind = this.#random.below(10);
    if (kind === 0) return new Promise(() => {});
    if (kind > 3) return;
    return new Promise((resolve) => void this.#runtime.setTimer(resolve, this.#random.below(900)));
  }

  nodeAdded({ peer }: { peer: Peer }): Promise<void> | void {
    must(!this.present.has(peer), "added twice");
    this.present.add(peer);
    return this.#sometime();
  }

  newMessage(): Promise<void> | void {
    return this.#sometime();
  }

  nodeDeleted({ peer }: { peer: Peer }): Promise<void> | void {
    must(this.present.delete(peer), "deleted without being here");
    return this.#sometime();
  }

  close(): Promise<void> | void {
    return this.#sometime();
  }
}

/** The node that will be closed, its friends, and everything that goes on between them. */
class Scene {
  readonly runtime: VirtualRuntime;
  readonly waits = new Waits();
  readonly plugged: Plugged;
  readonly victim: Network;
  readonly friends: readonly Network[];
  readonly #random: Random;
  readonly #hub = new MemoryHub();
  #names = 0;

  constructor(random: Random) {
    this.#random = random;
    this.runtime = new VirtualRuntime(random.u32());
    this.plugged = new Plugged(random, this.runtime);
    this.victim = this.#network();
    this.friends = [this.#network(), this.#network()];
  }

  #transport() {
    return memory({
      hub: this.#hub,
      runtime: this.runtime,
      latencyMs: 3,
      jitterMs: 5,
      bandwidth: 2_000_000,
      seed: this.#random.u32(),
    });
  }

  #network(): Network {
    const stacks = [[this.#transport(), vouch()] as const, [this.#transport(), noauth()] as const];
    return new Network({ runtime: this.runtime, stacks, limits: LIMITS });
  }

  async start(): Promise<void> {
    for (const [index, friend] of this.friends.entries()) {
      await friend.listen(`memory:friend-${index}~vouch`);
      friend.handleChannel("pour", (channel) =>
        this.waits.add("a friend's reading", read(channel)),
      );
    }
    this.victim.handleChannel("pour", (channel) => this.waits.add("reading", read(channel)));
    // Takes a connection and never says a word.
    this.#hub.claim("silent", () => {});
    void this.#wait("the first plugin", this.victim.registerPlugin(this.plugged));
    void this.#wait(
      "the first listening",
      this.victim.listen("memory:victim~vouch;memory:victim-open~noauth"),
    );
  }

  /** Something that a node, a friend or a stranger may do at any time. */
  act(): string {
    const random = this.#random;
    const friend = random.pick(this.friends);
    const own = [...this.victim.peers.values()];
    const peer = random.pick(own.length > 0 ? own : [undefined]);
    const there = random.pick([...friend.peers.values(), undefined]);
    const kind = random.below(14);
    switch (kind) {
      case 0:
      case 1:
        void this.#wait(
          "a friend's dial",
          friend.add(random.pick(["memory:victim~vouch", "memory:victim-open~noauth"])),
        );
        return "a friend dials";
      case 2:
        void this.#wait("a dial", () => this.victim.add(`memory:friend-${random.below(3)}~vouch`));
        return "dial a friend, or nobody";
      case 3:
        void this.#wait("a dial of the silent", () => this.victim.add("memory:silent~vouch"));
        return "dial the silent";
      case 4:
        void this.#wait("a stranger", this.#stranger());
        return "a stranger connects";
      case 5:
        for (let i = 0; i < 20; i++)
          void this.#wait("sending", () => peer?.send(Word.of("x".repeat(5_000))));
        return "send much";
      case 6:
        for (let i = 0; i < 20; i++)
          void this.#wait("a friend's sending", () => there?.send(Word.of("y".repeat(5_000))));
        return "a friend sends much";
      case 7:
        void this.#wait("a request", () => peer?.request(Word.of("nobody answers"), Word));
        return "ask";
      case 8:
        void this.#wait("a channel", () => peer?.openChannel("pour").then(pour));
        return "open a channel and pour";
      case 9:
        void this.#wait("a friend's channel", () => there?.openChannel("pour").then(pour));
        return "a friend opens a channel";
      case 10:
        void this.#wait("a broadcast", () =>
          this.victim
            .broadcast(Word.of("all"), "memory:friend-1~vouch", "memory:silent~vouch")
            .report(),
        );
        return "broadcast by name";
      case 11: {
        const startup = (): Promise<void> =>
          new Promise(
            (resolve) =>
              void (random.rarely(3) || this.runtime.setTimer(resolve, random.below(2_000))),
          );
        void this.#wait("a plugin", () =>
          this.victim.registerPlugin({ name: "late", startup, close: () => {} }),
        );
        return "register a plugin that starts slowly, or never";
      }
      case 12:
        void this.#wait("listening", () =>
          this.victim.listen(`memory:more-${this.#names++}~vouch`),
        );
        return "listen";
      default:
        void this.#wait("deleting", () => this.victim.delete(peer ?? "memory:friend-0~vouch"));
        return "delete";
    }
  }

  async #stranger(): Promise<void> {
    const name = this.#random.pick(["victim", "victim-open"]);
    const section = { name: "memory", args: [name], text: `memory:${name}` };
    const connection = await this.#transport().dial(section, {
      signal: new AbortController().signal,
    });
    if (this.#random.rarely(2)) connection.write(this.#random.bytes(40));
    for await (const _ of connection);
  }

  async #wait(
    what: string,
    work: Promise<unknown> | (() => Promise<unknown> | undefined),
  ): Promise<void> {
    const promise = (async () => (typeof work === "function" ? work() : work))();
    this.waits.add(what, promise);
    await promise.catch(() => {});
  }
}

async function read(channel: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of channel);
}

async function pour(channel: {
  write(bytes: Uint8Array): boolean;
  drain(): Promise<void>;
  end(): Promise<void>;
  close(): Promise<void>;
}): Promise<void> {
  for (let i = 0; i < 20; i++) if (!channel.write(new Uint8Array(5_000))) await channel.drain();
  await channel.end();
  await channel.close();
}

it(
  `on virtual time, at ${POINTS} random points`,
  async () => {
    await fuzz("closing", {
      runs: POINTS,
      make: (): string[] => [],
      async check(acts, random) {
        const scene = new Scene(random);
        const { runtime, victim, friends, waits } = scene;
        await scene.start();
        const end = random.below(BUSY_MS);
        while (runtime.now() < end) {
          acts.push(`${runtime.now().toFixed(0)}: ${scene.act()}`);
          await runtime.advance(random.below(12));
        }
        const closing = victim.close();
        acts.push("close");
        // The world does not stop because one node does.
        for (let i = random.below(10); i > 0; i--) {
          acts.push(`${runtime.now().toFixed(0)}: ${scene.act()}`);
          await runtime.advance(random.below(50));
        }
        await runtime.during(closing, LONGEST_CLOSE_MS);
        must(victim.peers.size === 0, "peers are left");
        must(
          scene.plugged.present.size === 0 || victim.networkState().counters.added > 0,
          "an edge",
        );
        must(
          victim.networkState().counters.added === victim.networkState().counters.deleted,
          "an edge without its other edge",
        );
        const closed = await victim
          .add("memory:friend-0~vouch")
          .catch((error: { code: string }) => error.code);
        must(closed === "NETWORK_CLOSED", `add after close: ${String(closed)}`);
        await runtime.during(
          Promise.all(friends.map((friend) => friend.close())),
          LONGEST_CLOSE_MS,
        );
        await runtime.advance(2_000);
        await settled();
        must(waits.open === "", `still waiting: ${waits.open}`);
        must(runtime.pending === 0, `${runtime.pending} timers are left`);
      },
    });
  },
  PATIENCE_MS,
);
