/** A protocol is retired while traffic runs: shs makes room for noise, over real sockets, and nobody loses anything. */

import { createHash, createHmac, type Hash } from "node:crypto";
import { connect } from "node:net";
import {
  deferred,
  defineMessage,
  fromUtf8,
  Network,
  type NetworkOptions,
  type Peer,
  type StackParts,
  text,
  toUtf8,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { failureOf, pattern } from "../support/traffic.ts";
import { Tap } from "../upgrade/tap.ts";

const number = {
  encode: (value: number) => toUtf8(String(value)),
  decode: (body: Uint8Array) => Number(fromUtf8(body)),
};
const Numbered = defineMessage({ name: "numbered", opcode: 1000, codec: number });
const Ask = defineMessage({ name: "ask", opcode: 1001, codec: number });
const Answer = defineMessage({ name: "answer", opcode: 1002, codec: number });
const NewAddress = defineMessage({ name: "new address", opcode: 1003, codec: text });

const OLD: readonly StackParts[] = [[net(), shs()]];
const NEW: readonly StackParts[] = [[net(), noise()]];
const BOTH: readonly StackParts[] = [...OLD, ...NEW];
const PATIENCE = { timeout: 8_000, interval: 5 };

/** A node that counts what it says to each peer and writes down what it hears. */
class Member {
  readonly network: Network;
  /** By the peer's id. */
  readonly heard = new Map<string, number[]>();
  readonly said = new Map<string, number>();
  readonly events: string[] = [];
  /** Settles when a published address was moved to. */
  readonly moved = deferred<Peer>();
  readonly received: Hash = createHash("sha256");
  answered = 0;

  constructor(stacks: readonly StackParts[], options: NetworkOptions = {}) {
    this.network = new Network({
      stacks,
      ...options,
      limits: { maxInFlight: 2, ...options.limits },
    });
    this.network.handleChannel("file", async (channel) => {
      for await (const chunk of channel) this.received.update(chunk);
      await channel.end();
    });
  }

  start(): Promise<unknown> {
    return this.network.registerPlugin({
      newMessage: async ({ message, peer, reply }) => {
        const number = message.as(Numbered);
        if (number !== undefined) {
          this.heardFrom(peer).push(number);
          // Slower than they speak, so that much is under way when a peer moves.
          return turn();
        }
        const asked = message.as(Ask);
        if (asked !== undefined) await reply(Answer.of(asked));
        const address = message.as(NewAddress);
        if (address === undefined) return;
        this.network.add(address, { move: true }).then(this.moved.resolve, this.moved.reject);
      },
      nodeAdded: () => void this.events.push("added"),
      nodeDeleted: ({ reason }) => void this.events.push(`deleted ${reason?.message}`),
    });
  }

  heardFrom({ id }: { id: { text: string } }): number[] {
    const numbers = this.heard.get(id.text) ?? [];
    this.heard.set(id.text, numbers);
    return numbers;
  }

  /** Speaks to every peer, asks it and waits for its answer, again and again. */
  async talk(over: AbortSignal): Promise<void> {
    const talkTo = async (peer: Peer): Promise<void> => {
      for (let said = 0; !over.aborted; ) {
        const burst = Array.from({ length: 100 }, () => peer.send(Numbered.of(said++)));
        this.said.set(peer.id.text, said);
        await Promise.all(burst);
        // All that was said comes before the answer, so no more than a few bursts wait.
        if (said % 500 === 0) {
          expect(await peer.request(Ask.of(said), Answer)).toBe(said);
          this.answered++;
        }
        await turn();
      }
    };
    await Promise.all([...this.network.peers.values()].map(talkTo));
  }

  /** Writes to the hub until it is over; the digest of what was sent. */
  async pour(hub: Peer, over: AbortSignal): Promise<string> {
    const sent = createHash("sha256");
    const channel = await hub.openChannel("file");
    for (let block = 0; !over.aborted; block++) {
      const bytes = pattern(20_000, block);
      sent.update(bytes);
      if (!channel.write(bytes)) await channel.drain();
      await turn();
    }
    await channel.end();
    for await (const _ of channel) throw new Error("nothing comes back");
    return sent.digest("hex");
  }
}

describe("an upgrade from shs to noise", () => {
  expectNoLeaks();
  const members: Member[] = [];
  const member = async (
    stacks: readonly StackParts[],
    options: NetworkOptions = {},
  ): Promise<Member> => {
    const made = new Member(stacks, options);
    members.push(made);
    await made.start();
    return made;
  };
  afterEach(async () => {
    await Promise.all(members.splice(0).map(({ network }) => network.close()));
  });

  /** Serves both, side by side. */
  async function hubOf(
    options: NetworkOptions = {},
  ): Promise<{ hub: Member; oldAddress: string; newAddress: string }> {
    const hub = await member(BOTH, options);
    const address = await hub.network.listen("net:127.0.0.1:0~shs;net:127.0.0.1:0~noise");
    const [oldAddress = "", newAddress = ""] = address.split(";");
    return { hub, oldAddress, newAddress };
  }

  it.each(["when nobody uses it any more", "at once"])(
    "loses nothing in either direction while shs is retired, %s",
    async (when) => {
      const { hub, oldAddress, newAddress } = await hubOf();
      const olds = [await member(BOTH), await member(BOTH), await member(BOTH)];
      const news = [await member(NEW), await member(NEW), await member(NEW)];
      const clients = [...olds, ...news];
      for (const old of olds) await old.network.add(oldAddress);
      for (const young of news) await young.network.add(newAddress);
      await expect.poll(() => hub.network.peers.size, PATIENCE).toBe(6);
      const seenBefore = [...hub.network.peers.values()];
      const hubs = clients.map(({ network }) => onlyPeer(network));
      const usesShs = (): number =>
        hub.network.networkState().peers.filter(({ address }) => address.includes("~shs")).length;
      expect(usesShs()).toBe(3);

      const over = new AbortController();
      const talking = [hub, ...clients].map((each) => each.talk(over.signal));
      const [pourer = hub] = olds;
      const pouring = pourer.pour(onlyPeer(pourer.network), over.signal);
      const heardMore = async (count: number): Promise<void> => {
        const before = clients.map((client) => client.heardFrom(hub.network).length);
        const heard = (index: number): number => clients[index]?.heardFrom(hub.network).length ?? 0;
        const allHeard = (): boolean => before.every((length, i) => heard(i) >= length + count);
        await expect.poll(allHeard, PATIENCE).toBe(true);
      };
      await heardMore(1_000);

      hub.network.broadcast(NewAddress.of(newAddress));
      if (when === "at once") await hub.network.unlisten(oldAddress);
      await Promise.all(clients.map(({ moved }) => moved.promise));
      await expect.poll(usesShs, PATIENCE).toBe(0);
      if (when !== "at once") await hub.network.unlisten(oldAddress);
      await heardMore(1_000);

      const late = await member(OLD);
      await expect(late.network.add(oldAddress)).rejects.toMatchObject({
        code: "DIAL_REFUSED",
        address: oldAddress,
      });

      over.abort();
      await Promise.all(talking);
      const poured = await pouring;
      for (const [client, there] of clients.map((each) => [each, each.network.id.text] as const)) {
        const [up, down] = [hub.heard.get(there), client.heardFrom(hub.network)];
        await expect.poll(() => up?.length, PATIENCE).toBe(client.said.get(hub.network.id.text));
        await expect.poll(() => down.length, PATIENCE).toBe(hub.said.get(there));
        expect(up).toEqual(up?.map((_, index) => index));
        expect(down).toEqual(down.map((_, index) => index));
        expect(client.events).toEqual(["added"]);
        expect([...client.network.wanted.keys()]).toEqual([newAddress]);
        expect(client.answered).toBeGreaterThan(2);
      }
      expect(hub.received.digest("hex")).toBe(poured);
      expect(hub.events).toEqual(Array(6).fill("added"));
      // The same peers as before, at another address.
      const seenNow = [...hub.network.peers.values()];
      expect(seenNow.every((peer, index) => peer === seenBefore[index])).toBe(true);
      expect(clients.every(({ network }, index) => onlyPeer(network) === hubs[index])).toBe(true);
      const state = hub.network.networkState();
      expect(state.addresses).toEqual([newAddress]);
      expect(state.counters).toMatchObject({ added: 6, deleted: 0 });
      for (const { address } of state.peers) expect(address).toMatch(/~noise$/);
      for (const hubSeen of hubs) expect(hubSeen.address).toBe(newAddress);
    },
    20_000,
  );

  it("is done by the address alone: each port speaks one protocol, from its dialer's first byte", async () => {
    const { hub, oldAddress, newAddress } = await hubOf();
    await using oldTap = await Tap.before(portOf(oldAddress));
    await using newTap = await Tap.before(portOf(newAddress));
    for (const [address, { port }] of [
      [oldAddress, oldTap],
      [newAddress, newTap],
    ] as const) {
      const client = await member(BOTH);
      await client.network.add(address.replace(/:\d+~/, `:${port}~`));
    }
    const lengths = [oldTap, newTap].map(({ calls }) =>
      calls.map((runs) => runs.slice(0, 3).map(({ from, bytes }) => [from, bytes.length])),
    );
    expect(lengths).toEqual([
      // docs/protocol.md: challenge, challenge, proof; and e, e·s·payload, s·payload behind their lengths.
      [
        [
          ["dialer", 64],
          ["listener", 64],
          ["dialer", 112],
        ],
      ],
      [
        [
          ["dialer", 34],
          ["listener", 194],
          ["dialer", 162],
        ],
      ],
    ]);
    const challenge = oldTap.calls[0]?.[0]?.bytes ?? Buffer.alloc(0);
    const mac = createHmac("sha512", hub.network.networkId).update(challenge.subarray(32)).digest();
    expect(challenge.subarray(0, 32)).toEqual(mac.subarray(0, 32));
    expect(newTap.calls[0]?.[0]?.bytes.readUInt16LE(0)).toBe(32);
  });

  it("has listeners that say nothing before they are spoken to, and do not guess", async () => {
    const limits = { handshakeTimeoutMs: 300 };
    const { hub, oldAddress, newAddress } = await hubOf({ limits });
    for (const address of [oldAddress, newAddress]) {
      const socket = connect(portOf(address), "127.0.0.1");
      let heard = 0;
      socket.on("data", (bytes) => {
        heard += bytes.length;
      });
      // Cut by the hub, as it should.
      socket.on("error", () => {});
      await new Promise((resolve) => socket.once("close", resolve));
      expect(heard).toBe(0);
    }
    const client = await member(BOTH);
    for (const crossed of [
      oldAddress.replace("~shs", "~noise"),
      newAddress.replace("~noise", "~shs"),
    ]) {
      await expect(client.network.add(crossed)).rejects.toMatchObject({
        attempts: [{ stage: "handshake" }],
      });
    }
    expect(hub.events).toEqual([]);
  });

  it("lets an address name both, in order of preference, before and after", async () => {
    const { hub, oldAddress, newAddress } = await hubOf();
    const both = `${oldAddress};${newAddress}`;
    const reached = async (
      stacks: readonly StackParts[],
      options: NetworkOptions = {},
    ): Promise<string> => (await (await member(stacks, options)).network.add(both)).address;

    expect(await reached(BOTH)).toBe(oldAddress);
    expect(await reached(OLD)).toBe(oldAddress);
    expect(await reached(NEW)).toBe(newAddress);
    expect(await reached(BOTH, { prefer: ["noise"] })).toBe(newAddress);
    expect(await reached(BOTH, { allow: ["noise"] })).toBe(newAddress);
    const strict = await member(BOTH, { allow: ["noise"] });
    await expect(strict.network.add(oldAddress)).rejects.toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
    });

    await hub.network.unlisten(oldAddress);
    expect(hub.network.addresses).toEqual([newAddress]);
    await expect(hub.network.unlisten(oldAddress)).rejects.toThrow(TypeError);
    expect(await reached(BOTH)).toBe(newAddress);
    expect(await reached(NEW)).toBe(newAddress);
    expect(await failureOf(reached(OLD))).toMatchObject({
      code: "DIAL_REFUSED",
      attempts: [
        { address: oldAddress, stage: "connect", cause: { code: "DIAL_REFUSED" } },
        { address: newAddress, stage: "parse", cause: { code: "ADDRESS_UNSUPPORTED" } },
      ],
    });
  });

  it("leaves a peer where it is when the hub has no second place for it, and moves it later", async () => {
    const { hub, oldAddress, newAddress } = await hubOf({ limits: { maxPeers: 2 } });
    const [one, other] = [await member(BOTH), await member(BOTH)];
    const there = await one.network.add(oldAddress);
    await other.network.add(oldAddress);
    await expect.poll(() => hub.network.peers.size, PATIENCE).toBe(2);
    const error = await failureOf(one.network.add(newAddress, { move: true }));
    expect(error).toMatchObject({ attempts: [{ address: newAddress }] });
    expect(there.address).toBe(oldAddress);
    expect([...one.network.wanted.keys()]).toEqual([oldAddress]);
    expect(await there.request(Ask.of(1), Answer)).toBe(1);
    await hub.network.delete(other.network.id);
    await one.network.add(newAddress, { move: true });
    expect(there.address).toBe(newAddress);
    expect(await there.request(Ask.of(2), Answer)).toBe(2);
    expect(one.events).toEqual(["added"]);
    // The place of the stream that it left is free again.
    await expect.poll(() => other.network.peers.size, PATIENCE).toBe(0);
    const comeBack = async (): Promise<boolean> => {
      const back = await other.network.add(newAddress).catch(() => undefined);
      return back !== undefined;
    };
    await expect.poll(comeBack, PATIENCE).toBe(true);
  });

  it("keeps one that cannot move until it is deleted, and can be taken back", async () => {
    const { hub, oldAddress, newAddress } = await hubOf();
    const straggler = await member(OLD);
    const there = await straggler.network.add(oldAddress);
    await expect.poll(() => hub.network.peers.size, PATIENCE).toBe(1);
    hub.network.broadcast(NewAddress.of(newAddress));
    await expect(straggler.moved.promise).rejects.toMatchObject({ code: "ADDRESS_UNSUPPORTED" });
    await hub.network.unlisten(oldAddress);
    expect(await there.request(Ask.of(7), Answer)).toBe(7);
    expect(straggler.network.wanted.has(oldAddress)).toBe(true);

    const [left] = hub.network.networkState().peers;
    expect(left?.address).toMatch(/~shs$/);
    await hub.network.delete(left?.id ?? "");
    await expect.poll(() => straggler.events, PATIENCE).toHaveLength(2);
    expect(straggler.events[1]).toBe("deleted closed by the peer: deleted");
    await expect(straggler.network.add(oldAddress)).rejects.toMatchObject({ code: "DIAL_REFUSED" });

    expect(await hub.network.listen(oldAddress)).toBe(oldAddress);
    const back = await straggler.network.add(oldAddress);
    expect(await back.request(Ask.of(8), Answer)).toBe(8);
  });
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function onlyPeer(network: Network): Peer {
  const [peer] = network.peers.values();
  if (peer === undefined || network.peers.size !== 1) throw new Error("not one peer");
  return peer;
}

function portOf(address: string): number {
  return Number(/:(\d+)~/.exec(address)?.[1]);
}
