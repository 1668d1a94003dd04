/** The small machines of a kcp session, each by itself. */

import { concat, equal } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Farewell } from "../../src/kcp/farewell.ts";
import { Intake } from "../../src/kcp/intake.ts";
import { Kcp } from "../../src/kcp/machine.ts";
import { Path } from "../../src/kcp/path.ts";
import { PathMtu } from "../../src/kcp/path-mtu.ts";
import { cut, PIECE_HEADER, Pieces } from "../../src/kcp/pieces.ts";
import { REPLAY_WINDOW, ReplayWindow } from "../../src/kcp/replay.ts";
import { settingsOf, sizesUpTo } from "../../src/kcp/settings.ts";
import { Watch } from "../../src/kcp/watch.ts";
import { Outgoing } from "../../src/udp/outgoing.ts";

const HOME = { address: "10.0.0.1", port: 1 };
const AWAY = { address: "10.0.0.2", port: 2 };

/** Different every time, the same in every run. */
function numbered(): (length: number) => Uint8Array {
  let count = 0;
  return (length) => new Uint8Array(length).fill(++count);
}

describe("a replay window", () => {
  it("says of every number what a list of all of them would", () => {
    const steps = fc.array(fc.integer({ min: -1_500, max: 1_500 }), { maxLength: 300 });
    fc.assert(
      fc.property(steps, fc.nat(2 ** 40), (moves, start) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        let highest = -1;
        let at = start;
        for (const move of moves) {
          at = Math.max(0, at + move);
          const fresh = !seen.has(at) && at > highest - REPLAY_WINDOW;
          expect(window.accepts(at)).toBe(fresh);
          if (!fresh) continue;
          window.mark(at);
          seen.add(at);
          highest = Math.max(highest, at);
        }
      }),
    );
  });

  it("accepts nothing twice, and all of 1,024 that come backwards", () => {
    const window = new ReplayWindow();
    for (let number = REPLAY_WINDOW; number > 0; number--) {
      expect(window.accepts(number)).toBe(true);
      window.mark(number);
      expect(window.accepts(number)).toBe(false);
    }
    expect(window.accepts(0)).toBe(false);
  });
});

describe("pieces", () => {
  it("make the whole again, in any order", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 3_000 }),
        fc.integer({ min: 540, max: 1_200 }),
        fc.integer(),
        (bytes, room, salt) => {
          const all = cut(7, 4, bytes, room);
          expect(Math.max(...all.map(({ length }) => length))).toBeLessThanOrEqual(room);
          if (all.length < 2) return;
          const mixed = all
            .map((piece, i) => ({ piece, key: Math.imul(i + 1, salt | 1) }))
            .sort((a, b) => a.key - b.key);
          const pieces = new Pieces(3_001);
          const wholes = mixed.map(({ piece }) => pieces.add(piece)).filter(Boolean);
          expect(wholes.length).toBe(1);
          expect(wholes[0]?.[0]).toBe(4);
          expect(equal(wholes[0]?.subarray(1) ?? bytes, bytes)).toBe(true);
        },
      ),
    );
  });

  it("of strangers never grow beyond a few packets, and never throw", () => {
    const pieces = new Pieces(1_500);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1_400 }), (piece) => {
        const whole = pieces.add(piece);
        if (whole !== undefined) expect(whole.length).toBeLessThanOrEqual(1_500);
      }),
      { numRuns: 1_000 },
    );
  });

  it("that do not agree on their number, or make too much, come to nothing", () => {
    const pieces = new Pieces(20);
    const piece = (index: number, count: number, length: number): Uint8Array =>
      concat(Uint8Array.of(1, 0, index, count), new Uint8Array(length));
    expect(pieces.add(piece(0, 2, 15))).toBeUndefined();
    expect(pieces.add(piece(1, 3, 1))).toBeUndefined();
    expect(pieces.add(piece(1, 2, 6))).toBeUndefined();
    expect(pieces.add(piece(2, 2, 1))).toBeUndefined();
    expect(pieces.add(piece(0, 2, 1))).toBeUndefined();
    expect(pieces.add(piece(1, 2, 5))?.length).toBe(20);
    expect(pieces.add(new Uint8Array(PIECE_HEADER))).toBeUndefined();
    expect(pieces.add(piece(0, 1, 3))).toBeUndefined();
  });
});

describe("outgoing bytes", () => {
  it("come out in order, in runs as long as asked for", () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 });
    fc.assert(
      fc.property(chunks, fc.integer({ min: 1, max: 40 }), (given, room) => {
        const outgoing = new Outgoing();
        for (const chunk of given) outgoing.push(chunk);
        const taken: Uint8Array[] = [];
        while (outgoing.bytes > 0) taken.push(outgoing.take(new Uint8Array(room)).slice());
        expect(concat(...taken)).toEqual(concat(...given));
        expect(taken.slice(0, -1).every(({ length }) => length === room)).toBe(true);
        expect(outgoing.take(new Uint8Array(room)).length).toBe(0);
      }),
    );
  });
});

describe("a path", () => {
  it("asks a new place a few times, within what came from there", () => {
    const path = new Path(HOME, numbered());
    expect(path.due).toBe(Number.POSITIVE_INFINITY);
    path.heard(HOME, 1_000, 0);
    expect(path.poll(0)).toBeUndefined();
    path.heard(AWAY, 33, 0);
    expect(path.poll(0)?.to).toEqual(AWAY);
    expect(path.poll(10_000)).toBeUndefined();
    path.heard(AWAY, 1_000, 20);
    for (let i = 1; i < 4; i++) expect(path.poll(i * 250)?.to).toEqual(AWAY);
    expect(path.poll(10_000)).toBeUndefined();
    expect(path.due).toBe(Number.POSITIVE_INFINITY);
  });

  it("looks at one place at a time, and at the next when that one has had its time", () => {
    const path = new Path(HOME, numbered());
    path.heard(AWAY, 100, 0);
    const third = { address: "10.0.0.3", port: 3 };
    path.heard(third, 100, 999);
    expect(path.poll(999)?.to).toEqual(AWAY);
    path.heard(third, 100, 1_000);
    const challenge = path.poll(1_000);
    expect(challenge?.to).toEqual(third);
    const nonce = challenge?.nonce ?? new Uint8Array(8);
    expect(path.answered(nonce, AWAY)).toBe(false);
    expect(path.answered(nonce, third)).toBe(true);
    expect(path.place).toEqual(third);
    expect(path.answered(nonce, third)).toBe(false);
  });
});

describe("the path's size", () => {
  it("grows by what is answered, and leaves a size alone that is not", () => {
    const mtu = new PathMtu([1_200, 1_400, 1_472], 0, numbered());
    expect(mtu.size).toBe(1_200);
    const first = mtu.poll(0);
    expect(first?.size).toBe(1_400);
    expect(mtu.poll(10)).toBeUndefined();
    expect(mtu.answered(new Uint8Array(8), 20)).toBe(false);
    expect(mtu.answered(first?.nonce ?? new Uint8Array(8), 20)).toBe(true);
    expect(mtu.size).toBe(1_400);
    for (let i = 0; i < 3; i++) expect(mtu.poll(20 + 500 * i)?.size).toBe(1_472);
    expect(mtu.poll(1_520)).toBeUndefined();
    expect(mtu.due).toBe(601_520);
    expect(mtu.poll(601_520)?.size).toBe(1_472);
  });

  it("falls in two steps and climbs again", () => {
    const mtu = new PathMtu([1_200, 1_400], 0, numbered());
    const probe = mtu.poll(0);
    mtu.answered(probe?.nonce ?? new Uint8Array(8), 0);
    expect([mtu.fall(100), mtu.size]).toEqual([true, 1_200]);
    expect([mtu.fall(200), mtu.size]).toEqual([true, 548]);
    expect([mtu.fall(300), mtu.size]).toEqual([false, 548]);
    expect(mtu.poll(10_199)).toBeUndefined();
    expect(mtu.poll(10_200)?.size).toBe(1_200);
  });

  it("has the sizes that the agreed largest one allows", () => {
    expect(sizesUpTo(1_472)).toEqual([1_200, 1_400, 1_452, 1_472]);
    expect(sizesUpTo(1_452)).toEqual([1_200, 1_400, 1_452]);
    expect(sizesUpTo(900)).toEqual([900]);
    expect(sizesUpTo(8_972)).toEqual([1_200, 8_972]);
    expect(new PathMtu([900], 0, numbered()).due).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("a watch", () => {
  it("pings after silence, then in a hurry, then gives up", () => {
    const watch = new Watch(10_000, 30_000, 0);
    expect([watch.due, watch.mustPing(9_999), watch.mustPing(10_000)]).toEqual([
      10_000,
      false,
      true,
    ]);
    expect([watch.due, watch.mustPing(12_500), watch.lost(29_999)]).toEqual([12_500, true, false]);
    expect(watch.lost(30_000)).toBe(true);
    watch.heard(30_000);
    expect([watch.lost(30_000), watch.due]).toEqual([false, 40_000]);
  });

  it("says stuck when nothing under way arrives for long, and only then", () => {
    const watch = new Watch(10_000, 30_000, 0);
    const at = (sendUna: number, now: number, inFlight: number = 5, rto: number = 30): boolean =>
      watch.stuck({ sendUna, inFlight, rto }, now);
    expect([at(1, 0), at(1, 1_499), at(1, 1_500), at(1, 2_999), at(1, 3_000)]).toEqual([
      false,
      false,
      true,
      false,
      true,
    ]);
    expect([at(2, 4_000), at(2, 9_000, 0), at(2, 10_000), at(2, 12_000, 5, 1_000)]).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
});

describe("a farewell", () => {
  it("is said five times with growing pauses", () => {
    const farewell = new Farewell((answer) => Uint8Array.of(answer ? 1 : 0));
    const said: number[] = [];
    for (let now = 0; !farewell.over(now); now += 10) {
      if (farewell.poll(now) !== undefined) said.push(now);
    }
    expect(said).toEqual([0, 80, 240, 560, 1_200]);
    expect(farewell.poll(10_000)).toBeUndefined();
  });
});

describe("an intake", () => {
  /** What a sender's messages come to. */
  function receive(messages: readonly Uint8Array[], pauseAfter: number = Number.POSITIVE_INFINITY) {
    const chunks: Uint8Array[] = [];
    const receiver: Kcp = new Kcp(1, () => {}, { mtu: 9_000 });
    const sender = new Kcp(1, (datagram) => void receiver.input(datagram.slice(), 0), {
      congestion: "off",
      mtu: 9_000,
    });
    for (const message of messages) sender.send(message);
    sender.update(0);
    const intake = new Intake(receiver, (chunk) => {
      chunks.push(chunk);
      if (chunks.length === pauseAfter) intake.paused = true;
    });
    return { intake, chunks };
  }

  it("joins segments into chunks, and ends at an empty message, whatever follows", () => {
    const full = new Uint8Array(1_300).fill(1);
    const { intake, chunks } = receive([full, full, new Uint8Array(5), new Uint8Array(0), full]);
    expect(intake.deliver()).toBe(true);
    expect(chunks.map(({ length }) => length)).toEqual([2_605]);
    expect([intake.ended, intake.empty, intake.deliver()]).toEqual([true, true, false]);
  });

  it("hands nothing on while paused", () => {
    const full = new Uint8Array(8_900);
    const { intake, chunks } = receive(
      Array.from({ length: 10 }, () => full),
      1,
    );
    intake.deliver();
    expect([chunks.length, intake.empty, intake.deliver()]).toEqual([1, false, false]);
    intake.paused = false;
    while (!intake.empty) intake.deliver();
    expect(concat(...chunks).length).toBe(89_000);
  });
});

describe("settings", () => {
  it("refuse what makes no sense, naming it", () => {
    const bad: [Parameters<typeof settingsOf>[0], RegExp][] = [
      [{ fec: { data: 0, parity: 1 } }, /fec\.data/],
      [{ fec: { data: 60, parity: 5 } }, /fec\.parity/],
      [{ mtu: 500 }, /mtu/],
      [{ mtu: 70_000 }, /mtu/],
      [{ window: 3 }, /window/],
      [{ keepaliveMs: 0 }, /keepaliveMs/],
      [{ idleTimeoutMs: Number.POSITIVE_INFINITY }, /idleTimeoutMs/],
      [{ openTimeoutMs: -1 }, /openTimeoutMs/],
      [{ maxConnections: 0.5 }, /maxConnections/],
      [{ fastResend: 256 }, /fastResend/],
      [{ noDelay: 3 as 2 }, /noDelay/],
      [{ congestion: "much" as "off" }, /congestion/],
    ];
    for (const [options, name] of bad) expect(() => settingsOf(options)).toThrow(name);
  });
});
