/** Pipes that are no transport's own: sealed connections, and adapters over Node streams. */

import {
  type BytePipe,
  type Connection,
  deferred,
  type Link,
  parseAddress,
  SealedConnection,
  Stack,
  type StackOptions,
  type StackParts,
  section,
  systemRuntime,
  type Transport,
} from "@testudo/core";
import { MemoryHub, memory } from "@testudo/transports/memory";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { fromNodeStream, toNodeStream } from "@testudo/transports/node-stream";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe } from "vitest";
import { kcp } from "../../packages/transports/src/kcp/index.ts";
import { kcpgo } from "../../packages/transports/src/kcpgo/index.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { ALICE, BOB, NETWORK } from "../support/shaking.ts";
import { type PipePair, pipeConformance } from "./pipe.ts";

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
async function overStack(parts: StackParts, place: string): Promise<PipePair> {
  const stack = new Stack(parts);
  const arrived = deferred<Link>();
  const asBob: StackOptions = { ...common, identity: BOB };
  const [at] = parseAddress(place).routes[0]?.sections ?? [];
  if (at === undefined) throw new Error("no section");
  const listener = await stack.listen(at, (connection) => {
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

/** Its cuts are noticed by silence alone. */
const overKcpgo = (): Transport => kcpgo({ password: "a secret", idleTimeoutMs: 250 });

const stacks: Record<string, () => Promise<PipePair>> = {
  "net~noauth": () => overStack([net(), noauth()], "net:127.0.0.1:0"),
  "net~noise": () => overStack([net(), noise()], "net:127.0.0.1:0"),
  "net~shs": () => overStack([net(), shs()], "net:127.0.0.1:0"),
  "kcp~noauth": () => overStack([kcp(), noauth()], "kcp:127.0.0.1:0"),
  "kcp~noise": () => overStack([kcp(), noise()], "kcp:127.0.0.1:0"),
  "kcp~shs": () => overStack([kcp(), shs()], "kcp:127.0.0.1:0"),
  "kcpgo~noise": () => overStack([overKcpgo(), noise()], "kcpgo:127.0.0.1:0"),
  "kcpgo~shs": () => overStack([overKcpgo(), shs()], "kcpgo:127.0.0.1:0"),
  "memory~noise~noauth": () =>
    overStack([memory({ hub: new MemoryHub() }), noise(), noauth()], "memory:here"),
};

for (const [name, makePair] of Object.entries(stacks)) {
  describe(`a sealed connection over ${name}`, () => {
    expectNoLeaks();
    pipeConformance(makePair, () => ({ halfClose: true }));
  });
}

describe("a pipe over a Node stream over a pipe", () => {
  expectNoLeaks();
  pipeConformance(thereAndBack, () => ({ halfClose: true }));
});
