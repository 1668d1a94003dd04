import { connect } from "node:net";
import { Network } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import { Cluster, type Node } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";

function bare(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

describe("listen", () => {
  expectNoLeaks();

  it("gives an address that others can dial, for each of several", async () => {
    await using cluster = new Cluster();
    const node = await cluster.one({
      stacks: [
        [net(), noise()],
        [net(), noauth()],
      ],
    });
    const more = await node.network.listen("net:127.0.0.1:0~noise;net:127.0.0.1:0~noauth");
    expect(node.network.addresses).toHaveLength(3);
    expect(more.split(";")).toEqual(node.network.addresses.slice(1));
    const one = await cluster.one();
    await one.network.add(more.split(";")[0] as string);
  });

  it("takes its own key in the address, and no other's", async () => {
    const network = new Network({ stacks: [[net(), noise()]] });
    const stranger = new Network();
    const own = await network.listen(`net:127.0.0.1:0~noise:${network.id.text}`);
    expect(own).toMatch(/^net:127\.0\.0\.1:\d+~noise:/);
    await expect(network.listen(`net:127.0.0.1:0~noise:${stranger.id.text}`)).rejects.toMatchObject(
      { code: "ADDRESS_MALFORMED" },
    );
    await network.close();
    await stranger.close();
  });

  it("listens on all of several, or on none", async () => {
    await using cluster = new Cluster();
    const taken = await cluster.one();
    const network = new Network({ stacks: [[net(), noise()]] });
    const occupied = bare(taken.address);
    await expect(network.listen(`net:127.0.0.1:0~noise;${occupied}`)).rejects.toMatchObject({
      code: "LISTEN_FAILED",
    });
    expect(network.addresses).toEqual([]);
    await network.close();
  });

  it("refuses noauth where others can reach it, unless it was allowed", async () => {
    const strict = new Network({ stacks: [[net(), noauth()]] });
    await expect(strict.listen("net:0.0.0.0:0~noauth")).rejects.toMatchObject({
      code: "LISTEN_FAILED",
      address: "net:0.0.0.0:0~noauth",
    });
    await strict.listen("net:127.0.0.1:0~noauth");
    await strict.close();
    const loose = new Network({ stacks: [[net(), noauth()]], allowPublicNoauth: true });
    await loose.listen("net:0.0.0.0:0~noauth");
    await loose.close();
    const proved = new Network({ stacks: [[net(), noise()]] });
    await proved.listen("net:0.0.0.0:0~noise");
    await proved.close();
  });

  it("refuses a port in use, what no stack speaks, and a closed network", async () => {
    await using cluster = new Cluster();
    const node = await cluster.one();
    const other = new Network({ stacks: [[net(), noise()]] });
    await expect(other.listen(bare(node.address))).rejects.toMatchObject({
      code: "LISTEN_FAILED",
    });
    await expect(other.listen("net:127.0.0.1:0~shs")).rejects.toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
    });
    await other.close();
    await expect(other.listen("net:127.0.0.1:0~noise")).rejects.toMatchObject({
      code: "NETWORK_CLOSED",
    });
  });

  it("keeps a listener for honest nodes while idle strangers flood it", async () => {
    await using cluster = new Cluster();
    const node = await cluster.one({ limits: { maxHandshakes: 32 } });
    const port = Number(node.address.split(/[:~]/)[2]);
    const sockets = Array.from({ length: 1_000 }, () => connect(port, "127.0.0.1"));
    for (const socket of sockets) socket.on("error", () => {});
    await Promise.all(
      sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve))),
    );
    const honest = await cluster.one();
    await honest.network.add(node.address);
    await node.saw(() => node.count("added") === 1);
    // Of the strangers no more than the bound is left, or on its way out.
    await expect.poll(() => sockets.filter((socket) => socket.closed).length).toBeGreaterThan(960);
    for (const socket of sockets) socket.destroy();
  }, 20_000);

  it("counts peers before their handshake, and says when it is full", async () => {
    await using cluster = new Cluster();
    const full = await cluster.one({ limits: { maxPeers: 2 } });
    const [a, b, c] = (await cluster.start(3)) as [Node, Node, Node];
    await cluster.connect(a, full);
    await full.network.add(b.address);
    await expect(full.network.add(c.address)).rejects.toMatchObject({ code: "TOO_MANY_PEERS" });
    await expect(c.network.add(full.address)).rejects.toThrow();
    expect(full.network.peers.size).toBe(2);
    await full.network.delete(b.network.id);
    await full.network.add(c.address);
    expect(full.network.peers.size).toBe(2);
  });
});
