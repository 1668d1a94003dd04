import { afterEach, describe, expect, test, vi } from "vitest";
import { copyBothWays, echo } from "../src/copy.ts";
import { FakePipe } from "./support/fake-pipe.ts";
import { TestIo } from "./support/io.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const turns = async (count = 5): Promise<void> => {
  for (let i = 0; i < count; i++) await turn();
};

/** A copy under way, and whether it is over and how. */
function start({ halfClose = true }: { halfClose?: boolean } = {}) {
  const io = new TestIo();
  const pipe = new FakePipe({ halfClose });
  const leaving = new AbortController();
  const state: { outcome?: unknown } = {};
  const done = copyBothWays(pipe, io, { halfClose, leave: leaving.signal }).then(
    () => {
      state.outcome = "done";
    },
    (error: unknown) => {
      state.outcome = error;
    },
  );
  return { io, pipe, leaving, state, done };
}

afterEach(() => {
  vi.useRealTimers();
});

describe("copyBothWays", () => {
  test("copies both ways; each direction ends by itself", async () => {
    const { io, pipe, state, done } = start();
    io.stdin.write("from stdin");
    pipe.receive("from the pipe");
    await turns();
    expect([pipe.text, io.out.text]).toEqual(["from stdin", "from the pipe"]);
    io.stdin.end();
    await turns();
    expect([pipe.ended, state.outcome]).toEqual([true, undefined]);
    pipe.receive(", and more");
    pipe.receiveEnd();
    await done;
    expect([state.outcome, io.out.text]).toEqual(["done", "from the pipe, and more"]);
    expect(io.stdoutClosed).toBe(false);
  });

  test("the other side's end reaches the reader of stdout while stdin goes on", async () => {
    const { io, pipe, state, done } = start();
    pipe.receive("all");
    pipe.receiveEnd();
    await turns();
    expect([io.stdoutClosed, state.outcome]).toEqual([true, undefined]);
    io.stdin.end("late");
    await done;
    expect([state.outcome, pipe.text]).toEqual(["done", "late"]);
  });

  test("stdin is read no faster than the pipe takes it", async () => {
    const { io, pipe, done } = start();
    pipe.full = true;
    for (let i = 0; i < 10; i++) io.stdin.write(Buffer.alloc(30_000, i));
    await turns();
    const before = Buffer.concat(pipe.written).length;
    expect(before).toBeLessThan(100_000);
    expect(io.stdin.writableLength).toBeGreaterThan(0);
    pipe.empty();
    io.stdin.end();
    pipe.receiveEnd();
    await done;
    expect(Buffer.concat(pipe.written).length).toBe(300_000);
  });

  test("the pipe is read no faster than stdout takes it", async () => {
    const { io, pipe, done } = start();
    io.stdout.pause();
    for (let i = 0; i < 20; i++) {
      pipe.receive("x".repeat(20_000));
      await turn();
    }
    expect(pipe.pauses).toBe(1);
    expect(io.stdout.writableLength + io.stdout.readableLength).toBeLessThan(100_000);
    io.stdout.resume();
    io.stdin.end();
    pipe.receiveEnd();
    await done;
    expect(io.out.bytes.length).toBe(400_000);
  });

  test("a cut ends it though stdin is silent; what came before it is still written", async () => {
    const { io, pipe, state, done } = start();
    io.stdout.pause();
    for (let i = 0; i < 4; i++) pipe.receive("y".repeat(20_000));
    await turns();
    const cut = new Error("cut");
    pipe.cut(cut);
    await turns();
    io.stdout.resume();
    await done;
    expect(state.outcome).toBe(cut);
    expect(io.out.bytes.length).toBe(80_000);
    expect(io.stdin.destroyed).toBe(true);
  });

  test("an end that was lost on the way is no end", async () => {
    const { io, pipe, state, done } = start();
    pipe.lingers = true;
    pipe.receiveEnd();
    io.stdin.end("never arrives");
    await turns();
    const lost = new Error("lost");
    pipe.cut(lost);
    await done;
    expect(state.outcome).toBe(lost);
  });

  test("an interruption cuts the pipe, so that nobody takes it for an end", async () => {
    const { io, pipe, leaving, state, done } = start();
    io.stdout.pause();
    pipe.receive("z".repeat(200_000));
    await turns();
    const reason = new Error("interrupted");
    leaving.abort(reason);
    await done;
    expect([state.outcome, pipe.aborted]).toEqual([reason, reason]);
  });

  test("is over at once when it is time to leave already", async () => {
    const io = new TestIo();
    const pipe = new FakePipe();
    const reason = new Error("leaving");
    const leave = AbortSignal.abort(reason);
    await expect(copyBothWays(pipe, io, { halfClose: true, leave })).rejects.toBe(reason);
    expect(pipe.aborted).toBe(reason);
  });

  test("a stdout that breaks cuts the pipe", async () => {
    const { io, pipe, state, done } = start();
    io.stdout.on("error", () => {});
    io.stdout.pause();
    pipe.receive("x".repeat(200_000));
    await turns();
    const broken = new Error("EPIPE");
    io.stdout.destroy(broken);
    await done;
    expect([state.outcome, pipe.aborted]).toEqual([broken, broken]);
  });

  test("a connection that does not wind down is cut, and nothing is lost by it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { io, pipe, state, done } = start();
    pipe.lingers = true;
    io.stdin.end("a");
    pipe.receiveEnd();
    await turns();
    expect(state.outcome).toBeUndefined();
    vi.advanceTimersByTime(2_000);
    await done;
    expect(state.outcome).toBe("done");
    expect(pipe.aborted?.message).toContain("wind down");
  });
});

describe("where a stack cannot half-close", () => {
  const fake = (): void => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  };

  test("the end of stdin closes after a second without input", async () => {
    fake();
    const { io, pipe, state, done } = start({ halfClose: false });
    io.stdin.end("question");
    await turns();
    vi.advanceTimersByTime(999);
    await turns();
    expect(pipe.ended).toBe(false);
    pipe.receive("answer");
    await turns();
    vi.advanceTimersByTime(999);
    await turns();
    expect(pipe.ended).toBe(false);
    vi.advanceTimersByTime(1);
    await turns();
    await done;
    expect([state.outcome, pipe.ended, io.out.text]).toEqual(["done", true, "answer"]);
  });

  test("the other side's close ends it all", async () => {
    const { io, pipe, state, done } = start({ halfClose: false });
    pipe.receive("last");
    pipe.receiveEnd();
    await done;
    expect([state.outcome, io.out.text, io.stdin.destroyed]).toEqual(["done", "last", true]);
  });

  test("a cut is a cut, before the end of stdin and in the second after it", async () => {
    for (const ended of [false, true]) {
      const { io, pipe, state, done } = start({ halfClose: false });
      if (ended) io.stdin.end();
      await turns();
      const cut = new Error("cut");
      pipe.cut(cut);
      await done;
      expect(state.outcome).toBe(cut);
    }
  });

  test("an interruption does not wait for the second", async () => {
    const { io, leaving, state, done } = start({ halfClose: false });
    io.stdin.end();
    await turns();
    const reason = new Error("interrupted");
    leaving.abort(reason);
    await done;
    expect(state.outcome).toBe(reason);
  });
});

describe("echo", () => {
  test("sends back what comes, waits for the pipe, and ends when the other side does", async () => {
    const pipe = new FakePipe();
    const done = echo(pipe, new AbortController().signal);
    pipe.full = true;
    pipe.receive("a");
    await turns();
    pipe.receive("b");
    await turns();
    expect(pipe.text).toBe("a");
    pipe.empty();
    await turns();
    expect(pipe.text).toBe("ab");
    expect(pipe.ended).toBe(false);
    pipe.receiveEnd();
    await done;
    expect(pipe.ended).toBe(true);
  });

  test("rejects when the pipe is cut", async () => {
    const pipe = new FakePipe();
    const done = echo(pipe, new AbortController().signal);
    const cut = new Error("cut");
    pipe.cut(cut);
    await expect(done).rejects.toBe(cut);
  });

  test("says goodbye when it is time to leave, and waits for the other side's", async () => {
    const pipe = new FakePipe();
    const leaving = new AbortController();
    const done = echo(pipe, leaving.signal);
    leaving.abort();
    await turns();
    expect([pipe.ended, pipe.aborted]).toEqual([true, undefined]);
    pipe.receiveEnd();
    await done;
    const late = new FakePipe();
    const over = echo(late, AbortSignal.abort());
    late.receiveEnd();
    await over;
    expect(late.ended).toBe(true);
  });
});
