/**
 * Channel frames under fire: the decoders alone, and a whole host that a hostile peer talks to while its own
 * user opens, writes, reads and gives up. How to ask for more inputs: fuzz.ts.
 */

import { type Channel, concat, type NetworkError, networkError, writeU32 } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { ChannelHost } from "../../packages/core/src/channel.ts";
import {
  decodeCredit,
  decodeOpen,
  decodeReset,
  encodeCredit,
  encodeHeader,
  encodeName,
  encodeOpen,
  encodeReset,
  HEADER_BYTES,
  KINDS,
} from "../../packages/core/src/channel-frame.ts";
import { withDefaults } from "../../packages/core/src/limits.ts";
import { VirtualRuntime } from "../support/virtual-runtime.ts";
import {
  codeOf,
  EDGES,
  fuzz,
  must,
  mustBe,
  mustEqual,
  mutate,
  PATIENCE_MS,
  type Random,
  RUNS,
  SESSIONS,
  turn,
} from "./fuzz.ts";

const NAMES = ["served", "hangs", "fails", "unknown", "é".repeat(128)].map(encodeName);
const WINDOW = 2_000;
const MAX_CHANNELS = 6;
const BODIES = 80;

describe("channel frames", () => {
  it(
    "decode to what encodes to the same bytes, or FRAME_MALFORMED",
    async () => {
      await fuzz("channel frames", {
        make(random) {
          const id = random.u32();
          return mutate(
            random,
            random.pick([
              encodeOpen(id, random.u32(), random.pick(NAMES)),
              encodeCredit(random.rarely(2) ? KINDS.credit : KINDS.accept, id, random.u32()),
              encodeReset(
                id,
                random.below(0x1_0000),
                random.pick(["", "because", "ü".repeat(200)]),
              ),
              random.bytes(random.length(300)),
            ]),
          );
        },
        check(input) {
          const header = input.subarray(0, HEADER_BYTES);
          const again = (body: Uint8Array): void =>
            mustEqual(concat(header, body.subarray(HEADER_BYTES)), input, "encoded again");
          const decoders = [
            (): void => {
              const { credit, name } = decodeOpen(input);
              again(encodeOpen(0, credit, encodeName(name)));
            },
            (): void => again(encodeCredit(KINDS.credit, 0, decodeCredit(input))),
            (): void => {
              const { code, reason } = decodeReset(input);
              again(encodeReset(0, code, reason));
            },
          ];
          for (const decode of decoders) mustBe(codeOf(decode), [undefined, "FRAME_MALFORMED"]);
        },
      });
    },
    PATIENCE_MS,
  );
});

/** A host with a port that hands everything over at once, or nothing at all. */
class Target {
  readonly runtime = new VirtualRuntime();
  readonly faults: NetworkError[] = [];
  readonly accepted: Channel[] = [];
  readonly host: ChannelHost;
  frames = 0;

  constructor(congested: boolean) {
    const forever = new Promise<void>(() => {});
    const atOnce = Promise.resolve();
    this.host = new ChannelHost({
      side: "listener",
      limits: withDefaults({
        channelWindowBytes: WINDOW,
        // Where nothing is handed over, few answers must be enough to reach the bound.
        maxChannels: congested ? 1 : MAX_CHANNELS,
        maxSendBufferBytes: congested ? 1_000 : 100_000,
      }),
      runtime: this.runtime,
      port: {
        send: () => {
          this.frames++;
          return congested ? forever : atOnce;
        },
      },
      handler: (name) =>
        name === "unknown" ? undefined : (channel) => this.#handle(name, channel),
      fault: (error) => this.faults.push(error),
    });
  }

  #handle(name: string, channel: Channel): void | Promise<void> {
    this.accepted.push(channel);
    if (name === "fails") throw new Error("the handler failed");
    if (name === "hangs") return new Promise(() => {});
  }
}

/** What an honest peer would know, so that most of what it says is legal and channels live long enough to be hurt. */
class Peer {
  readonly #random: Random;
  #next = 0;
  /** Bytes a channel may still carry; none once it was ended. */
  readonly #left = new Map<number, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  legal(): Uint8Array {
    const random = this.#random;
    const id = 2 * random.below(this.#next / 2);
    const left = this.#left.get(id) ?? 0;
    const kind = this.#next === 0 ? 0 : random.below(10);
    if (kind === 0) {
      this.#left.set(this.#next, WINDOW);
      this.#next += 2;
      return encodeOpen(this.#next - 2, random.below(5_000), random.pick(NAMES));
    }
    if (kind < 5 && left > 0) {
      const bytes = 1 + random.below(Math.min(left, random.rarely(3) ? WINDOW : 50));
      this.#left.set(id, left - bytes);
      return concat(encodeHeader(KINDS.data, id), random.bytes(bytes));
    }
    if (kind === 5 && this.#left.has(id)) {
      this.#left.delete(id);
      return encodeHeader(KINDS.end, id);
    }
    if (kind === 6) {
      this.#left.delete(id);
      return encodeReset(id, random.below(4), "because");
    }
    return encodeCredit(KINDS.credit, id, random.below(4_000));
  }

  hostile(): Uint8Array {
    const random = this.#random;
    const id = random.rarely(3) ? random.pick(EDGES) : random.below(this.#next + 2);
    switch (random.below(6)) {
      case 0:
        return random.bytes(random.length(40));
      case 1:
        return encodeCredit(KINDS.accept, 1 + 2 * random.below(3), random.below(4_000));
      case 2:
        return encodeCredit(KINDS.credit, id, random.u32());
      case 3:
        return concat(encodeHeader(KINDS.data, id), random.bytes(random.length(2 * WINDOW)));
      case 4:
        return encodeHeader(random.pick([KINDS.end, KINDS.data, KINDS.open]), id);
      default: {
        const changed = mutate(random, this.legal());
        if (changed.length >= HEADER_BYTES && random.rarely(2)) writeU32(changed, 1, id);
        return changed;
      }
    }
  }
}

/** What our own user does meanwhile. */
function act(random: Random, target: Target): void {
  const channel = random.pick([...target.accepted, undefined]);
  switch (random.below(7)) {
    case 0:
      void target.host.open("ours").then(
        (opened) => target.accepted.push(opened),
        () => {},
      );
      return;
    case 1:
      channel?.write(random.bytes(random.length(3_000)));
      return;
    case 2:
      void channel?.end();
      return;
    case 3:
      void channel?.close();
      return;
    case 4:
      channel?.abort(new Error("changed our mind"));
      return;
    default:
      void channel?.[Symbol.asyncIterator]()
        .next()
        .then(undefined, () => {});
  }
}

it(
  "a channel host: no body throws, crashes, passes a bound or outlives the peer",
  async () => {
    const codes = new Map<string, number>();
    let lived = 0;
    await fuzz("channel hosts", {
      runs: SESSIONS,
      make: (): Uint8Array[] => [],
      async check(bodies, random) {
        const target = new Target(random.rarely(4));
        const peer = new Peer(random);
        while (bodies.length < BODIES) {
          bodies.push(random.rarely(40) ? peer.hostile() : peer.legal());
          target.host.receive(bodies.at(-1) as Uint8Array);
          must(target.host.count <= MAX_CHANNELS, `${target.host.count} channels`);
          if (target.faults.length === 0) lived++;
          if (random.rarely(3)) act(random, target);
          if (random.rarely(4)) await undefined;
        }
        // An answer or two for every body, and what our own user caused.
        must(target.frames <= 8 * BODIES, `${target.frames} frames for ${BODIES} bodies`);
        must(target.faults.length <= 1, "a fault is told once");
        for (const { code } of target.faults) {
          mustBe(code, ["FRAME_MALFORMED", "SEND_BUFFER_FULL"]);
          codes.set(code, (codes.get(code) ?? 0) + 1);
        }
        target.host.close(networkError("STREAM_CLOSED", "the peer left"));
        must(target.host.count === 0, "channels outlive the peer");
        await turn();
        must(target.runtime.pending === 0, `${target.runtime.pending} timers outlive the peer`);
      },
    });
    if (RUNS < 10_000) return;
    expect([...codes.keys()].sort()).toEqual(["FRAME_MALFORMED", "SEND_BUFFER_FULL"]);
    // Bodies behind a fault are not even looked at.
    expect(lived).toBeGreaterThan(RUNS);
  },
  PATIENCE_MS,
);
