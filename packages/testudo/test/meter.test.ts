import { expect, test } from "vitest";
import { Meter } from "../src/meter.ts";
import { TestIo } from "./support/io.ts";

function meter({ terminal = false, columns = 80, mode = "told" as "told" | "silent" } = {}) {
  const io = new TestIo();
  io.terminal = { stdin: false, stdout: false, stderr: terminal };
  io.columns = columns;
  const time = { now: 0 };
  return { io, time, meter: new Meter(io, mode, () => time.now) };
}

test("a short run says nothing", () => {
  const { io, time, meter: shown } = meter();
  for (; time.now < 1_000; time.now += 10) shown.show(time.now, 1_000);
  shown.clear();
  expect(io.err.text).toBe("");
});

test("without a terminal there is a line every few seconds", () => {
  const { io, time, meter: shown } = meter();
  for (; time.now < 12_000; time.now += 10) shown.show(time.now, 20_000, "nodes");
  shown.clear();
  expect(io.err.lines).toEqual([
    "testudo:   5 %  nodes, 1 s",
    "testudo:  30 %  nodes, 6 s",
    "testudo:  55 %  nodes, 11 s",
  ]);
});

test("on a terminal one line changes, and goes", () => {
  const { io, time, meter: shown } = meter({ terminal: true, columns: 11 });
  time.now = 1_000;
  shown.show(1, 4, "a long explanation");
  time.now = 1_050;
  shown.show(2, 4);
  time.now = 1_100;
  shown.show(3, 4);
  shown.clear();
  shown.clear();
  expect(io.err.text).toBe(" 25 %  a l\r\u001b[K 75 %  1 s\r\u001b[K");
});

test("silent is silent, and a total of nothing is no fault", () => {
  const quiet = meter({ mode: "silent" });
  quiet.time.now = 5_000;
  quiet.meter.show(1, 2);
  expect(quiet.io.err.text).toBe("");
  const { io, time, meter: shown } = meter();
  time.now = 5_000;
  shown.show(1, 0);
  expect(io.err.text).toBe("testudo:   0 %  5 s\n");
});
