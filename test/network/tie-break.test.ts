import type { Identity } from "@testudo/core";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import { sortedIdentities } from "../support/identities.ts";
import { Pair, type PairOptions } from "../support/pair.ts";
import { forSeeds } from "../support/seeds.ts";

const [SMALL, LARGE] = sortedIdentities(2) as [Identity, Identity];

interface Course {
  /** Dials of each node. */
  readonly dials: number;
  /** The last dial starts by then, in milliseconds. */
  readonly withinMs: number;
}

/** Both dial and both talk as soon as they can; throws unless all of it worked on one stream. */
async function bothDial(
  options: PairOptions,
  random: () => number,
  course: Course,
): Promise<{ pair: Pair; winner: Identity }> {
  const pair = new Pair(options);
  const { runtime, one, other } = pair;
  await pair.start();
  one.greeting = other.greeting = 4;
  const dials: Promise<unknown>[] = [];
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const bare = to.address.slice(0, to.address.lastIndexOf(":"));
    for (let i = 0; i < course.dials; i++) {
      const address = random() < 0.5 ? to.address : bare;
      dials.push(
        new Promise((resolve, reject) => {
          runtime.setTimer(() => {
            from.network.add(address).then(resolve, reject);
          }, random() * course.withinMs);
        }),
      );
    }
    for (let i = 0; i < 4; i++) runtime.setTimer(() => from.say(), 600 + random() * 100);
  }
  await runtime.during(Promise.all(dials), 500);
  await runtime.advance(1_500);
  pair.check();
  for (const member of [one, other]) {
    if (member.count("added") !== 1) throw new Error(`${member.events} at ${member.address}`);
    if (member.count("deleted") !== 0) throw new Error("a loser was seen");
    if (member.events[0] !== "added") throw new Error("a message came before its node");
  }
  const mine = one.streams[0]?.side === "dialer" ? one : other;
  return { pair, winner: mine.network.identity };
}

function shuffled(random: () => number): [Identity, Identity] {
  return random() < 0.5 ? [SMALL, LARGE] : [LARGE, SMALL];
}

describe("both nodes dial at once", () => {
  it("keeps one stream on which every message arrives once, in thousands of orders", async () => {
    await forSeeds(2_000, async (seed, random) => {
      const line = { latencyMs: random() * 5, jitterMs: random() * 20 };
      const identities = shuffled(random);
      const course = { dials: 1 + Math.floor(random() * 3), withinMs: random() * 60 };
      const { pair } = await bothDial({ identities, seed, line }, random, course);
      await pair.close();
    });
  }, 60_000);

  it("does so over noise, and over a line that loses chunks", async () => {
    await forSeeds(60, async (seed, random) => {
      const line = { latencyMs: random() * 5, jitterMs: random() * 20, lossRate: 0.05 };
      const options = { identities: shuffled(random), seed, line, transform: () => noise() };
      const { pair } = await bothDial(options, random, { dials: 1, withinMs: random() * 60 });
      await pair.close();
    });
  }, 60_000);

  it("keeps the dial of the smaller key", async () => {
    await forSeeds(300, async (seed, random) => {
      const latencyMs = 1 + random() * 10;
      const options = { identities: shuffled(random), seed, line: { latencyMs } };
      // On an even line the second handshake is under way before the first is done.
      const course = { dials: 1, withinMs: latencyMs };
      const { pair, winner } = await bothDial(options, random, course);
      expect(winner.id.text).toBe(SMALL.id.text);
      await pair.close();
    });
  }, 60_000);
});
