import { expect, test } from "vitest";
import { Trace } from "../src/trace.ts";

test("tells apart what differs in time, node, event or value", () => {
  const hashOf = (play: (trace: Trace) => void, at = 1): string => {
    const trace = new Trace(() => at);
    play(trace);
    return trace.hash;
  };
  const plays: ((trace: Trace) => void)[] = [
    () => {},
    (trace) => trace.add("dial", "a", "b", 1),
    (trace) => trace.add("dial", "ab", "", 1),
    (trace) => trace.add("dial", "a", "b", 2),
    (trace) => trace.add("open", "a", "b", 1),
    (trace) => trace.note("x"),
    (trace) => trace.note("y"),
    (trace) => trace.content("a", Uint8Array.of(1, 2)),
    (trace) => trace.content("a", Uint8Array.of(2, 1)),
  ];
  const hashes = plays.map((play) => hashOf(play));
  expect(new Set(hashes).size).toBe(plays.length);
  expect(plays.map((play) => hashOf(play))).toEqual(hashes);
  expect(hashOf(plays[1] as (trace: Trace) => void, 1.5)).not.toBe(hashes[1]);
  for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{16}$/);
});

test("keeps lines when asked", () => {
  const trace = new Trace(() => 12.5, { lines: true });
  trace.add("dial", "a", "b", 0);
  trace.note("hello");
  expect(trace.lines[0]).toBe("12.5 a dial b 0");
  expect(trace.lines[1]).toMatch(/^12.5 hello note \d+$/);
  expect(trace.events).toBe(2);
  expect(new Trace(() => 0).lines).toEqual([]);
});
