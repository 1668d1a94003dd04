/** Whole connections on virtual time, over a network that loses, doubles, mixes up, and moves its ends. */

import { concat, equal } from "@testudo/core";
import { describe, expect, it } from "vitest";
import {
  failureOf,
  fill,
  pattern,
  Reader,
  readAll,
  writeAll,
} from "../../../../test/support/traffic.ts";
import { TYPES } from "../../src/kcp/packet.ts";
import type { Place } from "../../src/udp/place.ts";
import { DIALER, LISTENER, type Scene, type SceneOptions, scene } from "./virtual-udp.ts";

const BAD = { lossRate: 0.1, duplicateRate: 0.05, reorderRate: 0.1, jitterMs: 50 };
const AWAY: Place = { address: "203.0.113.9", port: 7_777 };

/** Runs the scene, then sees that nothing is left of it. */
async function within(options: SceneOptions, play: (scene: Scene) => Promise<void>): Promise<void> {
  const made = await scene(options);
  await play(made);
  await made.end();
}

/** Pieces of `bytes` in sizes as they come. */
function pieces(bytes: Uint8Array): Uint8Array[] {
  const cut: Uint8Array[] = [];
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7 + 13) % 5_000) {
    cut.push(bytes.subarray(at, at + Math.max(size, 1)));
    size = Math.max(size, 1);
  }
  return cut;
}

async function exchange({ udp, dialer, accepted }: Scene, size: number): Promise<void> {
  const there = pattern(size, 1);
  const back = pattern(size, 2);
  const work = Promise.all([
    writeAll(dialer, pieces(there)).then(() => dialer.close()),
    writeAll(accepted, pieces(back)).then(() => accepted.close()),
    readAll(accepted),
    readAll(dialer),
  ]);
  const [, , got, gotBack] = await udp.runtime.during(work, 600_000);
  expect(equal(got, there)).toBe(true);
  expect(equal(gotBack, back)).toBe(true);
  expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
}

describe("a connection over a bad network", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("brings every byte, in order, both ways (seed %i)", (seed) =>
    within({ weather: BAD, seed }, async (made) => {
      await exchange(made, 200_000);
      expect(made.arrivals()).toBe(1);
    }),
  );

  it("finishes at 30 % loss", () =>
    within({ weather: { ...BAD, lossRate: 0.3 }, seed: 3 }, (made) => exchange(made, 100_000)));

  it("rebuilds what was lost where both agreed on parity", () =>
    within({ weather: BAD, seed: 5, dialer: { fec: { data: 5, parity: 2 } } }, async (made) => {
      await exchange(made, 300_000);
      expect(made.dialer.statistics.recovered).toBeGreaterThan(0);
      expect(made.accepted.statistics.recovered).toBeGreaterThan(0);
    }));

  it("goes without parity where the listener grants none", () =>
    within({ dialer: { fec: { data: 5, parity: 2 } }, listener: { fec: false } }, async (made) => {
      await exchange(made, 50_000);
      expect(made.udp.sent.some(({ packet }) => packet[0] === TYPES.coded)).toBe(false);
    }));
});

describe("the way of an end", () => {
  it("survives the loss of every last word", () =>
    within({}, async (made) => {
      const { udp, dialer, accepted } = made;
      udp.drops = ({ packet }) => packet[0] === TYPES.done;
      const finished = Promise.all([dialer.close(), accepted.close()]);
      await udp.runtime.during(finished, 5_000);
      expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
      await udp.runtime.until(() => udp.places.length === 1, 5_000);
      // The listener's stays, the dialer's is gone.
      expect(udp.places).toEqual([LISTENER]);
    }));

  it("leaves unread bytes to a reader that takes its time", () =>
    within({}, async ({ udp, dialer, accepted }) => {
      const sent = pattern(3_000_000);
      const writing = writeAll(dialer, pieces(sent)).then(() => dialer.close());
      const ended = accepted.end();
      await udp.runtime.advance(5_000);
      const reading = readAll(accepted);
      const [got] = await udp.runtime.during(Promise.all([reading, writing, ended]), 60_000);
      expect(equal(got, sent)).toBe(true);
      expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
    }));

  it("keeps what has arrived readable after the other side is done and gone", () =>
    within({}, async ({ udp, dialer, accepted }) => {
      const sent = pattern(600_000);
      dialer.write(sent);
      await udp.runtime.during(Promise.all([dialer.end(), accepted.end()]), 60_000);
      expect(await udp.runtime.during(dialer.closed)).toBeUndefined();
      await udp.runtime.advance(60_000);
      expect(equal(await udp.runtime.during(readAll(accepted)), sent)).toBe(true);
      expect(await udp.runtime.during(accepted.closed)).toBeUndefined();
    }));

  it("tells of a cut, also when the first words of it are lost", () =>
    within({}, async ({ udp, dialer, accepted }) => {
      let lost = 0;
      udp.drops = ({ packet }) => packet[0] === TYPES.reset && lost++ < 3;
      dialer.abort(new Error("enough"));
      const error = await udp.runtime.during(failureOf(readAll(accepted)), 3_000);
      expect(error).toMatchObject({ code: "TRUNCATED", address: accepted.remote.text });
    }));

  it("reports a peer that vanishes within the idle timeout, on both sides", () =>
    within({ dialer: { idleTimeoutMs: 7_000, keepaliveMs: 2_000 } }, async (made) => {
      const { udp, dialer, accepted } = made;
      dialer.write(pattern(1_000));
      await udp.runtime.during(new Reader(accepted).take(1_000));
      await udp.runtime.advance(60_000);
      udp.drops = () => true;
      dialer.write(pattern(10));
      const from = udp.runtime.now();
      expect(await udp.runtime.during(dialer.closed)).toMatchObject({ code: "TRUNCATED" });
      expect(udp.runtime.now() - from).toBeLessThanOrEqual(7_000);
      expect(await udp.runtime.during(accepted.closed)).toMatchObject({ code: "TRUNCATED" });
      expect(udp.runtime.now() - from).toBeLessThanOrEqual(30_000);
    }));

  it("keeps an idle connection for hours", () =>
    within({}, async (made) => {
      await made.udp.runtime.advance(3_600_000);
      await exchange(made, 1_000);
    }));

  it("reports what could not be delivered on close", () =>
    within({}, async ({ udp, dialer }) => {
      udp.drops = ({ to }) => to.address === LISTENER.address;
      dialer.write(pattern(10_000));
      const closing = dialer.close();
      await udp.runtime.during(closing, 31_000);
      expect(await dialer.closed).toMatchObject({ code: "TRUNCATED" });
    }));
});

describe("a connection whose end moves", () => {
  it("goes on from the dialer's new address, in the middle of a stream", () =>
    within({ weather: BAD, seed: 9 }, async (made) => {
      const { udp } = made;
      udp.runtime.setTimer(() => udp.rebind(DIALER, AWAY), 700);
      await exchange(made, 400_000);
      expect(made.accepted.session.place).toEqual(AWAY);
    }));

  it("goes on from the listener's new address", () =>
    within({}, async (made) => {
      const { udp, dialer, accepted } = made;
      udp.rebind(LISTENER, AWAY);
      accepted.write(pattern(1_000, 3));
      const reader = new Reader(dialer);
      expect(await udp.runtime.during(reader.take(1_000))).toEqual(pattern(1_000, 3));
      await udp.runtime.until(() => dialer.session.place.port === AWAY.port, 5_000);
      dialer.write(pattern(2_000, 4));
      expect(await udp.runtime.during(new Reader(accepted).take(2_000))).toEqual(pattern(2_000, 4));
    }));

  it("sends nothing but challenges to a new address before it answers, and no more than came", () =>
    within({}, async ({ udp, dialer, accepted }) => {
      // A packet of the dialer's, repeated from an address that answers nothing.
      dialer.write(pattern(30));
      await udp.runtime.during(new Reader(accepted).take(30));
      const [copied] = udp.sentTo(LISTENER).filter(({ packet }) => packet[0] === TYPES.data);
      if (copied === undefined) throw new Error("no packet");
      for (let i = 0; i < 5; i++) udp.send(AWAY, LISTENER, copied.packet.subarray(0, 33));
      accepted.write(pattern(5_000, 5));
      const got = await udp.runtime.during(new Reader(dialer).take(5_000));
      expect(equal(got, pattern(5_000, 5))).toBe(true);
      await udp.runtime.advance(5_000);
      const there = udp.sentTo(AWAY);
      expect(there.length).toBeGreaterThan(0);
      expect(there.every(({ packet }) => packet[0] === TYPES.ping)).toBe(true);
      const bytes = there.reduce((sum, { packet }) => sum + packet.length, 0);
      expect(bytes).toBeLessThanOrEqual(5 * 33);
      expect(accepted.session.place).toEqual(DIALER);
    }));

  it("is not moved by an answer that comes from elsewhere, or by one made up", () =>
    within({}, async ({ udp, dialer, accepted }) => {
      dialer.write(pattern(30));
      await udp.runtime.during(new Reader(accepted).take(30));
      const [copied] = udp.sentTo(LISTENER).filter(({ packet }) => packet[0] === TYPES.data);
      if (copied === undefined) throw new Error("no packet");
      udp.send(AWAY, LISTENER, copied.packet);
      await udp.runtime.advance(50);
      const [challenge] = udp.sentTo(AWAY);
      if (challenge === undefined) throw new Error("no challenge");
      const answer = challenge.packet.slice();
      answer[0] = TYPES.pong;
      answer.set(copied.packet.subarray(1, 9), 1);
      udp.send(DIALER, LISTENER, answer);
      const wrong = answer.slice();
      wrong[16] = (wrong[16] as number) ^ 1;
      udp.send(AWAY, LISTENER, wrong);
      await udp.runtime.advance(50);
      expect(accepted.session.place).toEqual(DIALER);
      udp.send(AWAY, LISTENER, answer);
      await udp.runtime.advance(50);
      expect(accepted.session.place).toEqual(AWAY);
    }));
});

describe("the size of datagrams", () => {
  it.each([
    [1_250, 1_200],
    [1_399, 1_200],
    [1_460, 1_452],
    [1_500, 1_472],
  ])("on a path for %i bytes grows to %i", (mtu, size) =>
    within({ weather: { mtu } }, async (made) => {
      await made.udp.runtime.advance(5_000);
      expect(made.dialer.statistics.mtu).toBe(size);
      expect(made.accepted.statistics.mtu).toBe(size);
      await exchange(made, 100_000);
    }),
  );

  it.each([1_300, 700])("falls when the path narrows to %i in the middle of a stream", (mtu) =>
    within({ weather: { lossRate: 0.02 }, seed: 4 }, async (made) => {
      const { udp, dialer } = made;
      await udp.runtime.advance(2_000);
      expect(dialer.statistics.mtu).toBe(1_472);
      udp.runtime.setTimer(() => {
        udp.weather.mtu = mtu;
      }, 30);
      await exchange(made, 400_000);
      expect(udp.sent.some(({ packet }) => packet[0] === TYPES.piece)).toBe(true);
      const [last] = udp.sent.filter(({ packet }) => packet[0] === TYPES.data).slice(-1);
      expect(last?.packet.length).toBeLessThanOrEqual(mtu);
    }),
  );

  it("is what both ends allow", () =>
    within({ dialer: { mtu: 900 }, listener: { mtu: 1_300 } }, async (made) => {
      await made.udp.runtime.advance(5_000);
      await exchange(made, 50_000);
      expect(Math.max(...made.udp.sent.map(({ packet }) => packet.length))).toBeLessThan(901);
    }));
});

describe("packets that bear the right id and lie", () => {
  it.each([1, 2, 3, 4, 5, 6])("harm nobody but their own connection (seed %i)", (seed) =>
    within({ seed, dialer: { fec: { data: 3, parity: 2 } } }, async ({ udp, dialer, accepted }) => {
      dialer.write(pattern(100));
      await udp.runtime.during(new Reader(accepted).take(100));
      const [known] = udp.sentTo(LISTENER).filter(({ packet }) => packet[0] === TYPES.coded);
      if (known === undefined) throw new Error("no packet");
      const { runtime } = udp;
      const lie = (types: readonly number[], i: number): void => {
        const packet = concat(known.packet, runtime.randomBytes(i % 300)).slice(0, 9 + (i % 300));
        packet[0] = types[i % types.length] as number;
        // Half of them keep the beginning of what was true.
        const from = i % 2 === 0 ? 9 : 33;
        if (from < packet.length) packet.set(runtime.randomBytes(packet.length - from), from);
        udp.send(i % 5 === 0 ? AWAY : DIALER, LISTENER, packet);
      };
      const { data, coded, piece, ping, pong, datagram, done, reset } = TYPES;
      for (let i = 0; i < 600; i++) lie([data, coded, piece, ping, pong, datagram, 0, 99], i);
      await runtime.advance(500);
      expect(accepted.session.place).toEqual(DIALER);
      expect(accepted.statistics.receiveAhead).toBeLessThanOrEqual(1_024);
      for (let i = 0; i < 600; i++) lie([done, reset, data], i);
      await runtime.advance(500);
    }),
  );
});

describe("a reader that does not read", () => {
  it("holds the writer, in bounds, and the window opens again", () =>
    within({}, async ({ udp, dialer, accepted }) => {
      const chunk = pattern(65_536, 7);
      let written = 0;
      for (let stuck = false; !stuck; ) {
        while (dialer.write(chunk)) written += chunk.length;
        written += chunk.length;
        let drained = false;
        void dialer.drain().then(() => {
          drained = true;
        });
        stuck = !(await udp.runtime.until(() => drained, 3_000));
      }
      expect(written).toBeLessThan(8_000_000);
      await udp.runtime.advance(120_000);
      const reader = new Reader(accepted);
      const got = await udp.runtime.during(reader.take(written), 60_000);
      const whole = concat(...Array.from({ length: written / chunk.length }, () => chunk));
      expect(equal(got, whole)).toBe(true);
    }));

  it("does not keep a cut from being heard", () =>
    within({}, async ({ udp, dialer, accepted }) => {
      void fill(dialer);
      await udp.runtime.advance(5_000);
      accepted.abort(new Error("enough"));
      expect(await udp.runtime.during(dialer.closed)).toMatchObject({ code: "TRUNCATED" });
    }));
});
