import type { Identity } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { sortedIdentities } from "../support/identities.ts";
import { type Member, Pair } from "../support/pair.ts";
import { forSeeds } from "../support/seeds.ts";

const [SMALL, LARGE] = sortedIdentities(2) as [Identity, Identity];

/** Throws unless nodes come and go in turns, and messages come between the two. */
function checkEdges({ events, address }: Member): void {
  let here = false;
  for (const event of events) {
    const fits = event === "added" ? !here : here;
    if (!fits) throw new Error(`${address} saw ${events.join(", ")}`);
    here = event === "added" || event === "message";
  }
}

/** Throws when a message came twice or overtook another. */
function checkOrder({ received, address }: Member): void {
  let last = -1;
  for (const text of received) {
    if (Number(text) <= last) throw new Error(`${address} received ${received}`);
    last = Number(text);
  }
}

describe("dials, deletions, cuts and deaths at random", () => {
  it("end in one stream as soon as one dial is left alone", async () => {
    await forSeeds(500, async (seed, random) => {
      const identities: [Identity, Identity] = random() < 0.5 ? [SMALL, LARGE] : [LARGE, SMALL];
      const pair = new Pair({
        identities,
        seed,
        line: { latencyMs: random() * 5, jitterMs: random() * 30 },
      });
      const { runtime } = pair;
      await pair.start();
      const alive: [Member, Member] = [pair.one, pair.other];
      const everybody: Member[] = [...alive];
      const pick = (below: number): number => Math.floor(random() * below);
      for (let step = 0; step < 25; step++) {
        const which = pick(2);
        const member = alive[which] as Member;
        const address = (alive[1 - which] as Member).address;
        const bare = address.slice(0, address.lastIndexOf(":"));
        const action = pick(20);
        if (action < 10) {
          member.network.add(pick(2) === 0 ? address : bare).catch(() => {});
        } else if (action < 14) {
          const [peer] = member.network.peers.values();
          if (peer !== undefined) void member.network.delete(peer);
        } else if (action < 18) {
          const { connections } = member.line;
          connections[pick(connections.length)]?.abort(new Error("cut"));
        } else {
          member.line.loseAll();
          const again = pair.member(member.network.identity, everybody.length + 1);
          again.first = 1_000 * everybody.length;
          everybody.push(again);
          alive[which] = again;
          await pair.join(again, `again ${everybody.length}`);
        }
        for (const each of alive) each.say();
        if (pick(3) > 0) await runtime.advance(random() * 60);
      }
      const [one, other] = alive;
      await runtime.advance(random() < 0.5 ? 300 : 15_000);
      const bare = other.address.slice(0, other.address.lastIndexOf(":"));
      // A node that died in the middle of pairing may cost the first dial its time, never the second.
      const first = one.network.add(bare).catch(() => one.network.add(bare));
      await runtime.during(first, 10_500);
      await runtime.advance(300);
      const [mine] = one.network.peers.values();
      const [theirs] = other.network.peers.values();
      if (mine === undefined || theirs === undefined) throw new Error("no stream");
      expect(mine.side).not.toBe(theirs.side);
      const counts = [one.received.length, other.received.length] as const;
      one.say();
      other.say();
      await runtime.advance(300);
      expect([one.received.length, other.received.length]).toEqual(counts.map((n) => n + 1));
      for (const member of everybody) {
        checkEdges(member);
        checkOrder(member);
      }
      await runtime.during(Promise.all(everybody.map((member) => member.network.close())));
      // What the lines still carry arrives nowhere; a node's own timers would be longer.
      await runtime.advance(500);
      expect(runtime.pending).toBe(0);
    });
  }, 60_000);
});
