import { expect, test } from "vitest";
import type { CommandContext } from "../../src/command.ts";
import { Screen } from "../../src/demo/screen.ts";
import { Output } from "../../src/output.ts";
import { TestIo } from "../support/io.ts";

function screen({ terminal = false, json = false, columns = 80 } = {}) {
  const io = new TestIo();
  io.terminal = { stdin: terminal, stdout: terminal, stderr: terminal };
  io.columns = columns;
  const out = new Output(io, { json, events: "stdout" });
  return { io, screen: new Screen({ io, out } as unknown as CommandContext) };
}

const at = (part: number) => ({ sent: 100 * part, part, received: [{ name: "two", messages: 7 }] });

test("on a terminal one line changes, and goes when something is said", () => {
  const { io, screen: shown } = screen({ terminal: true });
  shown.progress(at(0.5));
  shown.progress(at(1));
  shown.say("done", {}, "done");
  expect(io.out.text).toBe(
    "  [##########----------] sent 50, received: two 7" +
      "\r\u001b[K  [####################] sent 100, received: two 7" +
      "\r\u001b[Kdone\n",
  );
});

test("a narrow terminal is not overrun", () => {
  const { io, screen: shown } = screen({ terminal: true, columns: 20 });
  shown.progress(at(0.5));
  expect(io.out.text).toHaveLength(19);
});

test("elsewhere every quarter is a line", () => {
  const { io, screen: shown } = screen();
  for (const part of [0.1, 0.26, 0.3, 0.49, 0.8, 0.9, 1]) shown.progress(at(part));
  expect(io.out.lines).toEqual([
    "  25 %: sent 26, received: two 7",
    "  75 %: sent 80, received: two 7",
    "  100 %: sent 100, received: two 7",
  ]);
});

test("with JSON a quarter is an event, on a terminal too", () => {
  const { io, screen: shown } = screen({ json: true, terminal: true });
  shown.progress(at(0.5));
  expect(io.out.events).toEqual([{ event: "progress", ...at(0.5) }]);
});
