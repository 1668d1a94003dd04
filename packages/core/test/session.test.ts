import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, toUtf8 } from "../src/bytes.ts";
import { composeSessions, SealedConnection } from "../src/session.ts";
import type { Session } from "../src/transform.ts";
import { ManualConnection } from "./support/manual-connection.ts";
import { type ToyOptions, toySession } from "./support/toy-transform.ts";

const KEY = new Uint8Array(32).fill(1);
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The two ends of a chain: `inner` next to the wire. */
function chain(...options: readonly ToyOptions[]): { here: Session; there: Session } {
  const end = (): Session =>
    options.map((each) => toySession(each)).reduce((inner, outer) => composeSessions(inner, outer));
  return { here: end(), there: end() };
}

const INNER: ToyOptions = { shift: 3 };
const OUTER: ToyOptions = { shift: 5 };

describe("a chain of sessions", () => {
  it("seals from the outside in and opens from the inside out, in any cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 600 }), { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 3 }),
        (plain, cuts, length) => {
          const shifts = [3, 5, 7].slice(0, length).map((shift) => ({ shift }));
          const { here, there } = chain(...shifts);
          const sealed = concat(...here.seal(plain));
          const opened: Uint8Array[] = [];
          for (let at = 0, i = 0; at < sealed.length; i++) {
            const end = at + (cuts[i % cuts.length] as number);
            opened.push(...there.open(sealed.subarray(at, end)));
            at = end;
          }
          expect(concat(...opened)).toEqual(concat(...plain));
        },
      ),
    );
  });

  it("has the outermost key, word and exported key that there is", () => {
    const key = new Uint8Array(32).fill(2);
    const both = chain(
      { key: KEY, auth: "in" },
      { key, auth: "out", exports: true, shift: 9 },
    ).here;
    expect([both.remoteKey, both.auth, both.exportKey?.("x")[0]]).toEqual([key, "out", 9]);
    const inside = chain({ key: KEY, auth: "in", exports: true, shift: 8 }, {}).here;
    expect([inside.remoteKey, inside.auth, inside.exportKey?.("x")[0]]).toEqual([KEY, "in", 8]);
    const none = chain({}, {}).here;
    expect([none.remoteKey, none.auth, "exportKey" in none]).toEqual([undefined, undefined, false]);
    expect(both.boxBytes).toBe(255);
  });

  it("is ended when every goodbye was seen, the outer's within the inner's boxes", () => {
    const { here, there } = chain(INNER, OUTER);
    expect(there.ended).toBe(false);
    const goodbye = here.end?.() ?? new Uint8Array(0);
    expect(goodbye).toEqual(Uint8Array.of(1, 0 + 3, 0));
    there.open(goodbye.subarray(0, 2));
    expect(there.ended).toBe(false);
    there.open(goodbye.subarray(2));
    expect(there.ended).toBe(true);
  });

  it("says goodbye with those that can", () => {
    const silent: ToyOptions = { goodbye: false };
    const inner = chain(INNER, silent);
    expect(inner.here.end?.()).toEqual(Uint8Array.of(0));
    inner.there.open(Uint8Array.of(0));
    expect(inner.there.ended).toBe(true);
    const outer = chain(silent, OUTER);
    expect(outer.here.end?.()).toEqual(Uint8Array.of(1, 1));
    expect(outer.there.ended).toBe(false);
    outer.there.open(Uint8Array.of(1, 1));
    expect(outer.there.ended).toBe(true);
  });

  it("of sessions without a goodbye has none either", () => {
    const { here } = chain({ goodbye: false }, { goodbye: false });
    expect(here.end).toBeUndefined();
    expect(here.ended).toBe(true);
  });
});

describe("a sealed connection", () => {
  function sealed(options: { toy?: ToyOptions; opened?: Uint8Array[]; rest?: Uint8Array } = {}): {
    below: ManualConnection;
    pipe: SealedConnection;
    far: Session;
  } {
    const below = new ManualConnection();
    const session = toySession(options.toy);
    const pipe = new SealedConnection(below, session, options.opened, options.rest);
    return { below, pipe, far: toySession(options.toy) };
  }

  async function readAll(pipe: SealedConnection): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of pipe) chunks.push(chunk);
    return new TextDecoder().decode(concat(...chunks));
  }

  it("gives what came with the handshake, what came behind it, then what comes", async () => {
    const far = toySession();
    const rest = concat(...far.seal([toUtf8("two ")]));
    const { below, pipe } = sealed({ opened: [toUtf8("one ")], rest });
    below.receive(...far.seal([toUtf8("three")]), far.end?.() ?? new Uint8Array(0));
    expect(await readAll(pipe)).toBe("one two three");
    expect(pipe[Symbol.asyncIterator]()).toBe(pipe);
  });

  it("seals what is written, and says goodbye once when it ends", async () => {
    const { below, pipe, far } = sealed();
    expect(pipe.write(toUtf8("a"), toUtf8("b"))).toBe(true);
    below.welcome = false;
    expect(pipe.write(toUtf8("c"))).toBe(false);
    below.relax();
    await pipe.drain();
    await Promise.all([pipe.end(), pipe.end()]);
    expect(pipe.write(toUtf8("too late"))).toBe(false);
    expect(new TextDecoder().decode(concat(...far.open(below.written)))).toBe("abc");
    expect(far.ended).toBe(true);
  });

  it("ends the connection below only when the other side has said goodbye, so that its answer comes through", async () => {
    const { below, pipe, far } = sealed();
    await pipe.end();
    expect(below.ended).toBe(false);
    below.receive(...far.seal([toUtf8("the answer")]));
    below.receive(far.end?.() ?? new Uint8Array(0));
    expect(await readAll(pipe)).toBe("the answer");
    expect(below.ended).toBe(true);
  });

  it("ends the connection below at once when the other side was first", async () => {
    const { below, pipe, far } = sealed();
    below.receive(far.end?.() ?? new Uint8Array(0));
    expect(await readAll(pipe)).toBe("");
    expect(below.ended).toBe(false);
    await pipe.end();
    expect(below.ended).toBe(true);
  });

  it("finds the other side's goodbye when nobody reads any more", async () => {
    const { below, pipe, far } = sealed();
    await pipe.end();
    below.receive(...far.seal([toUtf8("nobody cares")]));
    below.receive(far.end?.() ?? new Uint8Array(0));
    await tick();
    expect(below.ended).toBe(true);
    below.finish();
    expect(await pipe.closed).toBeUndefined();
    expect(await readAll(pipe)).toBe("nobody cares");
  });

  it("reads a bounded way ahead in search of it", async () => {
    const { below, pipe, far } = sealed();
    await pipe.end();
    const chunk = new Uint8Array(1_000).fill(97);
    for (let i = 0; i < 100; i++) below.receive(...far.seal([chunk]));
    below.receive(far.end?.() ?? new Uint8Array(0));
    await tick();
    expect(below.ended).toBe(false);
    expect(await readAll(pipe)).toBe("a".repeat(100_000));
    expect(below.ended).toBe(true);
  });

  it("tells the reader what it found instead of a goodbye", async () => {
    const { below, pipe, far } = sealed();
    await pipe.end();
    below.receive(...far.seal([toUtf8("and then")]));
    below.finish();
    expect(await pipe.closed).toMatchObject({ code: "TRUNCATED" });
    expect(await pipe.next()).toEqual({ done: false, value: toUtf8("and then") });
    await expect(pipe.next()).rejects.toMatchObject({ code: "TRUNCATED" });
  });

  it("closes when the other side has ended too", async () => {
    const { below, pipe, far } = sealed();
    let closed = false;
    const closing = pipe.close().then(() => {
      closed = true;
    });
    await tick();
    expect(closed).toBe(false);
    below.receive(far.end?.() ?? new Uint8Array(0));
    below.finish();
    await closing;
    expect(await pipe.closed).toBeUndefined();
  });

  it("closes nothing below before the other side has finished: that may end both directions", async () => {
    const { below, pipe, far } = sealed();
    const closing = pipe.close();
    below.receive(...far.seal([toUtf8("what is left to say")]));
    await tick();
    expect(below.ended).toBe(false);
    expect(await pipe.next()).toMatchObject({ value: toUtf8("what is left to say") });
    const reason = new Error("waited long enough");
    pipe.abort(reason);
    await closing;
    expect(await pipe.closed).toBe(reason);
  });

  it("takes back a read that waits, and has lost nothing", async () => {
    const { below, pipe, far } = sealed();
    await expect(pipe.return?.()).resolves.toMatchObject({ done: true });
    const waiting = pipe.next();
    const [box] = [concat(...far.seal([toUtf8("hello")]))];
    below.receive(box.subarray(0, 2));
    await tick();
    await pipe.return?.();
    expect(await waiting).toMatchObject({ done: true });
    below.receive(box.subarray(2));
    expect(await pipe.next()).toEqual({ done: false, value: toUtf8("hello") });
    expect(below.aborted).toBeUndefined();
  });

  it("has lost nothing either when a chunk arrives in that very moment, layers above too", async () => {
    for (let ticks = 0; ticks < 12; ticks++) {
      const { below, pipe, far } = sealed();
      const farAbove = toySession(OUTER);
      const above = new SealedConnection(pipe, toySession(OUTER));
      const whole = toUtf8("hello");
      const waiting = above.next();
      below.receive(...far.seal(farAbove.seal([whole])));
      for (let i = 0; i < ticks; i++) await undefined;
      await above.return?.();
      const { done, value } = await waiting;
      const got = done === true ? concat(...above.leftover()) : value;
      if (got.length === 0) expect(await above.next()).toEqual({ done: false, value: whole });
      else expect(got).toEqual(whole);
    }
  });

  it("cannot take back where the connection below cannot", () => {
    const below = new ManualConnection();
    const { next } = below[Symbol.asyncIterator]();
    below[Symbol.asyncIterator] = () => ({ next });
    expect(new SealedConnection(below, toySession()).return).toBeUndefined();
  });

  it("takes an end without the goodbye for a truncation", async () => {
    const { below, pipe, far } = sealed();
    below.receive(...far.seal([toUtf8("half of it")]));
    below.finish();
    await expect(readAll(pipe)).rejects.toMatchObject({ code: "TRUNCATED" });
    expect(below.aborted).toMatchObject({ code: "TRUNCATED" });
    expect(await pipe.closed).toMatchObject({ code: "TRUNCATED" });
  });

  it("is no clean end when the connection closed cleanly, and no goodbye is in what was not yet read", async () => {
    const { below, pipe, far } = sealed();
    const closed = pipe.closed;
    below.receive(...far.seal([toUtf8("half of it")]));
    below.finish();
    await below.end();
    expect(await closed).toMatchObject({ code: "TRUNCATED" });
    expect(await pipe.next()).toEqual({ done: false, value: toUtf8("half of it") });
    await expect(pipe.next()).rejects.toMatchObject({ code: "TRUNCATED" });

    const clean = sealed();
    const ended = clean.pipe.closed;
    clean.below.receive(...clean.far.seal([toUtf8("all of it")]));
    clean.below.receive(clean.far.end?.() ?? new Uint8Array(0));
    clean.below.finish();
    await clean.below.end();
    expect(await ended).toBeUndefined();
    expect(await readAll(clean.pipe)).toBe("all of it");
  });

  it("takes the end itself where there is no goodbye", async () => {
    const { below, pipe, far } = sealed({ toy: { goodbye: false } });
    below.receive(...far.seal([toUtf8("all of it")]));
    below.finish();
    expect(await readAll(pipe)).toBe("all of it");
    await pipe.end();
    expect(below.ended).toBe(true);
  });

  it("aborts on what cannot be opened, and on request", async () => {
    const { below, pipe } = sealed({ toy: { goodbye: false } });
    below.receive(Uint8Array.of(0));
    await expect(readAll(pipe)).rejects.toMatchObject({ code: "FRAME_MALFORMED" });
    expect(below.aborted).toMatchObject({ code: "FRAME_MALFORMED" });
    const other = sealed();
    const reason = new Error("enough");
    other.pipe.abort(reason);
    expect(await other.pipe.closed).toBe(reason);
    await expect(readAll(other.pipe)).rejects.toBe(reason);
  });

  it("shows the connection below", () => {
    const { below, pipe } = sealed();
    expect([pipe.remote, pipe.local]).toEqual([below.remote, true]);
  });

  it("hands over what nobody has read, through every layer, and keeps none", async () => {
    const inner = toySession(INNER);
    const outer = toySession(OUTER);
    const farInner = toySession(INNER);
    const farOuter = toySession(OUTER);
    const first = concat(...farInner.seal(farOuter.seal([toUtf8("first ")])));
    const second = concat(...farInner.seal(farOuter.seal([toUtf8("second")])));
    const below = new SealedConnection(new ManualConnection(), inner, [], concat(first, second));
    const above = new SealedConnection(below, outer, [toUtf8("zeroth ")]);
    const left = above.leftover();
    expect(new TextDecoder().decode(concat(...left))).toBe("zeroth first second");
    expect(above.leftover()).toEqual([]);
    expect(below.leftover()).toEqual([]);
  });
});
