/** Strangers, spoofers and floods before a listener of kcpgo: nothing throws, nothing grows, nobody is cut by a guess. */

import { equal } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { failureOf, pattern, Reader } from "../../../../test/support/traffic.ts";
import { FEC_HEADER_BYTES } from "../../src/kcp/fec.ts";
import { ReedSolomon } from "../../src/kcp/reed-solomon.ts";
import { ACK, ASK_WINDOW, PUSH, TELL_WINDOW } from "../../src/kcp/segment.ts";
import type { KcpgoConnection } from "../../src/kcpgo/connection.ts";
import { PacketEncoder } from "../../src/kcpgo/packet.ts";
import { carriesData } from "../../src/kcpgo/words.ts";
import type { Place } from "../../src/udp/place.ts";
import {
  DIALER,
  Hand,
  LISTENER,
  type Listened,
  listened,
  PASSWORD,
  STRANGER,
  scene,
  segment,
} from "./virtual.ts";

const hand = Hand.of(PASSWORD);

/** Whether the two still talk. */
async function talk(
  { udp }: Listened,
  one: KcpgoConnection,
  other: KcpgoConnection,
): Promise<boolean> {
  one.write(pattern(3_000, 9));
  const got = await udp.runtime.during(new Reader(other).take(3_000), 30_000);
  return equal(got, pattern(3_000, 9));
}

const bytesOf = (sent: readonly { readonly packet: Uint8Array }[]): number =>
  sent.reduce((sum, { packet }) => sum + packet.length, 0);

/** The first packet of a session as kcp-go's dialers send it. */
const first = (conv: number, data: Uint8Array = pattern(20)): Uint8Array =>
  hand.seal(segment({ conv, command: PUSH, data }));

describe("what means nothing", () => {
  it("opens no session, gets no answer, and harms none", async () => {
    const made = await scene();
    const { udp, dialer, other, accepted } = made;
    const conv = dialer.session.conv;
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 1_600 }),
      // Behind the cipher, from the peer's own place: hostile segments of the live conversation.
      fc
        .record({
          command: fc.oneof(fc.integer({ min: 81, max: 84 }), fc.nat(255)),
          sn: fc.nat(0xffff_ffff),
          ts: fc.nat(0xffff_ffff),
          una: fc.nat(0xffff_ffff),
          wnd: fc.nat(0xffff),
          frg: fc.nat(255),
          cut: fc.nat(40),
        })
        .map(({ cut, sn, una, ...rest }) => {
          // What begins or acknowledges is another test's: these would be believed.
          const parts = { ...rest, conv, sn: sn | 0x4000_0000, una: una | 0x4000_0000 };
          const whole = segment({ ...parts, data: pattern(20) });
          return hand.seal(whole.subarray(0, whole.length - cut));
        }),
    );
    fc.assert(
      fc.property(anything, fc.boolean(), (packet, fromStranger) => {
        udp.send(fromStranger ? STRANGER : DIALER, LISTENER, packet);
      }),
      { numRuns: 500 },
    );
    await udp.runtime.advance(100);
    expect(accepted).toHaveLength(1);
    expect(udp.sentTo(STRANGER)).toEqual([]);
    expect(await talk(made, dialer, other)).toBe(true);
    expect(await talk(made, other, dialer)).toBe(true);
    await made.end();
  });

  it("is every packet that cannot be the first of a session", async () => {
    const made = await listened();
    const { udp, accepted } = made;
    for (const parts of [
      { command: PUSH, sn: 128 },
      { command: PUSH, sn: 0, una: 1 },
      { command: ACK },
      { command: TELL_WINDOW },
      { command: ASK_WINDOW, una: 3 },
    ]) {
      udp.send(STRANGER, LISTENER, hand.seal(segment({ conv: 5, data: pattern(9), ...parts })));
    }
    await udp.runtime.advance(1_000);
    expect(accepted).toEqual([]);
    expect(udp.sentTo(STRANGER)).toEqual([]);
    await made.end();
  });

  it("is what comes to a dialer from elsewhere", async () => {
    const made = await scene();
    const { udp, dialer, other } = made;
    const { conv } = dialer.session;
    udp.send(STRANGER, DIALER, hand.seal(segment({ conv, command: PUSH, data: pattern(50) })));
    await udp.runtime.advance(1_000);
    expect(dialer.statistics.receiveNext).toBe(0);
    expect(await talk(made, other, dialer)).toBe(true);
    await made.end();
  });
});

describe("an out-of-band packet", () => {
  /** One for that conversation, with so much in it, and one whose length lies. */
  function outOfBand(conv: number, payload: Uint8Array): Uint8Array[] {
    const { crypt } = hand;
    const packet = new PacketEncoder({ crypt, code: new ReedSolomon(2, 1) }).encodeOob(
      conv,
      payload,
    );
    const lying = crypt.open(packet.slice()) ?? new Uint8Array(0);
    lying.fill(0xff, FEC_HEADER_BYTES - 2, FEC_HEADER_BYTES);
    return [packet, hand.seal(lying)];
  }

  it.each([false, [2, 1]] as const)(
    "is ignored, whoever it comes from and whatever is in it, where the code is %j",
    async (fec) => {
      const made = await scene({ ...PASSWORD, fec }, {}, 4);
      const { udp, dialer, other, accepted } = made;
      const { conv } = dialer.session;
      const before = [dialer, other].map(({ statistics }) => statistics);
      const sent = udp.sent.length;
      const inside = [
        new Uint8Array(0),
        pattern(900),
        segment({ conv, command: PUSH, data: pattern(9) }),
      ];
      const packets = inside.flatMap((each) => [...outOfBand(conv, each), ...outOfBand(7, each)]);
      for (const packet of packets) {
        udp.send(DIALER, LISTENER, packet);
        udp.send(LISTENER, udp.sentTo(LISTENER)[0]?.from ?? DIALER, packet);
        udp.send(STRANGER, LISTENER, packet);
      }
      await udp.runtime.advance(1_000);
      expect(udp.sent.length).toBe(sent + 3 * packets.length);
      expect([dialer, other].map(({ statistics }) => statistics)).toEqual(before);
      expect(accepted).toEqual([other]);
      expect(await talk(made, dialer, other)).toBe(true);
      await made.end();
    },
  );

  it("is no answer to a greeting", async () => {
    const made = await listened();
    const { udp, accepted } = made;
    udp.drops = ({ packet, to }) => {
      if (to.address !== LISTENER.address) return false;
      // The conversation that greets, as somebody who has the key reads it.
      const { conv } = hand.open(packet);
      const [answer = packet] = outOfBand(conv, pattern(30));
      udp.send(LISTENER, DIALER, answer);
      return true;
    };
    expect(await failureOf(made.dial({ ...PASSWORD, openTimeoutMs: 900 }))).toMatchObject({
      code: "DIAL_TIMEOUT",
    });
    expect(accepted).toEqual([]);
    await made.end();
  });
});

describe("a stranger's address", () => {
  it("gets for one spoofed packet one acknowledgement, no longer than it", async () => {
    const made = await listened();
    const { udp, accepted } = made;
    udp.send(STRANGER, LISTENER, first(5, pattern(1)));
    await udp.runtime.advance(120_000);
    expect(accepted).toHaveLength(1);
    const answers = udp.sentTo(STRANGER);
    expect(answers.map(({ packet }) => hand.open(packet).command)).toEqual([ACK]);
    expect(bytesOf(answers)).toBeLessThan(first(5, pattern(1)).length);
    expect(await accepted[0]?.closed).toMatchObject({ code: "TRUNCATED" });
    await made.end();
  });

  it.each([1, 10, 30, 1_000])(
    "gets of a listener that speaks at most five times %i bytes",
    async (size) => {
      const made = await listened({ ...PASSWORD, fec: [2, 1] });
      const { udp, accepted } = made;
      const spoofed = first(5, pattern(size));
      udp.send(STRANGER, LISTENER, spoofed);
      await udp.runtime.until(() => accepted.length > 0, 1_000);
      accepted[0]?.write(pattern(1_000_000));
      await udp.runtime.advance(120_000);
      const answers = udp.sentTo(STRANGER);
      const data = answers.filter(({ packet }) => carriesData(hand.open(packet).datagram));
      expect(data.length).toBe(size < 30 ? 3 : 4);
      expect(answers.length - data.length).toBeLessThanOrEqual(1);
      expect(bytesOf(answers)).toBeLessThanOrEqual(5 * spoofed.length);
      await made.end();
    },
  );

  it("is not proved by acknowledgements that somebody guesses", async () => {
    const made = await listened();
    const { udp, accepted } = made;
    udp.send(STRANGER, LISTENER, first(5, pattern(30)));
    await udp.runtime.until(() => accepted.length > 0, 1_000);
    accepted[0]?.write(pattern(1_000_000));
    await udp.runtime.advance(100);
    for (let ts = 0; ts < 1_000; ts++) {
      const guess = segment({ conv: 5, command: ACK, sn: 0, ts: ts * 4_294_967, una: 1 });
      udp.send(STRANGER, LISTENER, hand.seal(guess));
    }
    await udp.runtime.advance(1_000);
    expect(accepted[0]?.session.proved).toBe(false);
    await made.end();
  });

  it("gets no more bytes than it greeted with, and costs nothing", async () => {
    const made = await listened();
    const { udp, accepted } = made;
    let sent = 0;
    for (let i = 0; i < 3_000; i++) {
      const packet = hand.seal(segment({ conv: i + 1, command: ASK_WINDOW, ts: i }));
      sent += packet.length;
      udp.send({ ...STRANGER, port: 1_000 + i }, LISTENER, packet);
    }
    const before = udp.sent.length;
    await udp.runtime.advance(1_000);
    expect(bytesOf(udp.sent.slice(before))).toBe(sent);
    expect(accepted).toEqual([]);
    expect(udp.runtime.pending).toBe(0);
    await made.end();
  });

  it("brings a cookie back only for the address and the conversation it was made for", async () => {
    const made = await listened();
    const { udp, accepted } = made;
    udp.send(STRANGER, LISTENER, hand.seal(segment({ conv: 5, command: ASK_WINDOW, ts: 9 })));
    await udp.runtime.advance(100);
    const { sn, ts } = hand.open(udp.sentTo(STRANGER)[0]?.packet ?? new Uint8Array(0));
    const back = (from: Place, conv: number): void =>
      udp.send(from, LISTENER, hand.seal(segment({ conv, command: ASK_WINDOW, sn, ts })));
    back(STRANGER, 6);
    back({ ...STRANGER, port: 7_778 }, 5);
    await udp.runtime.advance(100);
    expect(accepted).toEqual([]);
    await udp.runtime.advance(20_000);
    back(STRANGER, 5);
    await udp.runtime.advance(100);
    // Too late as well.
    expect(accepted).toEqual([]);
    await made.end();
  });
});

describe("floods", () => {
  it("of first packets fill a bounded number of places, and an honest dialer gets through", async () => {
    const made = await listened({ ...PASSWORD, maxUnproved: 50 });
    const { udp, accepted } = made;
    for (let i = 0; i < 5_000; i++) {
      udp.send({ ...STRANGER, port: 1_000 + i }, LISTENER, first(i + 1));
    }
    await udp.runtime.advance(100);
    expect(accepted).toHaveLength(50);
    const dialer = await made.dial();
    expect(accepted).toHaveLength(51);
    const other = accepted[50];
    if (other === undefined) throw new Error("nobody came");
    expect(await talk(made, dialer, other)).toBe(true);
    // The places are free again after the idle timeout.
    await udp.runtime.advance(31_000);
    udp.send(STRANGER, LISTENER, first(1));
    await udp.runtime.advance(100);
    expect(accepted).toHaveLength(52);
    await made.end();
  });

  it("of one conversation's data do not grow it beyond its window", async () => {
    const made = await listened({ ...PASSWORD, receiveWindow: 64 });
    const { udp, accepted } = made;
    for (let sn = 0; sn < 3_000; sn++) {
      const parts = { conv: 5, command: PUSH, sn, data: pattern(1_000) };
      udp.send(STRANGER, LISTENER, hand.seal(segment(parts)));
    }
    await udp.runtime.advance(100);
    expect(accepted[0]?.statistics.receiveReady).toBeLessThanOrEqual(64);
    expect(accepted[0]?.statistics.receiveAhead).toBeLessThanOrEqual(64);
    await made.end();
  });
});

describe("sessions that are over", () => {
  it("are not opened again by what comes late, for as long as it comes", async () => {
    const made = await listened();
    const { udp, accepted } = made;
    udp.send(STRANGER, LISTENER, first(5));
    await udp.runtime.until(() => accepted.length > 0, 1_000);
    accepted[0]?.abort(new Error("go away"));
    for (let i = 0; i < 10; i++) {
      udp.send(STRANGER, LISTENER, first(5));
      await udp.runtime.advance(30_000);
    }
    expect(accepted).toHaveLength(1);
    // Another conversation is another matter.
    udp.send(STRANGER, LISTENER, first(6));
    await udp.runtime.advance(100);
    expect(accepted).toHaveLength(2);
    await made.end();
  });

  it("and were replayed whole open nothing", async () => {
    const made = await scene();
    const { udp, dialer, other, accepted } = made;
    expect(await talk(made, dialer, other)).toBe(true);
    const recorded = udp.sentTo(LISTENER).map(({ packet }) => packet);
    await udp.runtime.during(Promise.all([dialer.close(), other.close()]), 10_000);
    for (const packet of recorded) udp.send(DIALER, LISTENER, packet);
    // From elsewhere the cookie does not count, and the data is a kcp-go dialer's.
    await udp.runtime.advance(1_000);
    expect(accepted).toHaveLength(1);
    await made.end();
  });
});

describe("a spoofed reset", () => {
  it.each([0, 0.25])("does not touch a session that lives, at a loss of %f", async (lossRate) => {
    const made = await scene(PASSWORD, { lossRate }, 2);
    const { udp, dialer, other, accepted } = made;
    for (let i = 0; i < 20; i++) {
      udp.send(DIALER, LISTENER, first(1_000 + (i % 3)));
      await udp.runtime.advance(i < 10 ? 700 : 2_100);
    }
    expect(accepted).toEqual([other]);
    expect(await talk(made, dialer, other)).toBe(true);
    await made.end();
  });

  it("is a restart when the old session is silent", async () => {
    const made = await scene();
    const { udp, other, accepted } = made;
    udp.drops = ({ to }) => to.address === DIALER.address;
    for (let i = 0; i < 4; i++) {
      udp.send(DIALER, LISTENER, first(77));
      await udp.runtime.advance(1_000);
    }
    expect(accepted).toHaveLength(2);
    expect(await other.closed).toMatchObject({ code: "TRUNCATED" });
    expect(accepted[1]?.session.conv).toBe(77);
    await made.end();
  });
});
