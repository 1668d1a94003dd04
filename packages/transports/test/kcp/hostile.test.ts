/**
 * Hostile input: no datagram makes the machine throw, loop or grow beyond its windows, and where the
 * datagrams did not speak for the peer, an honest exchange works afterwards.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Kcp, type KcpOptions } from "../../src/kcp/machine.ts";
import { writeHeader } from "../../src/kcp/segment.ts";

const CONV = 7;
const WINDOW = 32;
const OPTIONS: KcpOptions = { sendWindow: WINDOW, receiveWindow: WINDOW, mtu: 200 };
const RUNS = 300;

const policies = fc.constantFrom("modern" as const, "classic" as const);
/** Numbers close to what the machine has in use, close to where they wrap, and any. */
const number32 = fc.oneof(
  fc.integer({ min: 0, max: 2 * WINDOW }),
  fc.integer({ min: 0xffff_ff00, max: 0xffff_ffff }),
  fc.integer({ min: 0x7fff_ff00, max: 0x8000_0100 }),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);
const segment = fc
  .record({
    conv: fc.oneof(
      { weight: 20, arbitrary: fc.constant(CONV) },
      { weight: 1, arbitrary: number32 },
    ),
    cmd: fc.oneof({ weight: 20, arbitrary: fc.integer({ min: 81, max: 84 }) }, fc.nat(255)),
    frg: fc.oneof(fc.constant(0), fc.nat(255)),
    wnd: fc.oneof(fc.constant(0), fc.nat(64), fc.nat(0xffff)),
    ts: number32,
    sn: number32,
    una: number32,
    data: fc.uint8Array({ maxLength: 64 }),
    /** What the header says of the length, if not the truth. */
    lie: fc.option(number32, { freq: 20 }),
  })
  .map(({ conv, cmd, frg, wnd, ts, sn, una, data, lie }) => {
    const bytes = new Uint8Array(24 + data.length);
    writeHeader(bytes, 0, conv, cmd, frg, wnd, ts, sn, una, lie ?? data.length);
    bytes.set(data, 24);
    return bytes;
  });
const forged = fc
  .array(segment, { minLength: 1, maxLength: 12 })
  .map((all) => Uint8Array.from(Buffer.concat(all)));

/** What a machine may do between two datagrams. */
const step = fc.oneof(
  { weight: 4, arbitrary: forged.map((datagram) => ({ datagram })) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((datagram) => ({ datagram })) },
  { weight: 1, arbitrary: fc.constant({ send: true }) },
  { weight: 1, arbitrary: fc.constant({ recv: true }) },
);

/** A machine, the bytes it put out, and its time. */
class Victim {
  readonly kcp: Kcp;
  out: Uint8Array[] = [];
  now = 0xffff_ff00;

  constructor(options: KcpOptions = {}) {
    const output = (datagram: Uint8Array): void => {
      expect(datagram.length).toBeLessThanOrEqual(200);
      this.out.push(datagram.slice());
    };
    this.kcp = new Kcp(CONV, output, { ...OPTIONS, ...options });
    this.kcp.update(this.now);
  }

  /** Lets time pass and the machine act; it must come to rest. */
  act(ms = 7): void {
    this.now += ms;
    this.kcp.update(this.now);
    expect(this.kcp.check(this.now)).toBeGreaterThanOrEqual(this.now);
    this.#bounded();
  }

  #bounded(): void {
    const { statistics } = this.kcp;
    const window = Math.max(WINDOW, 128);
    expect(statistics.inFlight).toBeLessThanOrEqual(WINDOW);
    expect(statistics.receiveReady).toBeLessThanOrEqual(window);
    expect(statistics.receiveAhead).toBeLessThanOrEqual(window);
    expect(statistics.acksPending).toBeLessThanOrEqual(256);
    expect((statistics.sendNext - statistics.sendUna) | 0).toBeGreaterThanOrEqual(0);
    expect((statistics.sendNext - statistics.sendUna) | 0).toBeLessThanOrEqual(WINDOW);
    expect(statistics.rto).toBeGreaterThan(0);
    expect(statistics.rto).toBeLessThanOrEqual(60_000);
  }
}

/** Carries what each put out to the other until both are done, and gives what the second received. */
function exchange(from: Victim, to: Victim, message: Uint8Array): Uint8Array[] {
  from.out = [];
  to.out = [];
  expect(from.kcp.send(message)).toBe(message.length);
  const received: Uint8Array[] = [];
  for (let i = 0; i < 200 && from.kcp.waitSend > 0; i++) {
    from.act(10);
    for (const datagram of from.out.splice(0)) to.kcp.input(datagram, to.now);
    for (let one = to.kcp.recv(); one !== undefined; one = to.kcp.recv()) received.push(one);
    to.act(10);
    for (const datagram of to.out.splice(0)) from.kcp.input(datagram, from.now);
  }
  expect(from.kcp.waitSend).toBe(0);
  return received;
}

describe("a machine under hostile input", () => {
  it("never throws, and stays within its bounds", () => {
    fc.assert(
      fc.property(policies, fc.array(step, { maxLength: 40 }), (policy, steps) => {
        const victim = new Victim({ policy });
        for (const one of steps) {
          if ("datagram" in one) {
            const result = victim.kcp.input(one.datagram, victim.now);
            expect([0, -1, -2, -3]).toContain(result);
          } else if ("send" in one) victim.kcp.send(new Uint8Array(300));
          else victim.kcp.recv();
          victim.act();
        }
      }),
      { numRuns: RUNS },
    );
  });

  it("sends no more than it got, and what it has to say", () => {
    fc.assert(
      fc.property(fc.array(forged, { maxLength: 20 }), (datagrams) => {
        const victim = new Victim();
        for (const datagram of datagrams) {
          victim.out = [];
          victim.kcp.input(datagram, victim.now);
          victim.act();
          const sent = victim.out.reduce((sum, { length }) => sum + length, 0);
          // An answer to WASK may join the acknowledgements; a window that is shut is asked after.
          expect(sent).toBeLessThanOrEqual(datagram.length + 48);
        }
      }),
      { numRuns: RUNS },
    );
  });

  it("exchanges messages honestly after any datagrams of other conversations or commands", () => {
    const foreign = fc.oneof(
      forged.filter((datagram) => datagram[0] !== CONV),
      fc.uint8Array({ maxLength: 300 }).filter((datagram) => datagram[0] !== CONV),
      forged.map((datagram) => {
        datagram[4] = 90;
        return datagram;
      }),
    );
    fc.assert(
      fc.property(fc.array(foreign, { maxLength: 20 }), (datagrams) => {
        const near = new Victim();
        const far = new Victim();
        for (const datagram of datagrams) {
          expect(near.kcp.input(datagram, near.now)).toBeLessThan(0);
          near.act();
        }
        const message = Uint8Array.from({ length: 1_000 }, (_, i) => i);
        expect(exchange(near, far, message)).toEqual([message]);
        expect(exchange(far, near, message)).toEqual([message]);
      }),
      { numRuns: RUNS },
    );
  });

  it("goes on after lies about windows, unas and acknowledgements of what was never sent", () => {
    const lie = fc
      .record({
        cmd: fc.constantFrom(82, 83, 84),
        wnd: fc.nat(0xffff),
        ts: number32,
        sn: fc.integer({ min: 6, max: 0x7fff_ffff }),
        una: fc.oneof(fc.constant(0), fc.integer({ min: 6, max: 0xffff_ffff })),
      })
      .map(({ cmd, wnd, ts, sn, una }) => {
        const bytes = new Uint8Array(24);
        writeHeader(bytes, 0, CONV, cmd, 0, wnd, ts, sn, una, 0);
        return bytes;
      });
    fc.assert(
      fc.property(fc.array(lie, { maxLength: 30 }), (lies) => {
        const near = new Victim();
        const far = new Victim();
        for (const datagram of lies) {
          near.kcp.input(datagram, near.now);
          near.act();
        }
        // A window that a lie has shut is asked after, and the true one believed.
        const message = Uint8Array.from({ length: 600 }, (_, i) => i);
        expect(exchange(near, far, message)).toEqual([message]);
      }),
      { numRuns: RUNS },
    );
  });

  it("delivers every message when honest datagrams are cut, doubled and spoilt on the way", () => {
    const fate = fc.record({ drop: fc.nat(3), cut: fc.nat(300), spoil: fc.option(fc.nat(3)) });
    fc.assert(
      fc.property(fc.array(fate, { minLength: 1, maxLength: 60 }), (fates) => {
        const near = new Victim();
        const far = new Victim();
        const messages = [10, 500, 0, 999].map((length) => new Uint8Array(length).fill(length));
        for (const message of messages) near.kcp.send(message);
        const received: Uint8Array[] = [];
        let at = 0;
        const carry = (from: Victim, to: Victim): void => {
          for (const datagram of from.out.splice(0)) {
            const { drop, cut, spoil } = fates[at++ % fates.length] ?? {
              drop: 1,
              cut: 0,
              spoil: 0,
            };
            // After a while the path is kind, so that every run has an end.
            if (drop === 0 && at < 100) continue;
            if (spoil !== null && spoil !== undefined && at < 100) datagram[spoil] = 255;
            to.kcp.input(at < 100 ? datagram.subarray(0, 24 + cut) : datagram, to.now);
            if (drop === 1) to.kcp.input(datagram, to.now);
          }
        };
        for (let i = 0; i < 3_000 && near.kcp.waitSend > 0; i++) {
          const wait = Math.min(near.kcp.check(near.now), far.kcp.check(far.now)) - near.now;
          near.act(Math.min(Math.max(wait, 10), 1_000));
          carry(near, far);
          for (let one = far.kcp.recv(); one !== undefined; one = far.kcp.recv())
            received.push(one);
          far.act(near.now - far.now);
          carry(far, near);
        }
        expect(received).toEqual(messages);
      }),
      { numRuns: 100 },
    );
  });
});
