/** Opens and their answers on virtual time: under loss, repetition and lies. */

import { type Connection, deferred } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { failureOf, pattern, Reader } from "../../../../test/support/traffic.ts";
import type { KcpConnection } from "../../src/kcp/connection.ts";
import { encodeOpen, OPEN_BYTES, readId, TYPES } from "../../src/kcp/packet.ts";
import type { KcpTransportOptions } from "../../src/kcp/settings.ts";
import type { Place } from "../../src/udp/place.ts";
import {
  DIALER,
  dialAt,
  LISTENER,
  placeSection,
  scene,
  VirtualUdp,
  type Weather,
} from "./virtual-udp.ts";

const STRANGER: Place = { address: "198.51.100.7", port: 5_555 };

/** A network with a listener, and what it accepted. */
async function listening(
  weather: Weather = {},
  seed: number = 1,
  options: KcpTransportOptions = {},
) {
  const udp = new VirtualUdp(weather, seed);
  const accepted: Connection[] = [];
  const at = udp.listening(LISTENER.address, options);
  const listener = await at.listen(placeSection(LISTENER), (connection) => {
    accepted.push(connection);
  });
  const end = async (): Promise<void> => {
    await listener.close();
    for (const connection of accepted) connection.abort(new Error("the test is over"));
    await udp.runtime.until(() => udp.places.length === 0, 40_000);
    await udp.runtime.advance(3_000);
    expect(udp.places).toEqual([]);
    expect(udp.runtime.pending).toBe(0);
  };
  return { udp, accepted, listener, at, end };
}

describe("an open", () => {
  it.each(Array.from({ length: 30 }, (_, i) => i + 1))(
    "makes one connection over a network that loses 30 %%, doubles and mixes up (seed %i)",
    async (seed) => {
      const weather = { lossRate: 0.3, duplicateRate: 0.3, reorderRate: 0.3, jitterMs: 40 };
      const made = await scene({ weather, seed });
      made.dialer.write(pattern(3_000));
      const got = await made.udp.runtime.during(new Reader(made.accepted).take(3_000));
      expect(got).toEqual(pattern(3_000));
      await made.udp.runtime.advance(10_000);
      expect(made.arrivals()).toBe(1);
      await made.end();
    },
  );

  it("takes two round trips on a good network", async () => {
    const made = await scene({ weather: { latencyMs: 50 } });
    expect(made.udp.runtime.now()).toBe(200);
    await made.end();
  });

  it("is repeated with growing pauses while nobody answers, then fails with DIAL_TIMEOUT", async () => {
    const udp = new VirtualUdp();
    const dialling = udp.dialling(DIALER.address, { openTimeoutMs: 5_000 });
    const error = await udp.runtime.during(failureOf(dialAt(dialling)));
    expect(error).toMatchObject({ code: "DIAL_TIMEOUT", address: placeSection(LISTENER).text });
    expect(udp.runtime.now()).toBe(5_000);
    // At 0, 200, 600, 1,400 and 3,000 ms.
    expect(udp.sentTo(LISTENER).length).toBe(5);
    expect(udp.places).toEqual([]);
    expect(udp.runtime.pending).toBe(0);
  });

  it("is refused where a listener has closed and its connections live on", async () => {
    const { udp, listener, end } = await listening();
    const dialling = udp.dialling(DIALER.address);
    await udp.runtime.during(dialAt(dialling));
    await listener.close();
    const error = await udp.runtime.during(failureOf(dialAt(dialling)));
    expect(error).toMatchObject({ code: "DIAL_REFUSED" });
    await end();
  });

  it("is refused when the listener is full, and let in when there is room again", async () => {
    const { udp, accepted, end } = await listening({}, 1, { maxConnections: 1 });
    const dialling = udp.dialling(DIALER.address);
    const first = await udp.runtime.during(dialAt(dialling));
    const error = await udp.runtime.during(failureOf(dialAt(dialling)));
    expect(error).toMatchObject({ code: "DIAL_REFUSED" });
    expect(String(error)).toContain("no room");
    first.abort(new Error("enough"));
    await udp.runtime.advance(1_000);
    await udp.runtime.during(dialAt(dialling));
    expect(accepted.length).toBe(2);
    await end();
  });

  it("that was given up after its cookie was sent tells the listener so", async () => {
    const { udp, accepted, end } = await listening({ latencyMs: 50 });
    const controller = new AbortController();
    const failed = failureOf(dialAt(udp.dialling(DIALER.address), controller.signal));
    // The cookie is on its way, the accept is not.
    await udp.runtime.advance(130);
    const reason = new Error("too late");
    controller.abort(reason);
    expect(await failed).toBe(reason);
    await udp.runtime.advance(1_200);
    const [connection] = accepted;
    expect(await connection?.closed).toMatchObject({ code: "TRUNCATED" });
    await end();
  });

  it("is not believed to be accepted by anybody but the place that was dialled", async () => {
    const { udp, end } = await listening();
    let copied: Uint8Array | undefined;
    udp.drops = ({ packet, from }) => {
      if (packet[0] !== TYPES.accept || from.address !== LISTENER.address) return false;
      copied ??= packet.slice();
      return true;
    };
    let opened: KcpConnection | undefined;
    const dialing = dialAt(udp.dialling(DIALER.address)).then((connection) => {
      opened = connection;
    });
    await udp.runtime.advance(300);
    if (copied === undefined) throw new Error("no accept");
    udp.send(STRANGER, DIALER, copied);
    await udp.runtime.advance(300);
    expect(opened).toBeUndefined();
    udp.drops = () => false;
    await udp.runtime.during(dialing);
    await end();
  });
});

describe("a listener", () => {
  it("keeps nothing and sends less than it gets for opens of strangers, whatever they say", async () => {
    const { udp, accepted, end } = await listening();
    let received = 0;
    for (let i = 0; i < 2_000; i++) {
      const from = { address: `198.51.100.${i % 250}`, port: 1_024 + i };
      const id = readId(udp.runtime.randomBytes(8), 0);
      const cookie = i % 3 === 0 ? udp.runtime.randomBytes(24) : undefined;
      const open = encodeOpen({ id, mtu: 1_472, fecData: 0, fecParity: 0, cookie });
      if (i % 7 === 0) open[i % OPEN_BYTES] = (open[i % OPEN_BYTES] as number) ^ 0x55;
      received += open.length;
      udp.send(from, LISTENER, open);
    }
    await udp.runtime.advance(1_000);
    const sent = udp.sent.filter(({ from }) => from.address === LISTENER.address);
    expect(sent.length).toBeGreaterThan(1_000);
    const most = Math.max(...sent.map(({ packet }) => packet.length));
    expect(most).toBeLessThan(OPEN_BYTES);
    expect(sent.reduce((sum, { packet }) => sum + packet.length, 0)).toBeLessThan(received);
    expect(accepted).toEqual([]);
    expect(udp.runtime.pending).toBe(0);
    await end();
  });

  it("takes no cookie from another address, for another id, or after its time", async () => {
    const { udp, accepted, end } = await listening();
    const opens: Uint8Array[] = [];
    udp.drops = ({ packet }) => {
      if (packet[0] !== TYPES.open || packet[21] === 0) return false;
      opens.push(packet.slice());
      return true;
    };
    const controller = new AbortController();
    const failed = failureOf(dialAt(udp.dialling(DIALER.address), controller.signal));
    await udp.runtime.advance(100);
    controller.abort(new Error("enough"));
    await failed;
    const [open] = opens;
    if (open === undefined) throw new Error("no open with a cookie");
    udp.drops = () => false;
    udp.send(STRANGER, LISTENER, open);
    udp.send({ ...DIALER, port: DIALER.port + 1 }, LISTENER, open);
    const other = open.slice();
    other[9] = (other[9] as number) ^ 1;
    udp.send(DIALER, LISTENER, other);
    await udp.runtime.advance(100);
    expect(accepted).toEqual([]);
    await udp.runtime.advance(20_000);
    udp.send(DIALER, LISTENER, open);
    await udp.runtime.advance(100);
    expect(accepted).toEqual([]);
    await end();
  });

  it("opens nothing anew for an open that comes again after its connection is over", async () => {
    const { udp, accepted, end } = await listening();
    const connection = await udp.runtime.during(dialAt(udp.dialling(DIALER.address)));
    const [open] = udp.sentTo(LISTENER).filter(({ packet }) => packet[21] === 24);
    if (open === undefined) throw new Error("no open with a cookie");
    connection.abort(new Error("enough"));
    await udp.runtime.advance(3_000);
    udp.send(DIALER, LISTENER, open.packet);
    await udp.runtime.advance(100);
    expect(accepted.length).toBe(1);
    await end();
  });

  it("ignores what is for nobody, without a word", async () => {
    const { udp, end } = await listening();
    for (let type = 2; type < 256; type++) {
      const packet = udp.runtime.randomBytes(40);
      packet[0] = type;
      udp.send(STRANGER, LISTENER, packet);
    }
    for (let length = 0; length < 9; length++) {
      udp.send(STRANGER, LISTENER, new Uint8Array(length).fill(TYPES.open));
    }
    await udp.runtime.advance(1_000);
    expect(udp.sentTo(STRANGER)).toEqual([]);
    await end();
  });

  it("that throws on a connection cuts it, and goes on", async () => {
    const udp = new VirtualUdp();
    const reached = deferred<Connection>();
    let first = true;
    const listener = await udp
      .listening(LISTENER.address)
      .listen(placeSection(LISTENER), (connection) => {
        if (!first) return reached.resolve(connection);
        first = false;
        throw new Error("a bug");
      });
    const dialling = udp.dialling(DIALER.address);
    const refused = await udp.runtime.during(dialAt(dialling));
    expect(await udp.runtime.during(refused.closed)).toMatchObject({ code: "TRUNCATED" });
    const connection = await udp.runtime.during(dialAt(dialling));
    connection.abort(new Error("enough"));
    (await reached.promise).abort(new Error("enough"));
    await listener.close();
    await udp.runtime.until(() => udp.places.length === 0, 10_000);
    expect(udp.places).toEqual([]);
  });
});
