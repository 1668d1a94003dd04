import { PassThrough, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { interruptible, systemIo, writeTo, written } from "../src/io.ts";

/** Takes chunks only when told to. */
class Gate extends Writable {
  readonly taken: string[] = [];
  #next: (() => void) | undefined;

  constructor() {
    super({ highWaterMark: 8 });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#next = () => {
      this.taken.push(chunk.toString());
      done();
    };
  }

  take(): void {
    this.#next?.();
  }
}

describe("writeTo", () => {
  test("waits only when the stream is full, and one wait serves all", async () => {
    const gate = new Gate();
    expect(writeTo(gate, "a")).toBeUndefined();
    const first = writeTo(gate, "b".repeat(8));
    const second = writeTo(gate, "c");
    expect(first).toBeInstanceOf(Promise);
    expect(second).toBe(first);
    for (let i = 0; i < 3; i++) {
      gate.take();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await first;
    expect(gate.listenerCount("drain")).toBe(0);
    expect(writeTo(gate, "d")).toBeUndefined();
  });

  test("rejects when the stream fails or is closed", async () => {
    const failing = new Gate();
    failing.on("error", () => {});
    const waiting = writeTo(failing, "a".repeat(8));
    failing.destroy(new Error("broken"));
    await expect(waiting).rejects.toThrow("broken");
    const closing = new Gate();
    const cut = writeTo(closing, "a".repeat(8));
    closing.destroy();
    await expect(cut).rejects.toThrow("closed");
    closing.on("error", () => {});
    await expect(writeTo(closing, "late")).rejects.toThrow("closed");
  });
});

describe("written", () => {
  test("resolves when all was taken, or never will be", async () => {
    const gate = new Gate();
    await written(gate);
    gate.write("a");
    let done = false;
    const waiting = written(gate).then(() => {
      done = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBe(false);
    gate.take();
    await new Promise((resolve) => setImmediate(resolve));
    gate.take();
    await waiting;
    const cut = new Gate();
    cut.write("a");
    const lost = written(cut);
    cut.destroy();
    await lost;
    await written(cut);
  });
});

describe("interruptible", () => {
  test("gives the chunks and then ends", async () => {
    const stdin = new PassThrough();
    stdin.end("abc");
    const chunks: string[] = [];
    for await (const chunk of interruptible(stdin, new AbortController().signal)) {
      chunks.push(Buffer.from(chunk).toString());
    }
    expect(chunks).toEqual(["abc"]);
  });

  test("throws the reason of the signal, before it begins and while it waits", async () => {
    const reading = async (signal: AbortSignal): Promise<void> => {
      for await (const _ of interruptible(new PassThrough(), signal)) {
        // Nothing comes.
      }
    };
    const reason = new Error("leaving");
    await expect(reading(AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const waiting = reading(controller.signal);
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });
});

test("the system's io is this process", () => {
  const io = systemIo();
  expect(io.stdin).toBe(process.stdin);
  expect(io.stdout).toBe(process.stdout);
  expect(io.stderr).toBe(process.stderr);
  expect(io.columns).toBeGreaterThan(0);
  expect(io.terminal.stdout).toBe(process.stdout.isTTY === true);
  const before = process.listenerCount("SIGTERM");
  const heard: string[] = [];
  const stop = io.onSignal((name) => heard.push(name));
  process.emit("SIGTERM", "SIGTERM");
  stop();
  expect(heard).toEqual(["SIGTERM"]);
  expect(process.listenerCount("SIGTERM")).toBe(before);
});
