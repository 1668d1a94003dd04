/** The transport on real sockets: through a bad relay, under a flood of strangers, by name, and with its options. */

import { createSocket } from "node:dgram";
import { networkInterfaces } from "node:os";
import { type Connection, equal, hostAndPort, section } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import {
  echo,
  failureOf,
  pattern,
  Reader,
  readAll,
  writeAll,
} from "../../../../test/support/traffic.ts";
import { kcp } from "../../src/kcp/index.ts";
import { encodeOpen, OPEN_BYTES, readId } from "../../src/kcp/packet.ts";
import { through } from "./through.ts";

const hasIpv6 = Object.values(networkInterfaces()).some((infos) =>
  infos?.some((info) => info.address === "::1"),
);
const signal = new AbortController().signal;
const ANYWHERE = section("kcp", "127.0.0.1", "0");

describe("kcp through a relay that drops, doubles and mixes up", () => {
  expectNoLeaks();

  it("brings every byte both ways, and goes on when the dialer's port changes in between", async () => {
    const weather = { lossRate: 0.05, duplicateRate: 0.05, delayMs: 5 };
    const { dialer, accepted, relay, end } = await through(weather, 11);
    const sent = pattern(1_500_000);
    void echo(accepted).then(() => accepted.end());
    const pieces = Array.from({ length: 30 }, (_, i) =>
      sent.subarray(i * 50_000, (i + 1) * 50_000),
    );
    const writing = (async () => {
      await writeAll(dialer, pieces.slice(0, 15));
      const port = await relay.move();
      await writeAll(dialer, pieces.slice(15));
      await dialer.end();
      return port;
    })();
    const [got, port] = await Promise.all([readAll(dialer), writing]);
    expect(equal(got, sent)).toBe(true);
    expect(accepted.session.place.port).toBe(port);
    expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
    await end();
  }, 30_000);
});

describe("a kcp listener under a flood of strangers", () => {
  expectNoLeaks();

  it("sends less than it gets, keeps nothing, and lets an honest dialer in meanwhile", async () => {
    const transport = kcp();
    const accepted: Connection[] = [];
    const listener = await transport.listen?.(ANYWHERE, (connection) => {
      accepted.push(connection);
      void echo(connection);
    });
    if (listener === undefined) throw new Error("no listener");
    const { port } = hostAndPort(listener.section);
    const flood = createSocket("udp4");
    await new Promise<void>((resolve) => flood.bind(0, "127.0.0.1", resolve));
    const count = { sent: 0, bytesIn: 0, answers: 0, bytesOut: 0 };
    flood.on("message", (answer) => {
      count.answers++;
      count.bytesOut += answer.length;
      if (answer.length >= OPEN_BYTES) throw new Error("an answer is too long");
    });
    const noise = pattern(100_000);
    const one = (i: number): Uint8Array => {
      const id = readId(noise.subarray(i % 90_000, (i % 90_000) + 8), 0);
      const cookie = i % 4 === 0 ? noise.subarray(i % 9_000, (i % 9_000) + 24) : undefined;
      if (i % 5 !== 0) return encodeOpen({ id, mtu: 1_472, fecData: 0, fecParity: 0, cookie });
      const garbage = noise.slice(i % 9_000, (i % 9_000) + (i % 200));
      if (garbage.length > 0) garbage[0] = i % 16;
      return garbage;
    };
    let honest: Promise<void> | undefined;
    const dial = async (): Promise<void> => {
      const connection = await transport.dial(listener.section, { signal });
      connection.write(pattern(10_000));
      expect(await new Reader(connection).take(10_000)).toEqual(pattern(10_000));
      connection.abort(new Error("done"));
    };
    while (count.sent < 100_000) {
      for (let i = 0; i < 200; i++, count.sent++) {
        const datagram = one(count.sent);
        count.bytesIn += datagram.length;
        flood.send(datagram, port, "127.0.0.1");
      }
      if (count.sent === 20_000) honest = dial();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await honest;
    expect(accepted.length).toBe(1);
    await accepted[0]?.closed;
    expect(count.answers).toBeGreaterThan(1_000);
    expect(count.bytesOut).toBeLessThan(count.bytesIn);
    await listener.close();
    flood.close();
    // A socket that anybody lived on would still be there.
    const again = await kcp().listen?.(section("kcp", "127.0.0.1", String(port)), () => {});
    await again?.close();
  }, 30_000);
});

describe("kcp by its addresses and options", () => {
  expectNoLeaks();

  it("listens and dials by name", async () => {
    const transport = kcp();
    const listener = await transport.listen?.(section("kcp", "localhost", "0"), (connection) => {
      void echo(connection).then(() => connection.end());
    });
    if (listener === undefined) throw new Error("no listener");
    expect(listener.local).toBe(true);
    expect(listener.bound?.text.startsWith("kcp:localhost:")).toBe(true);
    const { port } = hostAndPort(listener.section);
    const stages: string[] = [];
    const stage = (each: string): void => void stages.push(each);
    const at = section("kcp", "localhost", String(port));
    const connection = await transport.dial(at, { signal, stage });
    connection.write(pattern(5));
    expect(await new Reader(connection).take(5)).toEqual(pattern(5));
    expect(stages).toEqual(["resolve", "connect"]);
    await connection.close();
    await listener.close();
  });

  it.each(["0:0:0:0:0:0:0:1", "::0001", "::ffff:127.0.0.1"])(
    "dials %s, an unusual way to write an address",
    async (host) => {
      const mapped = host.includes(".");
      if (!mapped && !hasIpv6) return;
      const transport = kcp();
      const place = mapped ? ANYWHERE : section("kcp", ..."::1".split(":"), "0");
      const listener = await transport.listen?.(place, (connection) => {
        void echo(connection).then(() => connection.end());
      });
      if (listener === undefined) throw new Error("no listener");
      const { port } = hostAndPort(listener.section);
      const at = section("kcp", ...host.split(":"), String(port));
      const connection = await transport.dial(at, { signal });
      expect(connection.remote.text).toBe(listener.section.text);
      await connection.close();
      await listener.close();
    },
  );

  it("says which name cannot be looked up, and which place cannot be bound", async () => {
    const transport = kcp();
    const unknown = section("kcp", "no-such-host.invalid", "9");
    expect(await failureOf(transport.dial(unknown, { signal }))).toMatchObject({
      code: "DIAL_REFUSED",
      address: unknown.text,
    });
    const elsewhere = section("kcp", "203.0.113.1", "0");
    const listening = transport.listen?.(elsewhere, () => {}) ?? Promise.resolve();
    expect(await failureOf(listening)).toMatchObject({
      code: "LISTEN_FAILED",
      address: elsewhere.text,
    });
  });

  it("has a place where its options say so, and tells others what to dial", () => {
    expect(kcp().place).toBeUndefined();
    expect(kcp({ port: 8_008 }).place?.text).toBe("kcp:localhost:8008");
    expect(kcp({ port: 8_008, host: "::1" }).place?.text).toBe("kcp:::1:8008");
    expect(() => kcp({ host: "localhost" })).toThrow(/needs a port/);
    expect(() => kcp({ port: 65_536 })).toThrow(RangeError);
    expect(() => kcp({ port: 1, host: "a[b" })).toThrow(TypeError);
    const transport = kcp({ external: "example.org" });
    const texts = (host: string, port: string, scope: "device" | "public"): string[] =>
      (transport.advertised?.(section("kcp", host, port), scope) ?? []).map(({ text }) => text);
    expect(texts("127.0.0.1", "5", "device")).toEqual(["kcp:127.0.0.1:5"]);
    expect(texts("0.0.0.0", "5", "public")).toEqual(["kcp:example.org:5"]);
    expect(texts("127.0.0.1", "0", "device")).toEqual([]);
  });

  it("reaches a listener on all addresses by each family", async () => {
    const transport = kcp();
    const listener = await transport.listen?.(section("kcp", "0.0.0.0", "0"), (connection) => {
      void echo(connection).then(() => connection.end());
    });
    if (listener === undefined) throw new Error("no listener");
    expect(listener.bound?.text.startsWith("kcp:0.0.0.0:")).toBe(true);
    const { port } = hostAndPort(listener.section);
    const connection = await transport.dial(section("kcp", "127.0.0.1", String(port)), { signal });
    expect(connection.remote.text).toBe(`kcp:127.0.0.1:${port}`);
    connection.write(pattern(5));
    expect(await new Reader(connection).take(5)).toEqual(pattern(5));
    await connection.close();
    await listener.close();
  });
});
