/** Every transport under the one suite: over IPv4 and IPv6, and in memory over a good and a bad line. */

import { mkdtempSync, rmSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { type Section, section } from "@testudo/core";
import { type KcpTransportOptions, kcp } from "@testudo/transports/kcp";
import { MemoryHub, type MemoryOptions, memory } from "@testudo/transports/memory";
import { net } from "@testudo/transports/net";
import { unix } from "@testudo/transports/unix";
import { ws } from "@testudo/transports/ws";
import { afterAll, beforeAll, describe, vi } from "vitest";
import { platform } from "../../packages/transports/src/ws/socket-browser.ts";
import { WebSocket } from "../../packages/transports/test/ws/support.ts";
import { LOCALHOST } from "../support/tls.ts";
import { type TransportFixture, transportConformance } from "./transport.ts";

const hasIpv6 = Object.values(networkInterfaces()).some((infos) =>
  infos?.some((info) => info.address === "::1"),
);

function overTcp(host: string): TransportFixture {
  const transport = net();
  const at = (port: string): Section => section("net", ...host.split(":"), port);
  return {
    transport,
    listenAt: () => at("0"),
    async refusedAt() {
      // A port that was free a moment ago.
      const listener = await transport.listen?.(at("0"), () => {});
      await listener?.close();
      return listener?.section ?? at("1");
    },
    malformed: [
      at("0"),
      at("65536"),
      at("-1"),
      at("1e3"),
      at(""),
      section("net"),
      section("net", host),
    ],
  };
}

function overKcp(host: string, options: KcpTransportOptions = {}): TransportFixture {
  const transport = kcp(options);
  const at = (port: string): Section => section("kcp", ...host.split(":"), port);
  return {
    transport,
    listenAt: () => at("0"),
    async refusedAt() {
      // A port that was free a moment ago.
      const listener = await transport.listen?.(at("0"), () => {});
      await listener?.close();
      return listener?.section ?? at("1");
    },
    malformed: [...["0", "65536", "-1", "1e3", ""].map(at), section("kcp"), section("kcp", host)],
  };
}

const folder = mkdtempSync(join(tmpdir(), "testudo-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function overUnix(): TransportFixture {
  let names = 0;
  const at = (name: string): Section => section("unix", join(folder, name));
  return {
    transport: unix(),
    listenAt: () => at(`socket-${++names}`),
    refusedAt: async () => at("nobody"),
    malformed: [section("unix"), section("unix", ""), at("x".repeat(108))],
  };
}

function overWebSockets(name: "ws" | "wss", host: string): TransportFixture {
  const secure = name === "wss";
  const transport = ws(secure ? { tls: LOCALHOST, dialTls: { ca: LOCALHOST.cert } } : {});
  const at = (rest: string): Section => section(name, ...rest.split(":"));
  return {
    transport,
    listenAt: () => at(`//${host}:0/a~b`),
    async refusedAt() {
      const listener = await transport.listen?.(at(`//${host}:0`), () => {});
      await listener?.close();
      return listener?.section ?? at(`//${host}:1`);
    },
    malformed: [
      section(name),
      at(`${host}:80`),
      at("//"),
      at("//:80"),
      at("//::1:80"),
      at(`//user:word@${host}:80`),
      at(`//${host}:80/#part`),
      ...["0", "65536", "-1", "1e3", "0x50", " 80", ""].map((port) => at(`//${host}:${port}`)),
    ],
  };
}

/** Dials as a page does; the package `ws` stands in for its WebSocket, whose interface it has. */
function asInBrowser(): TransportFixture {
  const fixture = overWebSockets("ws", "127.0.0.1");
  const transport = { ...fixture.transport, dial: platform({}).dial };
  return { ...fixture, transport, pausable: false };
}

function inMemory(options: MemoryOptions = {}): TransportFixture {
  let names = 0;
  return {
    transport: memory({ hub: new MemoryHub(), ...options }),
    listenAt: () => section("memory", `place-${++names}`),
    refusedAt: async () => section("memory", "nobody"),
    malformed: [section("memory"), section("memory", ""), section("memory", "a", "b")],
  };
}

transportConformance("net over IPv4", () => overTcp("127.0.0.1"));
if (hasIpv6) transportConformance("net over IPv6", () => overTcp("::1"));
transportConformance("kcp over IPv4", () => overKcp("127.0.0.1"));
if (hasIpv6) transportConformance("kcp over IPv6", () => overKcp("::1"));
transportConformance("kcp with parity", () =>
  overKcp("127.0.0.1", { fec: { data: 10, parity: 3 } }),
);
transportConformance("unix", () => overUnix());
transportConformance("ws over IPv4", () => overWebSockets("ws", "127.0.0.1"));
if (hasIpv6) transportConformance("ws over IPv6", () => overWebSockets("ws", "[::1]"));
transportConformance("wss", () => overWebSockets("wss", "localhost"));
describe("in a browser", () => {
  beforeAll(() => void vi.stubGlobal("WebSocket", WebSocket));
  afterAll(() => void vi.unstubAllGlobals());
  transportConformance("ws", asInBrowser);
});
transportConformance("memory", () => inMemory());
transportConformance("memory over a bad line", () =>
  inMemory({ latencyMs: 2, jitterMs: 2, lossRate: 0.05, seed: 42 }),
);
transportConformance("memory over a narrow line", () =>
  inMemory({ latencyMs: 1, bandwidth: 50_000_000, seed: 7 }),
);
