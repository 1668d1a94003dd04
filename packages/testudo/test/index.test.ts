import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { createNetwork, defineMessage, type Network, NetworkError, text } from "../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "testudo-"));
afterAll(() => rmSync(folder, { recursive: true }));
const open: Network[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((network) => network.close()));
});
const create = (...args: Parameters<typeof createNetwork>): Network => {
  const network = createNetwork(...args);
  open.push(network);
  return network;
};
const within = { timeout: 20_000 };
const Say = defineMessage({ name: "say", opcode: 1_000, codec: text });

const News = defineMessage({ name: "news", opcode: 1_001, codec: text, reach: "network" });

describe("createNetwork with discovery", () => {
  test("joins through one address, finds a node by its id, and reaches all", async () => {
    const first = create({ discovery: {} });
    const bootstrap = [await first.listen("net:127.0.0.1:0~noise")];
    const others = [1, 2, 3].map(() => create({ discovery: { bootstrap } }));
    const nodes = [first, ...others];
    const heard = nodes.map(
      (network) =>
        new Promise<string>((resolve) => {
          void network.registerPlugin({
            newMessage({ message }) {
              const news = message.as(News);
              if (news !== undefined) resolve(`${message.sender.text} ${news}`);
            },
          });
        }),
    );
    for (const network of others) await network.listen("net:127.0.0.1:0~noise");
    const [a, b] = others as [Network, Network];
    await expect.poll(() => nodes.every(({ peers }) => peers.size > 0), within).toBe(true);
    await expect
      .poll(
        () =>
          a
            .add(b.id)
            .then(({ id }) => id.text)
            .catch(() => undefined),
        within,
      )
      .toBe(b.id.text);
    // Whoever has no neighbours yet gets it from the first that it has.
    a.broadcast(News.of("good ones"));
    for (const [i, got] of heard.entries()) {
      if (nodes[i] !== a) expect(await got).toBe(`${a.id.text} good ones`);
    }
    const report = () => a.broadcast(News.of("more")).report();
    await expect
      .poll(async () => (await report()).reach, within)
      .toEqual({ nodes: 3, complete: true });
  });

  test("leaves gossip out where it is told so", async () => {
    const [a, b] = [create({ discovery: { gossip: false } }), create()];
    await a.add(await b.listen("net:127.0.0.1:0~noise"));
    expect((await a.broadcast(News.of("near ones")).report()).reach).toBeUndefined();
  });

  test("says what is wrong with its options when it starts", async () => {
    const network = create({ discovery: { k: 0 } });
    await expect(network.listen("net:127.0.0.1:0~noise")).resolves.toContain("net:");
    expect(network.networkState().plugins.map(({ name }) => name)).not.toContain("discovery");
  });
});

describe("createNetwork", () => {
  test.each([
    "net:127.0.0.1:0~noise",
    "net:127.0.0.1:0~noise-chacha",
    "net:127.0.0.1:0~shs",
    "net:127.0.0.1:0~noauth",
    "ws://127.0.0.1:0~noise",
    "ws://127.0.0.1:0~shs",
    "unix:FOLDER/a~noise",
    "unix:FOLDER/b~shs",
    "unix:FOLDER/c~noauth",
    "kcp:127.0.0.1:0~noise",
    "kcp:127.0.0.1:0~shs",
  ])("speaks %s", async (address) => {
    const [a, b] = [create(), create()];
    const heard = new Promise<string | undefined>((resolve) => {
      void b.registerPlugin({ newMessage: ({ message }) => resolve(message.as(Say)) });
    });
    const peer = await a.add(await b.listen(address.replace("FOLDER", folder)));
    await peer.send(Say.of("hello"));
    expect(await heard).toBe("hello");
  });

  test("dials what onion can be, and listens on none", async () => {
    const network = create();
    const malformed = { code: "ADDRESS_MALFORMED", attempts: [{ stage: "parse" }] };
    for (const transform of ["noise", `shs:${network.id.text.replace(/^./, "A")}`]) {
      await expect(network.add(`onion::80~${transform}`)).rejects.toMatchObject(malformed);
    }
    await expect(network.listen("onion:a.onion:80~noise")).rejects.toMatchObject({
      code: "LISTEN_FAILED",
    });
  });

  test("has datagrams beside the stream of kcp, and none beside that of net", async () => {
    const listener = create();
    const dial = async (address: string) => create().add(await listener.listen(address));
    expect((await dial("kcp:127.0.0.1:0~noise")).datagrams).toBeDefined();
    expect((await dial("net:127.0.0.1:0~noise")).datagrams).toBeUndefined();
  });

  test("what is wrong with an address is told, whichever transport it is of", async () => {
    const network = create();
    const address =
      "ws://127.0.0.1:0~noise;ws:127.0.0.1:80~noise;unix:~noise;kcp:127.0.0.1:0~noise";
    await expect(network.add(address)).rejects.toMatchObject({
      code: "ADDRESS_MALFORMED",
      attempts: [{ stage: "parse" }, { stage: "parse" }, { stage: "parse" }, { stage: "parse" }],
    });
  });

  test("has keepalive and latency, unless they are unwanted", async () => {
    const network = create();
    await network.listen("net:127.0.0.1:0~noauth");
    const { plugins } = network.networkState();
    expect(plugins.map(({ name }) => name.toLowerCase())).toEqual(["keepalive", "latency"]);
    expect(plugins.every(({ status }) => status === "active")).toBe(true);
    const bare = create({ keepalive: false, latency: false });
    expect(bare.networkState().plugins).toEqual([]);
  });

  test("other stacks replace the default ones; an app key separates", async () => {
    const none = create({ stacks: [] });
    await expect(none.listen("net:127.0.0.1:0~noise")).rejects.toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
    });
    const listener = create({ appKey: new Uint8Array(32).fill(1) });
    const address = await listener.listen("net:127.0.0.1:0~shs");
    const stranger = create({ appKey: new Uint8Array(32).fill(2) });
    await expect(stranger.add(address)).rejects.toBeInstanceOf(NetworkError);
    const friend = create({ appKey: new Uint8Array(32).fill(1) });
    expect((await friend.add(address)).id.text).toBe(listener.id.text);
  });

  test("refuses options that make no sense at once", () => {
    expect(() => createNetwork({ keepalive: { intervalMs: -1 } })).toThrow(RangeError);
    expect(() => createNetwork({ appKey: new Uint8Array(3) })).toThrow();
  });
});
