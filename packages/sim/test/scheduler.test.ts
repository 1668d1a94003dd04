import fc from "fast-check";
import { expect, test } from "vitest";
import { Scheduler } from "../src/scheduler.ts";

/** Takes and calls everything that is due by `end`. */
function play(scheduler: Scheduler, end: number): void {
  for (let next = scheduler.take(end); next !== undefined; next = scheduler.take(end)) next();
}

test("events come by time, then in the order they were set", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), (times) => {
      const scheduler = new Scheduler();
      const seen: [number, number][] = [];
      for (const [order, at] of times.entries()) {
        scheduler.set(at, () => {
          expect(scheduler.now).toBe(at);
          seen.push([at, order]);
        });
      }
      play(scheduler, 20);
      expect(seen).toEqual(
        times
          .map((at, order): [number, number] => [at, order])
          .toSorted((a, b) => a[0] - b[0] || a[1] - b[1]),
      );
      expect(scheduler.pending).toBe(0);
    }),
  );
});

test("time stands at the end, or where it was when the end is never", () => {
  const scheduler = new Scheduler();
  expect(scheduler.take(50)).toBeUndefined();
  expect(scheduler.now).toBe(50);
  expect(scheduler.take(Number.POSITIVE_INFINITY)).toBeUndefined();
  expect(scheduler.take(10)).toBeUndefined();
  expect(scheduler.now).toBe(50);
});

test("what is past, or no number, comes now", () => {
  const scheduler = new Scheduler();
  scheduler.take(100);
  const seen: number[] = [];
  scheduler.set(3, () => seen.push(scheduler.now));
  scheduler.set(Number.NaN, () => seen.push(scheduler.now));
  play(scheduler, 100);
  expect(seen).toEqual([100, 100]);
});

test("a cancelled event does not come, however many there are", () => {
  const scheduler = new Scheduler();
  const seen: number[] = [];
  const timers = Array.from({ length: 20_000 }, (_, at) => scheduler.set(at, () => seen.push(at)));
  for (const [at, timer] of timers.entries()) {
    if (at % 100 !== 0) timer.cancel();
    if (at % 100 === 1) timer.cancel();
  }
  expect(scheduler.pending).toBe(200);
  play(scheduler, 20_000);
  expect(seen).toEqual(Array.from({ length: 200 }, (_, at) => at * 100));
  timers[0]?.cancel();
  expect(scheduler.pending).toBe(0);
});

test("nothing comes of an owner that is over", () => {
  const scheduler = new Scheduler();
  const owner = { over: false };
  let calls = 0;
  scheduler.set(1, () => calls++, owner);
  scheduler.set(3, () => calls++, owner);
  play(scheduler, 2);
  owner.over = true;
  play(scheduler, 4);
  expect(calls).toBe(1);
});

test("clear forgets everything", () => {
  const scheduler = new Scheduler();
  scheduler.set(1, () => expect.fail("cleared"));
  scheduler.clear();
  play(scheduler, 10);
  expect(scheduler.pending).toBe(0);
});
