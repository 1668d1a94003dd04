import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { deferred, Fifo, Inbox, type InboxSource } from "../src/queue.ts";

describe("deferred", () => {
  it("settles from outside, once", async () => {
    const ok = deferred<number>();
    ok.resolve(1);
    ok.reject(new Error("too late"));
    await expect(ok.promise).resolves.toBe(1);
  });

  it("rejects to whoever awaits, and is never unhandled when nobody does", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    try {
      const reason = new Error("reason");
      deferred().reject(reason);
      const awaited = deferred();
      awaited.reject(reason);
      await expect(awaited.promise).rejects.toBe(reason);
      await new Promise((done) => setImmediate(done));
      expect(unhandled).not.toHaveBeenCalled();
    } finally {
      process.off("unhandledRejection", unhandled);
    }
  });
});

describe("Fifo", () => {
  it("behaves as an array, over any mix of calls", () => {
    const call = fc.oneof(
      { weight: 5, arbitrary: fc.constant("push" as const) },
      { weight: 5, arbitrary: fc.constant("shift" as const) },
      { weight: 1, arbitrary: fc.constant("clear" as const) },
    );
    fc.assert(
      fc.property(fc.array(call, { maxLength: 200 }), (calls) => {
        const fifo = new Fifo<number>();
        const model: number[] = [];
        for (const [i, name] of calls.entries()) {
          if (name === "push") {
            fifo.push(i);
            model.push(i);
          } else if (name === "shift") {
            expect(fifo.shift()).toBe(model.shift());
          } else {
            fifo.clear();
            model.length = 0;
          }
          expect(fifo.size).toBe(model.length);
          expect(fifo.peek()).toBe(model[0]);
        }
      }),
    );
  });

  it("keeps order while it gives memory back", () => {
    const fifo = new Fifo<number>();
    let [pushed, shifted] = [0, 0];
    while (pushed < 5_000) fifo.push(pushed++);
    for (let round = 0; round < 20_000; round++) {
      expect(fifo.shift()).toBe(shifted++);
      if (round % 2 === 0) fifo.push(pushed++);
      if (fifo.size === 0) break;
    }
    expect(fifo.size).toBe(pushed - shifted);
  });
});

function source(): InboxSource & { readonly log: string[] } {
  const log: string[] = [];
  return { log, pause: () => void log.push("pause"), resume: () => void log.push("resume") };
}
const chunk = (length: number, fill: number = 1): Uint8Array => new Uint8Array(length).fill(fill);

describe("Inbox", () => {
  it("hands chunks over in order, to a loop that waits and one that does not", async () => {
    const inbox = new Inbox(source());
    inbox.push(chunk(1, 1));
    inbox.push(chunk(1, 2));
    const seen: number[] = [];
    const reading = (async () => {
      for await (const bytes of inbox) seen.push(bytes[0] ?? 0);
    })();
    await Promise.resolve();
    inbox.push(chunk(1, 3));
    await new Promise((done) => setImmediate(done));
    inbox.push(chunk(1, 4));
    inbox.finish();
    await reading;
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  it("skips empty chunks: they would look like nothing to a byte reader", async () => {
    const inbox = new Inbox(source());
    inbox.push(chunk(0));
    inbox.finish();
    await expect(inbox.next()).resolves.toEqual({ done: true, value: undefined });
  });

  it("pauses its source at the mark and resumes it at half, once each", async () => {
    const from = source();
    const inbox = new Inbox(from, 100);
    inbox.push(chunk(60));
    expect(from.log).toEqual([]);
    inbox.push(chunk(40));
    inbox.push(chunk(10));
    expect(from.log).toEqual(["pause"]);
    await inbox.next();
    expect(from.log).toEqual(["pause", "resume"]);
    await inbox.next();
    await inbox.next();
    expect(from.log).toEqual(["pause", "resume"]);
  });

  it("pauses at 1,024 chunks, however small, and resumes at half of them", async () => {
    const from = source();
    const inbox = new Inbox(from, 1_000_000);
    for (let i = 0; i < 1_023; i++) inbox.push(chunk(1));
    expect(from.log).toEqual([]);
    inbox.push(chunk(1));
    inbox.push(chunk(1));
    expect(from.log).toEqual(["pause"]);
    for (let i = 0; i < 512; i++) await inbox.next();
    expect(from.log).toEqual(["pause"]);
    await inbox.next();
    expect(from.log).toEqual(["pause", "resume"]);
  });

  it("does not resume above half", async () => {
    const from = source();
    const inbox = new Inbox(from, 100);
    inbox.push(chunk(49));
    inbox.push(chunk(51));
    await inbox.next();
    expect(from.log).toEqual(["pause"]);
    await inbox.next();
    expect(from.log).toEqual(["pause", "resume"]);
  });

  it("counts nothing that went straight to a waiting reader", async () => {
    const from = source();
    const inbox = new Inbox(from, 10);
    for (let i = 0; i < 5; i++) {
      const next = inbox.next();
      inbox.push(chunk(10));
      await next;
    }
    expect(from.log).toEqual([]);
  });

  it("ends a waiting reader, and every later one", async () => {
    const inbox = new Inbox(source());
    const waiting = inbox.next();
    inbox.finish();
    inbox.finish(new Error("too late"));
    inbox.push(chunk(1));
    await expect(waiting).resolves.toMatchObject({ done: true });
    await expect(inbox.next()).resolves.toMatchObject({ done: true });
  });

  it("gives an error to a waiting reader, and every later one", async () => {
    const reason = new Error("cut");
    const inbox = new Inbox(source());
    const waiting = inbox.next();
    inbox.finish(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(inbox.next()).rejects.toBe(reason);
  });

  it("gives what it holds before the error", async () => {
    const reason = new Error("cut");
    const inbox = new Inbox(source());
    inbox.push(chunk(3));
    inbox.finish(reason);
    await expect(inbox.next()).resolves.toEqual({ done: false, value: chunk(3) });
    await expect(inbox.next()).rejects.toBe(reason);
  });

  it("drops what it holds when cleared, and counts from zero again", async () => {
    const from = source();
    const inbox = new Inbox(from, 100);
    inbox.push(chunk(90));
    inbox.clear();
    inbox.push(chunk(90, 2));
    expect(from.log).toEqual([]);
    await expect(inbox.next()).resolves.toEqual({ done: false, value: chunk(90, 2) });
  });

  it("refuses a second reader and keeps the first", async () => {
    const inbox = new Inbox(source());
    const first = inbox.next();
    await expect(inbox.next()).rejects.toThrow(TypeError);
    inbox.push(chunk(1));
    await expect(first).resolves.toMatchObject({ done: false });
  });

  it("takes back a read that waits, and has lost nothing", async () => {
    const inbox = new Inbox(source());
    const first = inbox.next();
    await expect(inbox.return()).resolves.toMatchObject({ done: true });
    await expect(first).resolves.toMatchObject({ done: true });
    inbox.push(chunk(1));
    await inbox.return();
    await expect(inbox.next()).resolves.toEqual({ done: false, value: chunk(1) });
    const arrived = inbox.next();
    inbox.push(chunk(2));
    await inbox.return();
    await expect(arrived).resolves.toEqual({ done: false, value: chunk(2) });
    inbox.finish();
    await inbox.return();
    await expect(inbox.next()).resolves.toMatchObject({ done: true });
  });

  it("is its own iterator", () => {
    const inbox = new Inbox(source());
    expect(inbox[Symbol.asyncIterator]()).toBe(inbox);
  });

  it("keeps order and its bound against any source that obeys, in any interleaving", async () => {
    const step = fc.oneof(fc.constant("read" as const), fc.integer({ min: 1, max: 60 }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 100 }), async (steps) => {
        let [paused, sent, held] = [false, 0, 0];
        const inbox = new Inbox(
          {
            pause: () => {
              expect(paused).toBe(false);
              paused = true;
            },
            resume: () => {
              expect(paused).toBe(true);
              paused = false;
            },
          },
          100,
        );
        const sizes: number[] = [];
        for (const what of steps) {
          if (what === "read") {
            const size = sizes.shift();
            if (size === undefined) continue;
            held -= size;
            const { value } = await inbox.next();
            expect(value).toHaveLength(size);
          } else if (!paused) {
            inbox.push(chunk(what, sent++));
            sizes.push(what);
            held += what;
          }
          expect(held).toBeLessThan(160);
          if (held >= 100) expect(paused).toBe(true);
          if (held <= 50) expect(paused).toBe(false);
        }
      }),
    );
  });
});
