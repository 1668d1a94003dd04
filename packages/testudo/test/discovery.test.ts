import { deferred } from "@testudo/core";
import { afterEach, describe, expect, test, vi } from "vitest";
import { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import {
  type CreateNetworkOptions,
  createNetwork,
  type Discovery,
  type DiscoveryOptions,
  defineMessage,
  discovery,
  type Network,
  text,
} from "../src/index.ts";

const loaded = vi.hoisted((): string[] => []);
vi.mock("@testudo/plugins/kademlia", (original) => {
  loaded.push("kademlia");
  return original();
});
vi.mock("@testudo/plugins/gossip", (original) => {
  loaded.push("gossip");
  return original();
});

const open: Network[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(open.splice(0).map((network) => network.close()));
});
const create = (options?: CreateNetworkOptions): Network => {
  const network = createNetwork(options);
  open.push(network);
  return network;
};
const storage = { load: async () => undefined, save: async () => {} };
const News = defineMessage({ name: "news", opcode: 1_002, codec: text, reach: "network" });
const plugins = (network: Network): string[] =>
  network.networkState().plugins.map(({ name }) => name);

describe("what is loaded", () => {
  test("is nothing without discovery, kademlia with it, and gossip unless it is unwanted", async () => {
    await create().listen("net:127.0.0.1:0~noise");
    const [alone, both] = [discovery({ gossip: false }), discovery()];
    expect(loaded).toEqual([]);
    create({ discovery: alone });
    expect((await alone.started()).gossip).toBeUndefined();
    expect(loaded).toEqual(["kademlia"]);
    create({ discovery: both });
    await both.started();
    expect(loaded).toEqual(["kademlia", "gossip"]);
  });
});

describe("options that make no sense", () => {
  test.each<[string, unknown]>([
    ["discovery must be", true],
    ["discovery must be", null],
    ["discovery must be", { name: "mine", startup() {} }],
    ["bootstrap must be a list", { bootstrap: "net:127.0.0.1:1~noise" }],
    ["addresses must be a function", { addresses: [] }],
    ["storage must have load", { storage: "overlay.bin" }],
    ["gossip must be its options", { gossip: true }],
    ["gossip.storage must have load", { gossip: { storage: "marks.bin" } }],
    ["gossip.storage must be another", { storage, gossip: { storage } }],
  ])("are refused at once: %s", (message, options) => {
    expect(() => discovery(options as DiscoveryOptions)).toThrow(TypeError);
    const given = { discovery: options as DiscoveryOptions };
    expect(() => create(given)).toThrow(message);
  });

  test("are refused at once where a bootstrap address cannot be read", () => {
    const bootstrap = ["net:127.0.0.1:1~noise", "not one"];
    expect(() => discovery({ bootstrap })).toThrow(/not one/);
    expect(() => create({ discovery: { bootstrap } })).toThrow(/not one/);
  });

  test.each<[string, DiscoveryOptions]>([
    ["k must be", { k: 0 }],
    ["active must be", { gossip: { active: 0 } }],
  ])("are told when it starts, if it takes the plugins to know: %s", async (message, options) => {
    const found = discovery(options);
    const network = create({ discovery: found });
    await expect(found.started()).rejects.toMatchObject({
      code: "PLUGIN_FAILED",
      message: expect.stringContaining(message),
    });
    expect(plugins(network)).not.toContain("discovery");
  });
});

describe("started", () => {
  test("has both plugins, at work", async () => {
    const first = create({ discovery: {} });
    const bootstrap = [await first.listen("net:127.0.0.1:0~noise")];
    const found = discovery({ bootstrap });
    const network = create({ discovery: found });
    const { kademlia, gossip } = await found.started();
    // It carries from now on, not from the next turn on.
    expect(await network.broadcast(News.of("hello")).report()).toHaveProperty("reach");
    expect(gossip?.state).toMatchObject({ mode: "tree", origins: 1 });
    await network.listen("net:127.0.0.1:0~noise");
    await kademlia.joined();
    expect((await kademlia.lookup(first.id)).map(({ id }) => id.text)).toEqual([first.id.text]);
  });

  test("rejects when the network is closed, before or behind it", async () => {
    const found = discovery();
    const network = create({ discovery: found });
    await found.started();
    await network.close();
    await expect(found.started()).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
    const never = deferred<never>();
    const hanging = discovery({ storage: { ...storage, load: () => never.promise } });
    const limits = { closeHookTimeoutMs: 20 };
    const closing = create({ discovery: hanging, limits });
    const waiting = expect(hanging.started()).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
    await closing.close();
    await waiting;
  });

  test("says what happens to one that was registered by hand, too", async () => {
    const [good, bad] = [discovery(), discovery({ k: 0 })];
    const network = create();
    await network.registerPlugin(good);
    expect((await good.started()).gossip?.state).toBeDefined();
    const failing = network.registerPlugin(bad);
    await expect(bad.started()).rejects.toThrow(RangeError);
    await expect(failing).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
    await network.unregisterPlugin(good);
    await expect(good.started()).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
  });

  test("is for one network", async () => {
    const found: Discovery = discovery();
    const first = create({ discovery: found });
    expect(() => create({ discovery: found })).toThrow(/for one network/);
    await found.started();
    await first.close();
    expect(() => create({ discovery: found })).toThrow(TypeError);
    const other = create();
    await expect(other.registerPlugin(found)).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
  });
});

describe("an overlay that has started", () => {
  test("is closed again when gossip does not start", async () => {
    const [{ Gossip }, { Kademlia }] = await Promise.all([
      import("@testudo/plugins/gossip"),
      import("@testudo/plugins/kademlia"),
    ]);
    const startup = vi.spyOn(Kademlia.prototype, "startup");
    const close = vi.spyOn(Kademlia.prototype, "close");
    vi.spyOn(Gossip.prototype, "startup").mockImplementation(() => {
      throw new Error("out of luck");
    });
    const found = discovery();
    const network = create({ discovery: found });
    await expect(found.started()).rejects.toThrow(/out of luck/);
    expect(startup).toHaveBeenCalledOnce();
    expect(close).toHaveBeenCalledOnce();
    expect(plugins(network)).not.toContain("discovery");
  });

  test("is closed again when the network does not wait for gossip", async () => {
    const { Kademlia } = await import("@testudo/plugins/kademlia");
    const close = vi.spyOn(Kademlia.prototype, "close");
    const marks = deferred<undefined>();
    const slow = { ...storage, load: () => marks.promise };
    const found = discovery({ gossip: { storage: slow } });
    const network = create({ discovery: found, limits: { closeHookTimeoutMs: 50 } });
    const failed = expect(found.started()).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
    await network.close();
    await failed;
    expect(close).not.toHaveBeenCalled();
    marks.resolve(undefined);
    await expect.poll(() => close.mock.calls.length).toBe(1);
  });

  test("is closed again when the network has given up, though it waits for another plugin", async () => {
    const { Kademlia } = await import("@testudo/plugins/kademlia");
    const close = vi.spyOn(Kademlia.prototype, "close");
    const runtime = new VirtualRuntime();
    const table = deferred<undefined>();
    const load = vi.fn(() => table.promise);
    const found = discovery({ gossip: false, storage: { ...storage, load } });
    const network = create({ discovery: found, runtime, keepalive: false, latency: false });
    await expect.poll(() => load.mock.calls.length).toBe(1);
    await runtime.advance(1_000);
    const other = deferred<void>();
    const registered = network.registerPlugin({ startup: () => other.promise });
    await runtime.advance(29_500);
    await expect(found.started()).rejects.toThrow(/not done after 30000 ms/);
    table.resolve(undefined);
    await expect.poll(() => close.mock.calls.length).toBe(1);
    other.resolve();
    await registered;
    await network.close();
    expect(runtime.pending).toBe(0);
  });
});
