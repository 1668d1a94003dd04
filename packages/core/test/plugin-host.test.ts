import { describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import type { AnyPlugin } from "../src/plugin.ts";
import { deferred } from "../src/queue.ts";
import { boom, FakePeer, GONE, World } from "./support/host-world.ts";

describe("registering", () => {
  it("starts a plugin, shows it who is here, and only then messages", async () => {
    const world = new World();
    world.present.push(world.peer, new FakePeer(2));
    const ready = deferred<void>();
    const plugin = world.recorder("a", {
      startup: async () => {
        world.log.push("a startup");
        await ready.promise;
      },
    });
    const registering = world.host.register(plugin);
    expect(world.state()).toMatchObject({ name: "a", status: "starting" });
    world.say("too early");
    world.host.nodeAdded(world.peer.live);
    ready.resolve();
    await registering;
    world.say("in time");
    expect(world.log).toEqual(["a startup", "a added 1", "a added 2", "a in time from 1"]);
    expect(world.state()).toMatchObject({ status: "active", faults: 0 });
  });

  it("is done once the startup is, and started() waits for all of them", async () => {
    const world = new World();
    const [one, two] = [deferred<void>(), deferred<void>()];
    void world.host.register({ startup: () => one.promise });
    let started = false;
    const waiting = world.host.started().then(() => {
      started = true;
    });
    const failing = world.host.register({ startup: () => two.promise });
    one.resolve();
    await settled();
    expect(started).toBe(false);
    two.reject(new Error("no"));
    await expect(failing).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
    await waiting;
  });

  it("takes a plugin once, and two of a kind", async () => {
    const world = new World();
    const plugin = world.recorder("a");
    await world.host.register(plugin);
    expect(() => world.host.register(plugin)).toThrow(
      expect.objectContaining({ code: "PLUGIN_DUPLICATE", name: "PluginError" }),
    );
    await world.host.register(world.recorder("a"));
    expect(world.host.states).toHaveLength(2);
    expect(() => world.host.register({} as AnyPlugin)).toThrow(TypeError);
  });

  it.each([
    ["throws", boom],
    ["rejects", () => Promise.reject(new Error("boom"))],
  ])("is rolled back when startup %s, and can be tried again", async (_how, startup) => {
    const world = new World();
    world.present.push(world.peer);
    const plugin = world.recorder("a", { startup });
    await expect(world.host.register(plugin)).rejects.toMatchObject({
      name: "PluginError",
      code: "PLUGIN_FAILED",
      message: "plugin a did not start: boom",
      cause: expect.objectContaining({ message: "boom" }),
    });
    expect(world.host.states).toEqual([]);
    world.say("nobody listens");
    await world.host.close();
    expect(world.log).toEqual([]);
    Object.assign(plugin, { startup: undefined });
    await world.host.register(plugin);
    expect(world.log).toEqual(["a added 1"]);
  });

  it("is rolled back when startup hangs, after 30 seconds", async () => {
    const world = new World();
    const registering = world.host.register(
      world.recorder("a", { startup: () => new Promise(() => {}) }),
    );
    registering.catch(() => {});
    await world.runtime.advance(29_999);
    expect(world.state()?.status).toBe("starting");
    await world.runtime.advance(1);
    await expect(registering).rejects.toThrow("plugin a did not start: not done after 30000 ms");
    expect(world.host.states).toEqual([]);
    expect(world.runtime.pending).toBe(0);
  });
});

describe("unregistering", () => {
  it("closes the plugin, and shows it nothing more", async () => {
    const world = new World();
    const plugin = world.recorder("a");
    await world.host.register(plugin);
    await world.host.unregister(plugin);
    world.say("too late");
    world.host.nodeAdded(world.peer.live);
    world.host.nodeDeleted(world.peer.live, GONE);
    expect(world.log).toEqual(["a startup", "a close"]);
    expect(world.host.states).toEqual([]);
    await expect(world.host.unregister(plugin)).rejects.toThrow(
      new TypeError("plugin is not registered with this network"),
    );
  });

  it("waits for the startup, and closes once even when it is asked twice", async () => {
    const world = new World();
    const [ready, closed] = [deferred<void>(), deferred<void>()];
    const plugin = world.recorder("a", {
      startup: () => ready.promise,
      close: () => {
        world.log.push("a close");
        return closed.promise;
      },
    });
    const registering = world.host.register(plugin);
    const unregistering = [world.host.unregister(plugin), world.host.close()];
    let over = 0;
    for (const each of unregistering) void each.then(() => over++);
    await settled();
    expect(world.log).toEqual([]);
    ready.resolve();
    await registering;
    await settled();
    expect(world.log).toEqual(["a close"]);
    expect(over).toBe(0);
    closed.resolve();
    await Promise.all(unregistering);
    expect(world.log).toEqual(["a close"]);
  });

  it("has nothing to close of a plugin whose startup fails meanwhile", async () => {
    const world = new World();
    const ready = deferred<void>();
    const plugin = world.recorder("a", { startup: () => ready.promise });
    const registering = world.host.register(plugin);
    const unregistering = world.host.unregister(plugin);
    ready.reject(new Error("no"));
    await expect(registering).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
    await unregistering;
    expect(world.log).toEqual([]);
  });
});

describe("closing", () => {
  it("closes the last registered first, all at the same time", async () => {
    const world = new World();
    const first = deferred<void>();
    const slow = (): Promise<void> => {
      world.log.push("a close");
      return first.promise;
    };
    await world.host.register(world.recorder("a", { close: slow }));
    await world.host.register(world.recorder("b"));
    const closing = world.host.close();
    await settled();
    expect(world.log.slice(-2)).toEqual(["b close", "a close"]);
    first.resolve();
    await closing;
    expect(world.host.states.map(({ status }) => status)).toEqual(["closed", "closed"]);
  });

  it("gives each hook five seconds, and bears those that throw or reject", async () => {
    const world = new World();
    const ways = [boom, () => Promise.reject(new Error("boom")), () => new Promise<void>(() => {})];
    for (const [i, close] of ways.entries()) {
      await world.host.register(world.recorder(String(i), { close }));
    }
    let over = false;
    const closing = world.host.close().then(() => {
      over = true;
    });
    await world.runtime.advance(4_999);
    expect(over).toBe(false);
    await world.runtime.advance(1);
    await closing;
    expect(world.host.states.map(({ lastFault }) => lastFault)).toEqual([
      "close: boom",
      "close: boom",
      "close: not done after 5000 ms",
    ]);
    expect(world.runtime.pending).toBe(0);
  });

  it("holds no timer for hooks that never settled", async () => {
    const world = new World();
    await world.host.register({ newMessage: () => new Promise(() => {}) });
    world.say("hang");
    expect(world.runtime.pending).toBe(1);
    await world.host.close();
    expect(world.runtime.pending).toBe(0);
  });
});
