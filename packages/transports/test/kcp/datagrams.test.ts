/** Datagrams beside a stream: sealed, bounded, and as unreliable as they say. */

import { concat } from "@testudo/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isPending, pattern } from "../../../../test/support/traffic.ts";
import { KcpDatagrams } from "../../src/kcp/datagrams.ts";
import { TYPES } from "../../src/kcp/packet.ts";
import { scene } from "./virtual-udp.ts";

const KEY = new Uint8Array(32).fill(9);

/** Two ends; what one sends waits in `air` until it is handed over. */
function ends(room: number = 1_463) {
  const air: Uint8Array[] = [];
  const carrier = {
    room: () => room,
    transmit: (body: Uint8Array) => air.push(body.slice()) > 0,
  };
  const dialer = new KcpDatagrams(carrier, "dialer");
  const listener = new KcpDatagrams(carrier, "listener");
  return { air, dialer, listener };
}

/** What can be read without waiting. */
async function readable(datagrams: KcpDatagrams): Promise<Uint8Array[]> {
  const read: Uint8Array[] = [];
  datagrams.finish();
  for await (const each of datagrams) read.push(each);
  return read;
}

describe("datagrams", () => {
  it("come out as they went in, once each, in any order", async () => {
    const { air, dialer, listener } = ends();
    dialer.start(KEY);
    listener.start(KEY);
    const sent = Array.from({ length: 100 }, (_, i) => pattern(i * 10, i));
    for (const each of sent) expect(dialer.send(each)).toBe(true);
    for (const body of [...air.toReversed(), ...air]) listener.receive(body);
    expect(await readable(listener)).toEqual(sent.toReversed());
  });

  it("are refused when a bit was changed, or when they are one's own", async () => {
    const { air, dialer, listener } = ends();
    dialer.start(KEY);
    listener.start(KEY);
    dialer.send(pattern(20));
    const [body = new Uint8Array(0)] = air;
    fc.assert(
      fc.property(fc.nat(body.length * 8 - 1), (bit) => {
        const changed = body.slice();
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
        listener.receive(changed);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (any) => listener.receive(any)));
    for (let length = 0; length < body.length; length++) {
      listener.receive(body.subarray(0, length));
    }
    dialer.receive(body);
    listener.receive(body);
    expect(await readable(listener)).toEqual([pattern(20)]);
    expect(await readable(dialer)).toEqual([]);
  });

  it("of another key are dropped, and so are open ones where there is a key", async () => {
    const { air, dialer, listener } = ends();
    dialer.start(new Uint8Array(32));
    listener.start(KEY);
    dialer.send(pattern(20));
    const other = ends();
    other.dialer.start();
    other.dialer.send(pattern(40));
    for (const body of [...air, ...other.air]) listener.receive(body);
    expect(await readable(listener)).toEqual([]);
  });

  it("do nothing before they are started, and are started once", async () => {
    const { air, dialer, listener } = ends();
    expect([dialer.send(pattern(1)), dialer.maxBytes]).toEqual([false, 0]);
    listener.start(KEY);
    listener.send(pattern(2));
    for (const body of air) dialer.receive(body);
    expect(() => dialer.start(new Uint8Array(31))).toThrow(RangeError);
    dialer.start(KEY);
    expect(() => dialer.start(KEY)).toThrow(TypeError);
    expect(await readable(dialer)).toEqual([]);
  });

  it("fill what fits, and no more", () => {
    const { air, dialer, listener } = ends(1_191);
    dialer.start(KEY);
    listener.start();
    expect([dialer.maxBytes, listener.maxBytes]).toEqual([1_167, 1_183]);
    expect(dialer.send(new Uint8Array(1_168))).toBe(false);
    expect(dialer.send(new Uint8Array(1_167))).toBe(true);
    expect(air[0]?.length).toBe(1_191);
  });

  it("that nobody reads make room for newer ones", async () => {
    const { air, dialer, listener } = ends();
    dialer.start();
    listener.start();
    for (let i = 0; i < 1_000; i++) dialer.send(Uint8Array.of(i, i >> 8));
    for (const body of air) listener.receive(body);
    const read = await readable(listener);
    expect(read.length).toBe(256);
    expect(read.at(-1)).toEqual(Uint8Array.of(999, 999 >> 8));
  });

  it("have one reader, whose wait can be taken back", async () => {
    const { listener } = ends();
    const waiting = listener.next();
    await expect(listener.next()).rejects.toThrow(TypeError);
    expect(await isPending(waiting)).toBe(true);
    await listener.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
    const last = listener.next();
    listener.finish();
    expect(await last).toEqual({ done: true, value: undefined });
  });

  it("travel beside the stream, get lost without harm to it, and end with it", async () => {
    const { udp, dialer, accepted, end } = await scene({ weather: { lossRate: 0.2 }, seed: 6 });
    dialer.datagrams.start(KEY);
    accepted.datagrams.start(KEY);
    const got: Uint8Array[] = [];
    const reading = (async () => {
      for await (const each of accepted.datagrams) got.push(each);
    })();
    const size = dialer.datagrams.maxBytes;
    for (let i = 0; i < 100; i++) expect(dialer.datagrams.send(pattern(size, i))).toBe(true);
    await udp.runtime.advance(1_000);
    expect(got.length).toBeGreaterThan(50);
    expect(got.length).toBeLessThan(100);
    const known = new Set(Array.from({ length: 100 }, (_, i) => pattern(size, i).join()));
    expect(got.every((each) => known.has(each.join()))).toBe(true);
    const wire = udp.sent.filter(({ packet }) => packet[0] === TYPES.datagram);
    const text = concat(...wire.map(({ packet }) => packet)).join();
    expect(text.includes(pattern(size, 1).subarray(0, 30).join())).toBe(false);
    dialer.abort(new Error("enough"));
    expect(dialer.datagrams.send(pattern(1))).toBe(false);
    await udp.runtime.advance(5_000);
    await reading;
    await end();
  });
});
