/** Pipes that are no transport's own: every transport under every chain of transforms, and adapters over Node streams. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type BytePipe,
  type Connection,
  deferred,
  type Link,
  parseAddress,
  SealedConnection,
  type Section,
  Stack,
  type StackOptions,
  section,
  systemRuntime,
  type Transform,
  type Transport,
} from "@testudo/core";
import { gzip } from "@testudo/transports/gzip";
import { kcp } from "@testudo/transports/kcp";
import { kcpgo } from "@testudo/transports/kcpgo";
import { MemoryHub, memory } from "@testudo/transports/memory";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { fromNodeStream, toNodeStream } from "@testudo/transports/node-stream";
import { noise, noiseChacha } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { unix } from "@testudo/transports/unix";
import { ws } from "@testudo/transports/ws";
import { afterAll, describe } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { ALICE, BOB, NETWORK } from "../support/shaking.ts";
import { LOCALHOST } from "../support/tls.ts";
import { type PipePair, pipeConformance } from "./pipe.ts";

const folder = mkdtempSync(join(tmpdir(), "testudo-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let places = 0;

/** A transport, and a new place to listen. */
const TRANSPORTS: Record<string, () => readonly [Transport, Section]> = {
  net: () => [net(), section("net", "127.0.0.1", "0")],
  unix: () => [unix(), section("unix", join(folder, `socket-${++places}`))],
  ws: () => [ws(), section("ws", "//127.0.0.1", "0")],
  wss: () => [
    ws({ tls: LOCALHOST, dialTls: { ca: LOCALHOST.cert } }),
    section("wss", "//localhost", "0"),
  ],
  memory: () => [memory({ hub: new MemoryHub() }), section("memory", "here")],
  kcp: () => [kcp(), section("kcp", "127.0.0.1", "0")],
  // Its cuts are noticed by silence alone.
  kcpgo: () => [
    kcpgo({ password: "a secret", idleTimeoutMs: 250 }),
    section("kcpgo", "127.0.0.1", "0"),
  ],
};

/** What lies over it, next to the wire first. */
const CHAINS: readonly (readonly (() => Transform)[])[] = [
  [noauth],
  [noise],
  [noiseChacha],
  [shs],
  [gzip],
  [noise, gzip],
  [gzip, noise],
  [gzip, shs],
  [shs, noise],
  [noise, noauth],
  [noauth, shs],
  [noise, gzip, shs],
];

/** The others have no part that is not among these. */
const WHOLE: RegExp =
  /^(net|ws|memory|kcp)~[^~]+$|^kcpgo~noise$|^unix~(noise|noauth)$|^(net|ws)~noise~gzip$|^ws~gzip~shs$/;

const common = {
  networkId: NETWORK,
  runtime: systemRuntime,
  dialTimeoutMs: 10_000,
  handshakeTimeoutMs: 10_000,
} as const;

function sealed(link: Link): BytePipe {
  return new SealedConnection(link.connection, link.session, [...link.opened]);
}

/** Two ends of one stack, each seen through its session. */
async function overStack(stack: Stack, place: Section): Promise<PipePair> {
  const arrived = deferred<Link>();
  const asBob: StackOptions = { ...common, identity: BOB };
  const listener = await stack.listen(place, (connection) => {
    stack.accept(connection, asBob).then(arrived.resolve, arrived.reject);
  });
  const [route] = parseAddress(stack.addressOf(listener, BOB)).routes;
  if (route === undefined) throw new Error("no route");
  const dialed = await stack.dial(route, { ...common, identity: ALICE });
  const accepted = await arrived.promise;
  await listener.close();
  return { dialer: sealed(dialed), accepted: sealed(accepted) };
}

/** Connections in memory, made into Node streams and back into pipes. */
async function thereAndBack(): Promise<PipePair> {
  const transport = memory({ hub: new MemoryHub() });
  const place = section("memory", "here");
  const arrived = deferred<Connection>();
  const listener = await transport.listen?.(place, arrived.resolve);
  const dialer = await transport.dial(place, { signal: new AbortController().signal });
  const accepted = await arrived.promise;
  await listener?.close();
  return {
    dialer: fromNodeStream(toNodeStream(dialer)),
    accepted: fromNodeStream(toNodeStream(accepted)),
  };
}

for (const [name, make] of Object.entries(TRANSPORTS)) {
  for (const chain of CHAINS) {
    const names = chain.map((transform) => transform().name);
    const stack = [name, ...names].join("~");
    describe(`a sealed connection over ${stack}`, () => {
      expectNoLeaks();
      const [transport] = make();
      // A goodbye ends one direction, whatever the transport can.
      const saysGoodbye = names.some((each) => each !== "noauth");
      pipeConformance(
        () => {
          const [below, place] = make();
          return overStack(new Stack([below, ...chain.map((transform) => transform())]), place);
        },
        () => ({
          halfClose: transport.halfClose || saysGoodbye,
          // Its protocol has no word for an end.
          tellsEnd: transport.name !== "kcpgo" || saysGoodbye,
        }),
        { brief: !WHOLE.test(stack) },
      );
    });
  }
}

describe("a pipe over a Node stream over a pipe", () => {
  expectNoLeaks();
  pipeConformance(thereAndBack, () => ({ halfClose: true }));
});
