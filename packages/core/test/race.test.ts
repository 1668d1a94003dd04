import { getEventListeners } from "node:events";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { type Deferred, deferred } from "../src/queue.ts";
import { ATTEMPT_DELAY_MS, OUTRUN, type RaceOptions, race } from "../src/race.ts";

type Outcome = { readonly won: unknown } | { readonly lost: unknown };

/** A way whose end the test decides. */
interface Way {
  readonly end: Deferred<string>;
  startedAt: number | undefined;
  signal: AbortSignal | undefined;
}

let runtime: VirtualRuntime;
let controller: AbortController;
let discarded: string[];

beforeEach(() => {
  runtime = new VirtualRuntime();
  controller = new AbortController();
  discarded = [];
});

/** Whatever came of it, a race leaves no timer and no listener. */
afterEach(() => {
  expect(runtime.pending).toBe(0);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
});

const options = (given: Partial<RaceOptions<string>> = {}): RaceOptions<string> => ({
  runtime,
  signal: controller.signal,
  discard: (late) => discarded.push(late),
  ...given,
});

/** A race over `count` ways that the test ends by hand. */
function raceOf(count: number, given?: Partial<RaceOptions<string>>) {
  const ways: Way[] = Array.from({ length: count }, () => ({
    end: deferred<string>(),
    startedAt: undefined,
    signal: undefined,
  }));
  for (const { end } of ways) end.promise.catch(() => {});
  let outcome: Outcome | undefined;
  race(
    ways.map((way) => (signal: AbortSignal) => {
      way.startedAt = runtime.now();
      way.signal = signal;
      return way.end.promise;
    }),
    options(given),
  ).then(
    (won) => {
      outcome = { won };
    },
    (lost: unknown) => {
      outcome = { lost };
    },
  );
  return {
    starts: () => ways.map(({ startedAt }) => startedAt),
    reasons: () => ways.map(({ signal }) => signal?.reason),
    outcome: () => outcome,
    async win(index: number, value: string = `way ${index}`) {
      ways[index]?.end.resolve(value);
      await settled();
    },
    async fail(index: number, error: unknown = new Error(`way ${index}`)) {
      ways[index]?.end.reject(error);
      await settled();
    },
  };
}

describe("race", () => {
  it("gives each way a head start", async () => {
    const run = raceOf(3);
    expect(run.starts()).toEqual([0, undefined, undefined]);
    await runtime.advance(ATTEMPT_DELAY_MS - 1);
    expect(run.starts()).toEqual([0, undefined, undefined]);
    await runtime.advance(1);
    expect(run.starts()).toEqual([0, ATTEMPT_DELAY_MS, undefined]);
    await runtime.advance(10 * ATTEMPT_DELAY_MS);
    expect(run.starts()).toEqual([0, ATTEMPT_DELAY_MS, 2 * ATTEMPT_DELAY_MS]);
    expect(runtime.pending).toBe(0);
    await run.win(1);
  });

  it("takes the length of the head start from its options", async () => {
    const run = raceOf(2, { delayMs: 40 });
    await runtime.advance(100);
    expect(run.starts()).toEqual([0, 40]);
    await run.win(0);
  });

  it("starts the next at once when one fails, with a whole head start before the one after", async () => {
    const run = raceOf(3, { delayMs: 100 });
    await runtime.advance(30);
    await run.fail(0);
    expect(run.starts()).toEqual([0, 30, undefined]);
    await runtime.advance(99);
    expect(run.starts()).toEqual([0, 30, undefined]);
    await runtime.advance(1);
    expect(run.starts()).toEqual([0, 30, 130]);
    await run.win(2);
    expect(run.outcome()).toEqual({ won: "way 2" });
  });

  it("lets the first success win, cancels the others, and starts no more", async () => {
    const run = raceOf(4, { delayMs: 100 });
    await runtime.advance(200);
    await run.win(1);
    expect(run.outcome()).toEqual({ won: "way 1" });
    expect(run.reasons()).toEqual([OUTRUN, undefined, OUTRUN, undefined]);
    await runtime.advance(1_000);
    expect(run.starts()).toEqual([0, 100, 200, undefined]);
  });

  it("gives back what comes too late, and minds no late failure", async () => {
    const run = raceOf(3, { delayMs: 100 });
    await runtime.advance(200);
    await run.win(2);
    await run.win(0, "late");
    await run.fail(1);
    expect(discarded).toEqual(["late"]);
    expect(run.outcome()).toEqual({ won: "way 2" });
  });

  it("has one winner when two succeed in the same moment", async () => {
    const run = raceOf(2, { delayMs: 100 });
    await runtime.advance(100);
    await Promise.all([run.win(1), run.win(0)]);
    expect(run.outcome()).toEqual({ won: "way 1" });
    expect(discarded).toEqual(["way 0"]);
  });

  it("has all failures, in the order of the ways and not of their ends", async () => {
    const run = raceOf(3, { delayMs: 100 });
    await runtime.advance(200);
    await run.fail(2, "c");
    await run.fail(0, "a");
    expect(run.outcome()).toBeUndefined();
    await run.fail(1, "b");
    const { lost } = run.outcome() as { lost: AggregateError };
    expect(lost).toBeInstanceOf(AggregateError);
    expect(lost.errors).toEqual(["a", "b", "c"]);
  });

  it("counts a way that throws at once as failed, whoever started it", async () => {
    const thrown = new Error("no way");
    const throws = (): never => {
      throw thrown;
    };
    const lone = race([throws], options());
    await expect(lone).rejects.toMatchObject({ errors: [thrown] });
    // The first never ends: it is the timer that starts the second.
    const racing = race([() => new Promise<string>(() => {}), throws, async () => "third"], {
      ...options(),
      delayMs: 10,
    });
    await runtime.advance(10);
    expect(await racing).toBe("third");
  });

  it("has no way to go when there is none", async () => {
    const error = await race([], options()).catch((lost) => lost);
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.errors).toEqual([]);
  });

  it("starts nothing when the signal has fired", async () => {
    const reason = new Error("too late");
    controller.abort(reason);
    const run = raceOf(2);
    await settled();
    expect(run.outcome()).toEqual({ lost: reason });
    expect(run.starts()).toEqual([undefined, undefined]);
    await expect(race([], options())).rejects.toBe(reason);
  });

  it.each([
    ["the first way has its head start", 50, [true, false, false]],
    ["several are on their way", 150, [true, true, false]],
    ["all are", 250, [true, true, true]],
  ])("is over at once when the signal fires while %s", async (_when, at, started) => {
    const reason = new Error("changed my mind");
    const run = raceOf(3, { delayMs: 100 });
    await runtime.advance(at);
    controller.abort(reason);
    expect(runtime.pending).toBe(0);
    await settled();
    expect(run.outcome()).toEqual({ lost: reason });
    expect(run.reasons()).toEqual(started.map((was) => (was ? reason : undefined)));
    await run.win(0, "late");
    await run.fail(1);
    expect(discarded).toEqual(["late"]);
    await runtime.advance(1_000);
    expect(run.starts().map((time) => time !== undefined)).toEqual(started);
  });

  it("is over when a way itself makes the signal fire while it starts", async () => {
    const reason = new Error("enough");
    const inner: AbortSignal[] = [];
    const racing = race(
      [
        async (signal) => {
          inner.push(signal);
          controller.abort(reason);
          return "late";
        },
        async () => "never",
      ],
      options(),
    );
    await expect(racing).rejects.toBe(reason);
    await settled();
    expect(inner.map((signal) => signal.reason)).toEqual([reason]);
    expect(discarded).toEqual(["late"]);
  });

  it("does not mind a signal that fires after its end", async () => {
    const run = raceOf(1);
    await run.win(0);
    controller.abort(new Error("of no concern"));
    expect(run.outcome()).toEqual({ won: "way 0" });
    expect(run.reasons()).toEqual([undefined]);
  });
});

/** What a way will do, how long after its start, and whether it stops when it is told to. */
interface Plan {
  readonly takesMs: number;
  readonly succeeds: boolean;
  readonly stubborn: boolean;
}

interface Course {
  readonly starts: readonly number[];
  readonly end: { at: number; what: "won" | "failed" | "aborted"; index?: number };
}

/** What must come of the plans, event by event, in the simplest way. */
function expected(plans: readonly Plan[], delayMs: number, abortAt: number): Course {
  const starts = [0];
  const ends = (index: number): number => (starts[index] ?? 0) + (plans[index]?.takesMs ?? 0);
  const open = new Set([0]);
  for (;;) {
    const more = starts.length < plans.length;
    const headStart = more ? (starts.at(-1) ?? 0) + delayMs : Number.POSITIVE_INFINITY;
    const [index = -1] = [...open].sort((a, b) => ends(a) - ends(b));
    const nextEnd = index < 0 ? Number.POSITIVE_INFINITY : ends(index);
    const at = Math.min(headStart, nextEnd, abortAt);
    if (at === abortAt) return { starts, end: { at, what: "aborted" } };
    if (at === nextEnd) {
      if (plans[index]?.succeeds) return { starts, end: { at, what: "won", index } };
      open.delete(index);
      if (!more && open.size === 0) return { starts, end: { at, what: "failed" } };
    }
    if (more) {
      open.add(starts.length);
      starts.push(at);
    }
  }
}

describe("race over random ways", () => {
  /** Each way's time ends in a binary digit of its own, so that no two things happen at the same moment. */
  const plans = fc
    .array(fc.record({ takesMs: fc.nat(400), succeeds: fc.boolean(), stubborn: fc.boolean() }), {
      minLength: 1,
      maxLength: 6,
    })
    .map((list) => list.map((plan, i) => ({ ...plan, takesMs: plan.takesMs + 1 / 2 ** (i + 2) })));
  const abortAt = fc.option(
    fc.nat(900).map((at) => at + 1 / 2 ** 10),
    { nil: Number.POSITIVE_INFINITY },
  );

  it("does what the model says", async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        plans,
        fc.integer({ min: 1, max: 300 }),
        abortAt,
        async (list, delayMs, cut) => {
          const clock = new VirtualRuntime();
          const outer = new AbortController();
          const starts: number[] = [];
          const cancelled = new Map<number, unknown>();
          const late: number[] = [];
          const ways = list.map(
            ({ takesMs, succeeds, stubborn }, index) =>
              (signal: AbortSignal) => {
                starts[index] = clock.now();
                return new Promise<number>((resolve, reject) => {
                  const timer = clock.setTimer(() => {
                    if (succeeds) resolve(index);
                    else reject(new Error(`way ${index}`));
                  }, takesMs);
                  signal.addEventListener("abort", () => {
                    cancelled.set(index, signal.reason);
                    if (stubborn) return;
                    timer.cancel();
                    reject(signal.reason);
                  });
                });
              },
          );
          const reason = new Error("aborted");
          const abort = clock.setTimer(() => outer.abort(reason), cut);
          const end: { at?: number; won?: number; lost?: unknown } = {};
          const racing = race(ways, {
            runtime: clock,
            signal: outer.signal,
            delayMs,
            discard: (result) => late.push(result),
          }).then(
            (won) => Object.assign(end, { at: clock.now(), won }),
            (lost: unknown) => Object.assign(end, { at: clock.now(), lost }),
          );
          await clock.during(racing);
          expect(getEventListeners(outer.signal, "abort")).toEqual([]);
          abort.cancel();
          await clock.advance(10_000);
          expect(clock.pending).toBe(0);

          const model = expected(list, delayMs, cut);
          seen.add(model.end.what);
          expect(starts).toEqual(model.starts);
          expect(end.at).toBe(model.end.at);
          const running = list.flatMap((plan, index) => {
            const start = model.starts[index];
            return start !== undefined && start + plan.takesMs > model.end.at ? [index] : [];
          });
          if (model.end.what === "won") expect(end.won).toBe(model.end.index);
          else if (model.end.what === "aborted") expect(end.lost).toBe(reason);
          else {
            const { errors } = end.lost as AggregateError;
            expect(errors.map((error: Error) => error.message)).toEqual(
              list.map((_, i) => `way ${i}`),
            );
          }
          const why = model.end.what === "won" ? OUTRUN : reason;
          expect(cancelled).toEqual(new Map(running.map((index) => [index, why])));
          expect(late.toSorted()).toEqual(
            running.filter((index) => list[index]?.stubborn && list[index]?.succeeds),
          );
        },
      ),
      { numRuns: 300 },
    );
    expect([...seen].sort()).toEqual(["aborted", "failed", "won"]);
  });
});
