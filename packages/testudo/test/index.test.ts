import { afterEach, describe, expect, test } from "vitest";
import { createNetwork, defineMessage, type Network, NetworkError, text } from "../src/index.ts";

const open: Network[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((network) => network.close()));
});
const create = (...args: Parameters<typeof createNetwork>): Network => {
  const network = createNetwork(...args);
  open.push(network);
  return network;
};
const Say = defineMessage({ name: "say", opcode: 1_000, codec: text });

describe("createNetwork", () => {
  test.each(["noise", "noise-chacha", "shs", "noauth"])("speaks net~%s", async (transform) => {
    const [a, b] = [create(), create()];
    const heard = new Promise<string | undefined>((resolve) => {
      void b.registerPlugin({ newMessage: ({ message }) => resolve(message.as(Say)) });
    });
    const peer = await a.add(await b.listen(`net:127.0.0.1:0~${transform}`));
    await peer.send(Say.of("hello"));
    expect(await heard).toBe("hello");
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
