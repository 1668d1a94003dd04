import { Network } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { Cluster, Line } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";

const stacks = [
  [net(), noise()],
  [net(), shs()],
] as const;

describe("unlisten", () => {
  expectNoLeaks();

  it("closes the listener, and its peers live on", async () => {
    await using cluster = new Cluster();
    const [one, other] = [await cluster.one(), await cluster.one()];
    await cluster.connect(other, one);
    await one.network.unlisten(one.address);
    expect(one.network.addresses).toEqual([]);
    const late = await cluster.one();
    await expect(late.network.add(one.address)).rejects.toMatchObject({ code: "DIAL_REFUSED" });
    await other.peer(one).send(Line.of("still here"));
    await one.saw(() => one.texts.length === 1);
    const again = await one.network.listen("net:127.0.0.1:0~noise");
    await late.network.add(again);
  });

  it("takes one alternative of several, or all that listen gave", async () => {
    await using cluster = new Cluster();
    const node = await cluster.one({ stacks });
    const { network } = node;
    const both = await network.listen("net:127.0.0.1:0~noise;net:127.0.0.1:0~shs");
    const [first = "", second = ""] = both.split(";");
    await network.unlisten(first);
    expect(network.addresses).toEqual([node.address, second]);
    await expect(network.unlisten(first)).rejects.toThrow(TypeError);
    // Of those that it names, those that listen.
    await network.unlisten(both);
    expect(network.addresses).toEqual([node.address]);
  });

  it("takes any host of a listener that has several, and what listen gave of it and another", async () => {
    const external = ["one.example", "two.example"];
    const scoped = net({ scope: ["device", "public"], external });
    await using cluster = new Cluster();
    const node = await cluster.one({
      stacks: [
        [scoped, noise()],
        [net(), shs()],
      ],
    });
    const { network } = node;
    expect(node.address).toMatch(/^net:one\.example:\d+~noise:.*;net:two\.example:\d+~noise:/);
    await network.unlisten(node.address.split(";")[1] ?? "");
    expect(network.addresses).toEqual([]);
    const both = await network.listen("net:127.0.0.1:0~noise;net:127.0.0.1:0~shs");
    expect(both.split(";")).toHaveLength(3);
    await network.unlisten(both);
    expect(network.addresses).toEqual([]);
  });

  it.each(["net:127.0.0.1:1~noise", "", "no address", "net:127.0.0.1:1~shs:KEY:SEED"])(
    "rejects %j, where nothing listens, and shows no secret",
    async (address) => {
      const network = new Network({ stacks });
      const error = await network.unlisten(address).catch((thrown: Error) => thrown);
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).not.toContain("SEED");
      await expect(network.unlisten(7 as never)).rejects.toThrow(TypeError);
      await network.close();
    },
  );

  it("says so after the network closed, too", async () => {
    const network = new Network({ stacks });
    const address = await network.listen("net:127.0.0.1:0~noise");
    await network.close();
    await expect(network.unlisten(address)).rejects.toThrow(TypeError);
  });
});
