import { getEventListeners } from "node:events";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { parseAddress, section } from "../src/address.ts";
import type { Connection } from "../src/connection.ts";
import { Dialer } from "../src/dialer.ts";
import type { NetworkError } from "../src/errors.ts";
import { Identity } from "../src/identity.ts";
import { ATTEMPT_DELAY_MS } from "../src/race.ts";
import { Stack } from "../src/stack.ts";
import type { Transform } from "../src/transform.ts";
import type { Transport } from "../src/transport.ts";
import { ManualConnection } from "./support/manual-connection.ts";
import { toySession } from "./support/toy-transform.ts";

/** What becomes of one alternative, by itself. */
interface Plan {
  readonly connectMs: number;
  readonly shakeMs: number;
  readonly fate: "unsupported" | "refused" | "bad handshake" | "fine";
}

/** Times of ways with these plans: when each starts and ends, and which of them wins when. */
function expectedOf(plans: readonly Plan[]): {
  readonly ends: readonly { readonly startedAt: number; readonly tookMs: number }[];
  readonly winner: number;
  readonly at: number;
} {
  const ends: { startedAt: number; tookMs: number }[] = [];
  let next = 0;
  let winner = -1;
  let at = 0;
  const tried = plans.flatMap((plan, index) => (plan.fate === "unsupported" ? [] : [index]));
  const finish = (index: number): number => {
    const end = ends[index];
    return end === undefined ? Number.POSITIVE_INFINITY : end.startedAt + end.tookMs;
  };
  for (let nextAt = 0; ; ) {
    const running = tried.filter(
      (index) => finish(index) < Number.POSITIVE_INFINITY && finish(index) > at,
    );
    const soonest = Math.min(...running.map(finish));
    const starts = next < tried.length ? nextAt : Number.POSITIVE_INFINITY;
    if (Math.min(soonest, starts) === Number.POSITIVE_INFINITY) return { ends, winner, at };
    at = Math.min(soonest, starts);
    if (soonest <= starts) {
      winner =
        running.find((index) => finish(index) === soonest && plans[index]?.fate === "fine") ?? -1;
      if (winner >= 0) return { ends, winner, at };
      nextAt = at;
    }
    const index = tried[next];
    const plan = plans[index ?? -1];
    if (index === undefined || plan === undefined) continue;
    const tookMs = plan.fate === "refused" ? plan.connectMs : plan.connectMs + plan.shakeMs;
    ends[index] = { startedAt: at, tookMs };
    next++;
    nextAt = at + ATTEMPT_DELAY_MS;
  }
}

describe("dials over random ways", () => {
  // Each way's times end in digits of their own, so that no two things happen in the same moment.
  const plans = fc
    .array(
      fc.record({
        connectMs: fc.nat(600),
        shakeMs: fc.nat(600),
        fate: fc.constantFrom("unsupported", "refused", "bad handshake", "fine" as const),
      }),
      { minLength: 1, maxLength: 6 },
    )
    .map((list) =>
      list.map((plan, i) => ({ ...plan, connectMs: plan.connectMs + 1 / 2 ** (i + 2) }) as Plan),
    );

  it("do what the model says, and leave nothing open", async () => {
    const outcomes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(plans, async (list) => {
        const clock = new VirtualRuntime();
        const signal = new AbortController().signal;
        const opened: ManualConnection[] = [];
        const wait = (ms: number): Promise<void> =>
          new Promise((resolve) => void clock.setTimer(resolve, ms));
        const planned: Transport = {
          name: "planned",
          halfClose: true,
          dial: async (to): Promise<Connection> => {
            const index = Number(to.args[0]);
            const plan = list[index];
            await wait(plan?.connectMs ?? 0);
            if (plan?.fate === "refused") throw new Error("nobody");
            const connection = new ManualConnection();
            opened[index] = connection;
            return connection;
          },
        };
        const shaking: Transform = {
          name: "shaking",
          authenticates: false,
          section: () => section("shaking"),
          handshake: async (_wire, { section: own }) => {
            const plan = list[Number(own?.args[0])];
            await wait(plan?.shakeMs ?? 0);
            if (plan?.fate !== "fine") throw new Error("no");
            return toySession();
          },
        };
        const ways = list.map(() => ({ begun: 0, shaking: 0, over: 0 }));
        const made = new Dialer([new Stack([planned, shaking])], {
          identity: Identity.fromSecret(new Uint8Array(32).fill(1)),
          networkId: new Uint8Array(32),
          runtime: clock,
          dialTimeoutMs: 100_000,
          handshakeTimeoutMs: 100_000,
        });
        const text = list.map(({ fate }, i) =>
          fate === "unsupported" ? `other:${i}~shaking:${i}` : `planned:${i}~shaking:${i}`,
        );
        const dialling = made
          .dial(parseAddress(text.join(";")), {
            signal,
            begin: (route) => {
              const seen = ways[Number(route.sections[0]?.args[0])];
              if (seen === undefined) throw new Error("a way that nobody asked for");
              seen.begun++;
              return {
                shaking: () => void seen.shaking++,
                over: () => void seen.over++,
                index: ways.indexOf(seen),
              };
            },
          })
          .then(
            ({ link, way }) => ({ winner: way.index, link, error: undefined }),
            (error: NetworkError) => ({ winner: -1, link: undefined, error }),
          );
        const expected = expectedOf(list);
        const { winner, link, error } = await clock.during(dialling);
        expect([winner, clock.now()]).toEqual([expected.winner, expected.at]);
        outcomes.add(winner < 0 ? "failed" : `won ${winner > 0 ? "late" : "first"}`);
        // Those that heed no signal end by and by.
        await clock.advance(10_000);
        for (const [index, connection] of opened.entries()) {
          if (connection === undefined) continue;
          expect(connection.aborted === undefined).toBe(index === winner);
        }
        if (winner >= 0) expect(link?.connection).toBe(opened[winner]);
        for (const [index, seen] of ways.entries()) {
          const begun = expected.ends[index] === undefined ? 0 : 1;
          expect([seen.begun, seen.over]).toEqual([begun, index === winner ? 0 : begun]);
          expect(seen.shaking).toBeLessThanOrEqual(begun);
        }
        if (error !== undefined) {
          expect(error.attempts).toMatchObject(
            list.map(({ fate }, index) => ({
              address: text[index],
              stage: { unsupported: "parse", refused: "connect" }[fate as string] ?? "handshake",
              afterMs: Math.round(expected.ends[index]?.startedAt ?? 0),
              tookMs: Math.round(expected.ends[index]?.tookMs ?? 0),
            })),
          );
        }
        expect(clock.pending).toBe(0);
        expect(getEventListeners(signal, "abort")).toEqual([]);
      }),
      { numRuns: 200 },
    );
    expect(outcomes).toEqual(new Set(["failed", "won late", "won first"]));
  });
});
