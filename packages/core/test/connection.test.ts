/** The wire that handshakes read from: exact lengths, what is left over, and a look-out for a hang-up. */

import { describe, expect, it } from "vitest";
import { concat, toUtf8 } from "../src/bytes.ts";
import { type Connection, Wire } from "../src/connection.ts";
import { deferred } from "../src/queue.ts";
import { SealedConnection } from "../src/session.ts";
import { ManualConnection } from "./support/manual-connection.ts";
import { toySession } from "./support/toy-transform.ts";

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function start(): { below: ManualConnection; wire: Wire } {
  const below = new ManualConnection();
  return { below, wire: new Wire(below) };
}

describe("a wire", () => {
  it("reads exact lengths in any cut, and hands over the rest", async () => {
    const { below, wire } = start();
    below.receive(toUtf8("a"), toUtf8("bcdef"), toUtf8("gh"));
    expect(await wire.read(2)).toEqual(toUtf8("ab"));
    expect(await wire.read(0)).toEqual(new Uint8Array(0));
    expect(await wire.read(5)).toEqual(toUtf8("cdefg"));
    expect(wire.rest()).toEqual(toUtf8("h"));
  });

  it("rejects when the other side ends first, and with the reason of a cut", async () => {
    const ended = start();
    ended.below.receive(toUtf8("a"));
    ended.below.finish();
    await expect(ended.wire.read(2)).rejects.toMatchObject({ code: "TRUNCATED" });
    const cut = start();
    const reason = new Error("the deadline");
    cut.below.abort(reason);
    await expect(cut.wire.read(1)).rejects.toBe(reason);
  });

  it("writes through", () => {
    const { below, wire } = start();
    wire.write(toUtf8("a"), toUtf8("b"));
    expect(below.writes).toEqual([toUtf8("ab")]);
  });
});

describe("a wire during other work", () => {
  it("gives what the work settles to, and can be read as before", async () => {
    const { below, wire } = start();
    expect(await wire.during(Promise.resolve("done"))).toBe("done");
    const reason = new Error("the work failed");
    await expect(wire.during(Promise.reject(reason))).rejects.toBe(reason);
    below.receive(toUtf8("abc"));
    expect(await wire.read(2)).toEqual(toUtf8("ab"));
    expect(await wire.during(Promise.resolve("again"))).toBe("again");
    expect(wire.rest()).toEqual(toUtf8("c"));
  });

  it("keeps what arrives meanwhile, and watches no more", async () => {
    const { below, wire } = start();
    const work = deferred<string>();
    const waiting = wire.during(work.promise);
    below.receive(toUtf8("ab"), toUtf8("c"));
    await tick();
    below.finish();
    await tick();
    work.resolve("done");
    expect(await waiting).toBe("done");
    expect(await wire.read(3)).toEqual(toUtf8("abc"));
  });

  it("notices a hang-up and a cut at once, whatever comes of the work", async () => {
    for (const late of ["resolve", "reject"] as const) {
      const ended = start();
      const work = deferred<unknown>();
      const waiting = ended.wire.during(work.promise);
      ended.below.finish();
      await expect(waiting).rejects.toMatchObject({ code: "TRUNCATED" });
      work[late](new Error("too late"));
    }
    const cut = start();
    const reason = new Error("the deadline");
    const waiting = cut.wire.during(new Promise(() => {}));
    cut.below.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  it("loses nothing when a chunk and the end of the work meet, over one layer or two", async () => {
    for (const layers of [0, 1, 2]) {
      for (let ticks = 0; ticks < 16; ticks++) {
        const below = new ManualConnection();
        let pipe: Connection = below;
        let sent = toUtf8("hello");
        for (let i = 0; i < layers; i++) {
          pipe = new SealedConnection(pipe, toySession());
          sent = concat(...toySession().seal([sent]));
        }
        const wire = new Wire(pipe);
        const work = deferred<void>();
        const waiting = wire.during(work.promise);
        await tick();
        below.receive(sent);
        for (let i = 0; i < ticks; i++) await undefined;
        work.resolve();
        await waiting;
        expect(await wire.read(5)).toEqual(toUtf8("hello"));
      }
    }
  });

  it("only waits where a read cannot be taken back", async () => {
    const below = new ManualConnection();
    const chunks = below[Symbol.asyncIterator]();
    below[Symbol.asyncIterator] = () => ({ next: () => chunks.next() });
    const wire = new Wire(below);
    const work = deferred<string>();
    const waiting = wire.during(work.promise);
    below.receive(toUtf8("a"));
    below.finish();
    await tick();
    work.resolve("done");
    expect(await waiting).toBe("done");
    expect(await wire.read(1)).toEqual(toUtf8("a"));
  });
});
