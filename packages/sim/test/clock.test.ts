import { expect, test } from "vitest";
import { EPOCH_MS, VirtualClock } from "../src/clock.ts";

test("time moves only when told to, and all that follows from an event comes before the next", async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const later = async (name: string): Promise<void> => {
    for (let i = 0; i < 500; i++) await undefined;
    seen.push(`${name} at ${clock.now()}`);
  };
  clock.setTimer(() => void later("first"), 10);
  clock.setTimer(() => void later("second"), 10);
  clock.setTimer(() => seen.push("never"), 100);
  expect(seen).toEqual([]);
  await clock.advance(50);
  expect(seen).toEqual(["first at 10", "second at 10"]);
  expect([clock.now(), clock.wallClock(), clock.pending, clock.events]).toEqual([
    50,
    EPOCH_MS + 50,
    1,
    2,
  ]);
});

test("more events than fit into one turn", async () => {
  const clock = new VirtualClock();
  let count = 0;
  const again = (): void => {
    if (++count < 5_000) clock.setTimer(again, 1);
  };
  clock.setTimer(again, 0);
  await clock.advance(10_000);
  expect(count).toBe(5_000);
});

test("until says whether it was", async () => {
  const clock = new VirtualClock();
  let at = 0;
  clock.setTimer(() => (at = 1), 5);
  expect(await clock.until(() => at === 1, 100)).toBe(true);
  expect(clock.now()).toBe(5);
  expect(await clock.until(() => at === 2, 100)).toBe(false);
  expect(clock.now()).toBe(105);
});

test("during gives what comes of it, and rejects when that takes too long", async () => {
  const clock = new VirtualClock();
  const sleep = (ms: number): Promise<string> =>
    new Promise((resolve) => clock.setTimer(() => resolve("slept"), ms));
  expect(await clock.during(sleep(30_000))).toBe("slept");
  await expect(clock.during(sleep(30_000), 10_000)).rejects.toThrow("not done within 10000 ms");
  await expect(clock.during(Promise.reject(new Error("no")))).rejects.toThrow("no");
});

test("what an event throws comes out of what moves time, which can go on", async () => {
  const clock = new VirtualClock();
  clock.setTimer(() => {
    throw new Error("in a timer");
  }, 1);
  clock.setTimer(() => {}, 2);
  await expect(clock.advance(5)).rejects.toThrow("in a timer");
  await clock.advance(5);
  expect(clock.pending).toBe(0);
});

test("only one call moves time", async () => {
  const clock = new VirtualClock();
  const running = clock.advance(1);
  await expect(clock.advance(1)).rejects.toThrow(TypeError);
  await running;
  await expect(clock.advance(-1)).rejects.toThrow(RangeError);
});

test("a signal ends an endless run", async () => {
  const controller = new AbortController();
  const clock = new VirtualClock(1, controller.signal);
  const again = (): void => void clock.setTimer(again, 1);
  again();
  clock.setTimer(() => controller.abort(new Error("enough")), 5_000);
  await expect(clock.advance(1e12)).rejects.toThrow("enough");
  await expect(clock.advance(1)).rejects.toThrow("enough");
});

test("the same seed gives the same bytes", () => {
  const bytes = (seed: number): string => new VirtualClock(seed).randomBytes(33).join();
  expect(bytes(7)).toBe(bytes(7));
  expect(bytes(7)).not.toBe(bytes(8));
});
