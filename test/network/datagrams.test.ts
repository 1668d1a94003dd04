/** Datagrams of peers and of a multiserver's streams, over real sockets: sealed, fresh, and where the peer is. */

import {
  deferred,
  hostAndPort,
  MultiServer,
  type MultiStream,
  Network,
  type Peer,
  parseAddress,
  type Side,
  type Transform,
} from "@testudo/core";
import { kcp } from "@testudo/transports/kcp";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { pattern } from "../support/traffic.ts";
import { type Meddling, UdpRelay } from "../support/udp-relay.ts";

type Datagrams = NonNullable<Peer["datagrams"]>;

/** First bytes of packets, docs/kcp.md. */
const DATA_TYPE = 4;
const DATAGRAM_TYPE = 11;
const HEADER_BYTES = 9;

function datagramsOf(owner: { readonly datagrams: Peer["datagrams"] }): Datagrams {
  if (owner.datagrams === undefined) throw new Error("no datagrams");
  return owner.datagrams;
}

/** `address` with another port. */
function atPort(address: string, port: number): string {
  const [route] = parseAddress(address).routes;
  const [first, ...rest] = route?.sections ?? [];
  if (first === undefined) throw new Error(`no section in ${address}`);
  const before = hostAndPort(first).port;
  return [first.text.replace(`:${before}`, `:${port}`), ...rest.map(({ text }) => text)].join("~");
}

/** The one peer of `network`, also when it is not yet in the table. */
async function onlyPeer(network: Network, added: Promise<Peer>): Promise<Peer> {
  return [...network.peers.values()][0] ?? added;
}

/** Two nodes with a relay between them. */
async function through(transform: () => Transform, meddle?: Meddling) {
  const listener = new Network({ stacks: [[kcp(), transform()]] });
  const dialer = new Network({ stacks: [[kcp(), transform()]] });
  const added = deferred<Peer>();
  await listener.registerPlugin({ nodeAdded: ({ peer }) => added.resolve(peer) });
  const address = await listener.listen(`kcp:127.0.0.1:0~${transform().name}`);
  const [route] = parseAddress(address).routes;
  const [at] = route?.sections ?? [];
  if (at === undefined) throw new Error("no section");
  const relay = new UdpRelay(hostAndPort(at).port);
  if (meddle !== undefined) relay.meddle = meddle;
  const port = await relay.open();
  const there = await dialer.add(atPort(address, port));
  const here = await onlyPeer(listener, added.promise);
  const close = async (): Promise<void> => {
    await Promise.all([dialer.close(), listener.close()]);
    relay.close();
  };
  return { there, here, relay, close };
}

/** Reads `count`. */
async function take(datagrams: Datagrams, count: number): Promise<Uint8Array[]> {
  const got: Uint8Array[] = [];
  for await (const each of datagrams) if (got.push(each) === count) break;
  return got;
}

/** With each packet of the stream, and so before, during and after the handshake, comes an open datagram. */
function forging(): { readonly meddle: Meddling; readonly count: () => number } {
  let forged = 0;
  const meddle: Meddling = (packet) => {
    if (packet[0] !== DATA_TYPE) return [packet];
    const body = Uint8Array.of(forged++, 0, 0, 0, 0, 0, 0, 0, ...pattern(30));
    return [Uint8Array.of(DATAGRAM_TYPE, ...packet.subarray(1, HEADER_BYTES), ...body), packet];
  };
  return { meddle, count: () => forged };
}

const isDatagram = ([type]: Uint8Array): boolean => type === DATAGRAM_TYPE;

describe("datagrams between peers", () => {
  expectNoLeaks();

  it.each([
    ["noise", noise],
    ["shs", shs],
  ] as const)(
    "over kcp~%s are sealed, both ways, and neither repeated nor changed",
    async (_name, transform) => {
      const forger = forging();
      const { there, here, relay, close } = await through(transform, forger.meddle);
      expect(forger.count()).toBeGreaterThan(4);
      const seen: { packet: Uint8Array; to: Side }[] = [];
      relay.meddle = (packet, to) => {
        if (!isDatagram(packet)) return [packet];
        seen.push({ packet: packet.slice(), to });
        const flipped = [0, HEADER_BYTES, packet.length - 1 - HEADER_BYTES].map((at) => {
          const copy = packet.slice();
          copy[HEADER_BYTES + at] = (copy[HEADER_BYTES + at] as number) ^ 1;
          return copy;
        });
        const open = Uint8Array.of(...packet.subarray(0, HEADER_BYTES), ...pattern(50, 7));
        return [...flipped, open, packet.subarray(0, -1), packet, packet, packet];
      };
      const [out, back] = [datagramsOf(there), datagramsOf(here)];
      const sent = Array.from({ length: 5 }, (_, i) => pattern(100 + i, i));
      for (const [from, to, direction] of [
        [out, back, "listener"],
        [back, out, "dialer"],
      ] as const) {
        for (const each of sent) {
          expect(from.send(each)).toBe(true);
          expect(await take(to, 1)).toEqual([each]);
        }
        // Whatever else came is before this one, and there is nothing else.
        relay.meddle = ((before) => (packet, side) => {
          if (!isDatagram(packet)) return [packet];
          if (packet.length < 200) return before(packet, side);
          return [...seen.filter((one) => one.to === side).map((one) => one.packet), packet];
        })(relay.meddle);
        from.send(pattern(200, 9));
        expect(await take(to, 1)).toEqual([pattern(200, 9)]);
        const wire = seen.filter((one) => one.to === direction).map((one) => one.packet);
        expect(wire.length).toBeGreaterThanOrEqual(5);
        for (const packet of wire) {
          expect(Buffer.from(packet).includes(Buffer.from(pattern(20)))).toBe(false);
        }
      }
      await close();
    },
  );

  it("over kcp~noauth are as open as the stream, and arrive once", async () => {
    const { there, here, relay, close } = await through(noauth);
    relay.meddle = (packet) => (isDatagram(packet) ? [packet, packet] : [packet]);
    for (const [from, to] of [
      [there, here],
      [here, there],
    ] as const) {
      for (let i = 0; i < 3; i++) expect(datagramsOf(from).send(pattern(30, i))).toBe(true);
      const all = await take(datagramsOf(to), 3);
      expect(all).toEqual([0, 1, 2].map((i) => pattern(30, i)));
    }
    await close();
  });

  it("are as long as maxBytes says, and harm nobody when nobody reads them", async () => {
    const { there, here, close } = await through(noise);
    const [out, back] = [datagramsOf(there), datagramsOf(here)];
    expect(out.maxBytes).toBeGreaterThan(1_000);
    expect(out.send(new Uint8Array(out.maxBytes + 1))).toBe(false);
    for (let i = 0; i < 2_000; i++) out.send(pattern(out.maxBytes, i));
    const channel = deferred<void>();
    out.send(Uint8Array.of(77));
    const last = async (): Promise<void> => {
      for await (const each of back) if (each.length === 1) return channel.resolve();
    };
    // The last one may be lost, as any may.
    const again = setInterval(() => void out.send(Uint8Array.of(77)), 20);
    await Promise.all([last(), channel.promise]);
    clearInterval(again);
    expect(there.connected && here.connected).toBe(true);
    const reader = take(back, 1_000_000);
    await close();
    await reader;
    expect([out.send(Uint8Array.of(1)), out.maxBytes]).toEqual([false, 0]);
  });

  it("are absent where the transport has none", async () => {
    const networks = [1, 2].map(() => new Network({ stacks: [[net(), noise()]] }));
    const [a, b] = networks as [Network, Network];
    const peer = await a.add(await b.listen("net:127.0.0.1:0~noise"));
    expect(peer.datagrams).toBeUndefined();
    await Promise.all(networks.map((network) => network.close()));
  });

  it("go with a peer to another stream, rest where there are none, and come back", async () => {
    const stacks = () => [[kcp(), noise()] as const, [net(), noise()] as const];
    const [mover, hub] = [new Network({ stacks: stacks() }), new Network({ stacks: stacks() })];
    const added = deferred<Peer>();
    await hub.registerPlugin({ nodeAdded: ({ peer }) => added.resolve(peer) });
    const first = await hub.listen("kcp:127.0.0.1:0~noise");
    const second = await hub.listen("kcp:127.0.0.1:0~noise");
    const over = await hub.listen("net:127.0.0.1:0~noise");
    const there = await mover.add(first);
    const here = await onlyPeer(hub, added.promise);
    const [out, back] = [datagramsOf(there), datagramsOf(here)];
    const got: number[] = [];
    let heard = deferred<void>();
    const reading = (async () => {
      for await (const [byte = -1] of back) {
        if (got.at(-1) === byte) continue;
        got.push(byte);
        heard.resolve();
      }
    })();
    /** What is sent while the other side still is on the old stream may be lost: it is said until it is heard. */
    const say = async (byte: number): Promise<void> => {
      heard = deferred();
      const saying = setInterval(() => out.send(Uint8Array.of(byte)), 5);
      await heard.promise;
      clearInterval(saying);
    };
    await say(1);
    expect(await mover.add(second, { move: true })).toBe(there);
    await say(2);
    await mover.add(over, { move: true });
    expect([there.datagrams, out.maxBytes, out.send(Uint8Array.of(9))]).toEqual([
      undefined,
      0,
      false,
    ]);
    await mover.add(first, { move: true });
    expect(there.datagrams).toBe(out);
    await say(3);
    expect(got).toEqual([1, 2, 3]);
    await Promise.all([mover.close(), hub.close()]);
    await reading;
  });
});

describe("datagrams of a multiserver's streams", () => {
  expectNoLeaks();

  it("are beside the stream where the stack has them", async () => {
    for (const transport of [kcp({ port: 0, host: "127.0.0.1" }), net({ port: 0 })]) {
      const to = new MultiServer([[transport, shs()]]);
      const from = new MultiServer([
        [kcp(), shs()],
        [net(), shs()],
      ]);
      const arrived = deferred<MultiStream>();
      const serving = await to.server((stream) => arrived.resolve(stream));
      const stream = await from.client(to.stringify("device"));
      const accepted = await arrived.promise;
      if (transport.name === "net") {
        expect([stream.datagrams, accepted.datagrams]).toEqual([undefined, undefined]);
      } else {
        expect(datagramsOf(stream).send(pattern(40))).toBe(true);
        expect(await take(datagramsOf(accepted), 1)).toEqual([pattern(40)]);
      }
      await Promise.all([stream.close(), accepted.close(), serving.close()]);
    }
  });
});
