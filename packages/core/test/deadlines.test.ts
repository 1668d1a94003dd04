import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { Deadlines } from "../src/deadlines.ts";

const LENGTH_MS = 1_000;

function make(onLate: (item: string, deadlines: Deadlines<string>) => void = () => {}): {
  runtime: VirtualRuntime;
  late: string[];
  deadlines: Deadlines<string>;
} {
  const runtime = new VirtualRuntime();
  const late: string[] = [];
  const deadlines: Deadlines<string> = new Deadlines(runtime, LENGTH_MS, (item) => {
    late.push(`${item} ${runtime.now()}`);
    onLate(item, deadlines);
  });
  return { runtime, late, deadlines };
}

describe("deadlines", () => {
  it("call back for each item once, at its own end", async () => {
    const { runtime, late, deadlines } = make();
    deadlines.add("a");
    await runtime.advance(300);
    deadlines.add("b");
    deadlines.add("c");
    await runtime.advance(10_000);
    expect(late).toEqual(["a 1000", "b 1300", "c 1300"]);
    expect(runtime.pending).toBe(0);
  });

  it("do not call back for what was over in time", async () => {
    const { runtime, late, deadlines } = make();
    for (const item of ["a", "b", "c"]) deadlines.add(item);
    deadlines.delete("b");
    deadlines.delete("never added");
    await runtime.advance(10_000);
    expect(late).toEqual(["a 1000", "c 1000"]);
  });

  it("use one timer, however many wait", async () => {
    const { runtime, late, deadlines } = make();
    for (let i = 0; i < 1_000; i++) {
      deadlines.add(String(i));
      await runtime.advance(0.5);
    }
    expect(runtime.pending).toBe(1);
    await runtime.advance(10_000);
    expect(late).toHaveLength(1_000);
    expect(runtime.pending).toBe(0);
  });

  it("keep an item's first end when it is added while it waits", async () => {
    const { runtime, late, deadlines } = make();
    deadlines.add("a");
    await runtime.advance(600);
    deadlines.add("b");
    deadlines.add("a");
    await runtime.advance(10_000);
    expect(late).toEqual(["a 1000", "b 1600"]);
  });

  it("take what their own callback adds, without delaying what waits already", async () => {
    const again = make((item, deadlines) => {
      if (item === "a") deadlines.add("from a");
      if (item === "from a") deadlines.delete("c");
    });
    again.deadlines.add("a");
    await again.runtime.advance(400);
    again.deadlines.add("b");
    await again.runtime.advance(10_000);
    expect(again.late).toEqual(["a 1000", "b 1400", "from a 2000"]);
  });

  it("let an item be added again by its own callback", async () => {
    const { runtime, late, deadlines } = make((item, own) => {
      if (late.length < 3) own.add(item);
    });
    deadlines.add("a");
    await runtime.advance(10_000);
    expect(late).toEqual(["a 1000", "a 2000", "a 3000"]);
  });

  it("are over at once when cleared, even by their own callback", async () => {
    const { runtime, late, deadlines } = make((_item, own) => own.clear());
    deadlines.add("a");
    deadlines.add("b");
    await runtime.advance(LENGTH_MS);
    expect(late).toEqual(["a 1000"]);
    deadlines.add("c");
    deadlines.clear();
    deadlines.clear();
    expect(runtime.pending).toBe(0);
    await runtime.advance(10_000);
    expect(late).toEqual(["a 1000"]);
    deadlines.add("d");
    await runtime.advance(LENGTH_MS);
    expect(late.at(-1)).toMatch(/^d /);
  });

  it("agree with one timer for each item, whatever is added and deleted when", async () => {
    const step = fc.record({
      waitMs: fc.integer({ min: 0, max: 700 }),
      item: fc.constantFrom("a", "b", "c", "d"),
      add: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { runtime, late, deadlines } = make();
        const due = new Map<string, number>();
        const expected: string[] = [];
        const expire = (now: number): void => {
          for (const [item, at] of [...due].sort((a, b) => a[1] - b[1])) {
            if (at > now) continue;
            due.delete(item);
            expected.push(`${item} ${at}`);
          }
        };
        for (const { waitMs, item, add } of [...steps, { waitMs: 5_000, item: "a", add: false }]) {
          await runtime.advance(waitMs);
          expire(runtime.now());
          if (add && !due.has(item)) due.set(item, runtime.now() + LENGTH_MS);
          if (add) deadlines.add(item);
          else {
            due.delete(item);
            deadlines.delete(item);
          }
        }
        expect([...late].sort()).toEqual([...expected].sort());
        expect(runtime.pending).toBe(0);
      }),
    );
  });
});
