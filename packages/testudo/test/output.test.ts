import { networkError } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { clean, jsonLine, Output, textOf } from "../src/output.ts";
import { TestIo } from "./support/io.ts";

const output = (options: { json: boolean; events?: "stdout" | "stderr" }) => {
  const io = new TestIo();
  return { io, out: new Output(io, { events: "stdout", ...options }) };
};

describe("Output", () => {
  test("with JSON an event is an object a line, without it a line of text", async () => {
    const { io, out } = output({ json: true });
    await out.event("met", { id: 1 }, "met 1");
    expect(io.out.text).toBe('{"event":"met","id":1}\n');
    const plain = output({ json: false });
    await plain.out.event("met", { id: 1 }, "met 1");
    await plain.out.event("met", { id: 2 });
    expect(plain.io.out.text).toBe("met 1\n");
  });

  test("events of a command that keeps stdout free go to stderr", async () => {
    const { io, out } = output({ json: true, events: "stderr" });
    await out.event("met", {});
    out.failure(new Error("bad"));
    expect(io.err.events.map(({ event }) => event)).toEqual(["met", "error"]);
    expect(io.out.text).toBe("");
  });

  test("a failure is an event with JSON, else a line on stderr", () => {
    const error = networkError("DIAL_REFUSED", "nobody there", { address: "net:a:1" });
    const { io, out } = output({ json: true });
    out.failure(error);
    expect(io.out.events).toEqual([
      { event: "error", code: "DIAL_REFUSED", message: "nobody there", address: "net:a:1" },
    ]);
    const plain = output({ json: false });
    plain.out.failure(error);
    expect(plain.io.err.text).toBe("testudo: nobody there\n");
    expect(plain.io.out.text).toBe("");
  });

  test("each of several attempts has a line of its own, without what commands a terminal", () => {
    const failed = (address: string, stage: "parse" | "connect" | "listen", message: string) => ({
      address,
      stage,
      afterMs: 0,
      tookMs: 1,
      cause: networkError("DIAL_REFUSED", message),
    });
    const tell = (...attempts: ReturnType<typeof failed>[]): string[] => {
      const { io, out } = output({ json: false });
      out.failure(networkError("DIAL_REFUSED", "all in one", { attempts }));
      expect(io.out.text).toBe("");
      return io.err.lines;
    };
    expect(
      tell(failed("warp:x", "parse", "what?"), failed("net:a:1", "connect", "no\u001b")),
    ).toEqual([
      "testudo: none of 2 alternatives worked",
      "  warp:x: parse: what?",
      "  net:a:1: connect: no\u241b",
    ]);
    const [first] = tell(failed("net:a:1", "listen", "x"), failed("net:b:1", "listen", "y"));
    expect(first).toBe("testudo: 2 listeners failed, so none is open");
    expect(tell(failed("net:a:1", "connect", "one"))).toEqual(["testudo: all in one"]);
  });

  test("gives a promise only while the reader is slow, and it never rejects", async () => {
    const { io, out } = output({ json: true });
    expect(out.event("small", {})).toBeUndefined();
    io.stdout.pause();
    const big = { text: "x".repeat(100_000) };
    // A pass-through holds one write on its reading side and one on its writing side.
    void out.event("big", big);
    const waiting = out.event("big", big);
    expect(waiting).toBeInstanceOf(Promise);
    io.stdout.on("error", () => {});
    io.stdout.destroy(new Error("gone"));
    await expect(waiting).resolves.toBeUndefined();
    expect(await out.event("late", big)).toBeUndefined();
  });

  test("what peers say cannot command a terminal", async () => {
    const { io, out } = output({ json: false });
    await out.event("message", {}, "a\u001b[2Jb\nc\u009bd\u202ee\u007f");
    expect(io.out.text).toBe("a␛[2Jb␊c\ufffdd\ufffde\ufffd\n");
    expect(clean("plain é 日本")).toBe("plain é 日本");
  });
});

test("JSON lines hold no control characters and read back exactly", () => {
  const value = { text: "a\u0000\u001b\u007f\u0085\u009b\u2028\u2029é\n" };
  const line = jsonLine(value);
  expect(line).toMatch(/^[\u0020-\u007e\u00a0-\u2027\u202a-\uffff]*$/);
  expect(JSON.parse(line)).toEqual(value);
});

test("text is what is valid UTF-8, to the letter", () => {
  const of = (...bytes: number[]): string | undefined => textOf(Uint8Array.from(bytes));
  expect(of(0x68, 0x69)).toBe("hi");
  expect(of()).toBe("");
  expect(of(0xef, 0xbb, 0xbf, 0x61)).toBe("\ufeffa");
  expect(of(0xff)).toBeUndefined();
  expect(of(0xc3)).toBeUndefined();
  expect(textOf(new Uint8Array([0xff, 0x61, 0xff]).subarray(1, 2))).toBe("a");
});
