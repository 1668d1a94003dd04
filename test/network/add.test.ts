import { createServer, type Server } from "node:net";
import { Identity, Network } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import { Cluster, Line, type Node } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";

/** A TCP server that accepts and says nothing; `connections` counts. */
async function mute(): Promise<{ server: Server; address: string; connected: Promise<void> }> {
  let onConnected = (): void => {};
  const connected = new Promise<void>((resolve) => {
    onConnected = resolve;
  });
  const server = createServer((socket) => {
    socket.on("error", () => {});
    server.once("close-all", () => socket.destroy());
    onConnected();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return { server, address: `net:127.0.0.1:${port}~noise`, connected };
}

function shut(server: Server): Promise<void> {
  server.emit("close-all");
  return new Promise((resolve) => server.close(() => resolve()));
}

function bare(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

describe("add", () => {
  expectNoLeaks();

  it("gives the peer once both hooks can see it, and gives the same one again", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    const peer = await one.network.add(other.address);
    expect(one.events).toEqual([`added ${other.network.id.short}`]);
    expect(peer.id.equals(other.network.id)).toBe(true);
    expect([peer.side, peer.authenticated, peer.connected, peer.writable]).toEqual([
      "dialer",
      true,
      true,
      true,
    ]);
    expect(await one.network.add(other.address)).toBe(peer);
    expect(await one.network.add(bare(other.address))).toBe(peer);
    expect(await one.network.add(`${other.address};net:127.0.0.1:1~noise`)).toBe(peer);
    await other.saw(() => other.events.length === 1);
    expect(await other.network.add(one.address)).toBe(other.peer(one));
    expect([one.count("added"), other.count("added")]).toEqual([1, 1]);
  });

  it("makes one connection of many calls at once", async () => {
    let accepted = 0;
    const transport = net();
    const counting = {
      ...transport,
      listen: ((section, accept) =>
        transport.listen?.(section, (connection) => {
          accepted++;
          accept(connection);
        })) as NonNullable<typeof transport.listen>,
    };
    await using cluster = new Cluster();
    const other = await cluster.one({ stacks: [[counting, noise()]] });
    const one = await cluster.one();
    const adding = Array.from({ length: 20 }, () => one.network.add(other.address));
    const peers = await Promise.all(adding);
    expect(new Set(peers).size).toBe(1);
    expect(accepted).toBe(1);
    expect(one.count("added")).toBe(1);
  });

  it("tries the alternatives in order, and says what went wrong with the last", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    const closed = await cluster.one();
    await closed.network.close();
    await one.network.add(`${closed.address};${other.address}`);
    expect(one.network.peers.size).toBe(1);
    await expect(one.network.add(closed.address)).rejects.toMatchObject({ code: "DIAL_REFUSED" });
    await expect(
      one.network.add(`${closed.address};${bare(closed.address)}`),
    ).rejects.toMatchObject({
      code: "DIAL_REFUSED",
      address: `${closed.address};${bare(closed.address)}`,
    });
  });

  it("refuses a node that is not the one its address names", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    const { id } = Identity.generate();
    await expect(one.network.add(`${bare(other.address)}:${id.text}`)).rejects.toMatchObject({
      code: "PEER_UNEXPECTED",
    });
    expect([one.events, other.events]).toEqual([[], []]);
  });

  it("refuses a node of another network", async () => {
    await using cluster = new Cluster();
    const one = await cluster.one({ networkId: "one" });
    const other = await cluster.one({ networkId: "another" });
    await expect(one.network.add(other.address)).rejects.toMatchObject({
      name: "HandshakeError",
    });
    expect(other.events).toEqual([]);
  });

  for (const how of ["its own key", "an unknown key"]) {
    it(`refuses itself, dialled by ${how}`, async () => {
      await using cluster = new Cluster();
      const one = await cluster.one();
      const address = how === "its own key" ? one.address : bare(one.address);
      await expect(one.network.add(address)).rejects.toMatchObject({ code: "SELF_DIAL" });
      expect(one.events).toEqual([]);
      expect(one.network.peers.size).toBe(0);
    });
  }

  it("refuses what is no address, or a signal that has fired", async () => {
    const network = new Network({ stacks: [[net(), noise()]] });
    await expect(network.add("nonsense address")).rejects.toMatchObject({
      code: "ADDRESS_MALFORMED",
    });
    await expect(network.add(7 as unknown as string)).rejects.toThrow(TypeError);
    await expect(network.add("net:127.0.0.1:1~shs")).rejects.toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
    });
    await expect(network.add("net:127.0.0.1:0~noise")).rejects.toMatchObject({
      code: "ADDRESS_MALFORMED",
    });
    const reason = new Error("not now");
    const signal = AbortSignal.abort(reason);
    await expect(network.add("net:127.0.0.1:1~noise", { signal })).rejects.toBe(reason);
    await network.close();
    await expect(network.add("net:127.0.0.1:1~noise")).rejects.toMatchObject({
      code: "NETWORK_CLOSED",
    });
  });

  it("gives up a listener that says nothing, in time", async () => {
    const { server, address } = await mute();
    const network = new Network({
      stacks: [[net(), noise()]],
      limits: { handshakeTimeoutMs: 50 },
    });
    await expect(network.add(address)).rejects.toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
    await network.close();
    await shut(server);
  });
});

describe("a dial that is called off", () => {
  expectNoLeaks();

  it("goes on for one caller when the other leaves", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    const leaving = new AbortController();
    const left = one.network.add(other.address, { signal: leaving.signal });
    const staying = one.network.add(other.address, { signal: new AbortController().signal });
    const reason = new Error("changed my mind");
    leaving.abort(reason);
    await expect(left).rejects.toBe(reason);
    expect((await staying).connected).toBe(true);
  });

  it("ends with the last caller, whose reason it is, and may be begun anew at once", async () => {
    const { server, address, connected } = await mute();
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    const leaving = new AbortController();
    const left = one.network.add(address, { signal: leaving.signal });
    await connected;
    const reason = new Error("changed my mind");
    leaving.abort(reason);
    await expect(left).rejects.toBe(reason);
    await shut(server);

    const again = new AbortController();
    const first = one.network.add(other.address, { signal: again.signal });
    again.abort(reason);
    const second = one.network.add(other.address);
    await expect(first).rejects.toBe(reason);
    expect((await second).connected).toBe(true);
    expect(one.network.peers.size).toBe(1);
  });

  it("ends when its address is deleted", async () => {
    const { server, address, connected } = await mute();
    await using cluster = new Cluster();
    const one = await cluster.one();
    const adding = one.network.add(address);
    await connected;
    await one.network.delete(address);
    await expect(adding).rejects.toMatchObject({ code: "STREAM_CLOSED", address });
    await shut(server);
    expect(one.network.wanted.size).toBe(0);
  });

  it("ends when the network closes", async () => {
    const { server, address, connected } = await mute();
    const network = new Network({ stacks: [[net(), noise()]] });
    const adding = network.add(address);
    await connected;
    await network.close();
    await expect(adding).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
    await shut(server);
  });
});

describe("delete", () => {
  expectNoLeaks();

  for (const by of ["peer", "id", "text", "address"] as const) {
    it(`closes the peer named by ${by}, and takes its address back`, async () => {
      await using cluster = new Cluster();
      const [one, other] = (await cluster.start(2)) as [Node, Node];
      const peer = await one.network.add(other.address);
      const names = { peer, id: peer.id, text: peer.id.text, address: other.address };
      await other.saw(() => other.count("added") === 1);
      expect([...one.network.wanted.keys()]).toEqual([other.address]);
      await one.network.delete(names[by]);
      expect(one.network.wanted.size).toBe(0);
      expect(peer.connected).toBe(false);
      await other.saw(() => other.count("deleted") === 1);
      expect(one.reasons[0]).toMatchObject({ code: "STREAM_CLOSED" });
      expect(other.reasons[0]).toMatchObject({ code: "STREAM_CLOSED" });
      await one.network.delete(names[by]);
      expect([one.count("deleted"), other.count("deleted")]).toEqual([1, 1]);
      await expect(peer.send(Line.of("too late"))).rejects.toMatchObject({
        code: "STREAM_CLOSED",
      });
    });
  }

  it("lets what was sent before arrive, and nothing after", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    const peer = await one.network.add(other.address);
    const sent = Array.from({ length: 1_000 }, (_, i) => String(i));
    for (const line of sent) void peer.send(Line.of(line));
    const deleting = one.network.delete(peer);
    const late = peer.send(Line.of("late"));
    await expect(late).rejects.toMatchObject({ code: "STREAM_CLOSED" });
    await deleting;
    await other.saw(() => other.count("deleted") === 1);
    expect(other.texts).toEqual(sent);
    expect(other.events.at(-1)).toMatch(/^deleted/);
  });

  it("of nobody does nothing; of nonsense it rejects", async () => {
    const network = new Network();
    await network.delete(Identity.generate().id);
    await expect(network.delete("no address")).rejects.toMatchObject({
      code: "ADDRESS_MALFORMED",
    });
    await expect(network.delete(undefined as unknown as string)).rejects.toThrow(TypeError);
  });
});
