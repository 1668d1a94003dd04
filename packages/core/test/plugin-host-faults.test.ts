import { describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { networkError } from "../src/errors.ts";
import type { AnyPlugin } from "../src/plugin.ts";
import { type Deferred, deferred } from "../src/queue.ts";
import { boom, FakePeer, GONE, World } from "./support/host-world.ts";

const THEN = "then";

/** What a plugin may return that looks like a promise and is none. */
function thenable(then: PropertyDescriptor): object {
  return Object.defineProperties({}, { [THEN]: then });
}

describe("a hook that fails", () => {
  const ways: [string, () => unknown][] = [
    ["throws", boom],
    ["rejects", () => Promise.reject(new Error("boom"))],
    ["has a then that throws", () => thenable({ value: boom })],
    ["has a then that cannot be read", () => thenable({ get: boom })],
  ];
  for (const [how, fail] of ways) {
    it(`because it ${how} is counted and logged, and harms nobody else`, async () => {
      const world = new World();
      await world.host.register(world.recorder("before"));
      await world.host.register({
        name: "ill",
        newMessage: fail,
        nodeAdded: fail,
        nodeDeleted: fail,
      } as AnyPlugin);
      await world.host.register(world.recorder("after"));
      world.log.length = 0;
      world.host.nodeAdded(world.peer.live);
      world.say("hello");
      world.host.nodeDeleted(world.peer.live, GONE);
      await settled();
      expect(world.log).toEqual([
        "before added 1",
        "after added 1",
        "before hello from 1",
        "after hello from 1",
        "before deleted 1 TRUNCATED",
        "after deleted 1 TRUNCATED",
      ]);
      expect(world.state(1)).toMatchObject({
        faults: 3,
        inFlight: 0,
        status: "active",
        lastFault: "nodeDeleted: boom",
      });
      expect(world.logged).toEqual(Array(3).fill("warn a plugin's hook failed ill"));
      expect([world.state(0)?.faults, world.state(2)?.faults]).toEqual([0, 0]);
      expect(world.peer.inFlight).toBe(0);
    });
  }

  it("may throw anything at all", async () => {
    const world = new World();
    const things: unknown[] = [undefined, null, "text", 7, {}, { toString: boom }, Symbol("s")];
    const plugin: AnyPlugin = {
      newMessage: () => {
        throw things.shift();
      },
    };
    await world.host.register(plugin);
    for (let i = 0; i < 7; i++) world.say("on");
    expect(world.state()).toMatchObject({ faults: 7 });
  });

  it("because it hangs is a fault after 30 seconds, and its end later is nothing", async () => {
    const world = new World();
    const hooks: Deferred<void>[] = [];
    await world.host.register({
      newMessage: () => {
        const hook = deferred<void>();
        hooks.push(hook);
        return hook.promise;
      },
    });
    world.say("one");
    await world.runtime.advance(10_000);
    world.say("two");
    await world.runtime.advance(19_999);
    expect(world.state()).toMatchObject({ faults: 0, inFlight: 2 });
    await world.runtime.advance(1);
    expect(world.state()).toMatchObject({
      faults: 1,
      inFlight: 1,
      lastFault: "newMessage: not done after 30000 ms",
    });
    hooks[0]?.reject(new Error("late"));
    hooks[1]?.resolve();
    await settled();
    expect(world.state()).toMatchObject({ faults: 1, inFlight: 0 });
    expect(world.peer.inFlight).toBe(0);
    await world.runtime.advance(60_000);
    expect(world.state()).toMatchObject({ faults: 1 });
    expect(world.runtime.pending).toBe(0);
  });

  it.each([
    ["a broken body", networkError("BODY_MALFORMED", "no such body")],
    ["a full queue", networkError("SEND_BUFFER_FULL", "it does not read")],
    ["a request without answer", networkError("REQUEST_TIMEOUT", "no answer")],
    ["a peer that left", networkError("STREAM_CLOSED", "gone")],
  ])("because of %s is the peer's doing, and is only told", async (_what, error) => {
    const world = new World();
    await world.host.register({ name: "a", newMessage: () => Promise.reject(error) });
    for (let i = 0; i < 50; i++) world.say("on");
    await settled();
    expect(world.state()).toMatchObject({ faults: 0, status: "active", lastFault: null });
    expect(world.logged).toEqual(Array(50).fill("debug a peer failed a hook a"));
  });

  it("with the very reason the peer left for is the peer's doing too", async () => {
    const world = new World();
    const goodbye = networkError("NETWORK_CLOSED", "closed by the peer");
    const hooks: Deferred<void>[] = [];
    await world.host.register({
      newMessage: () => {
        const hook = deferred<void>();
        hooks.push(hook);
        return hook.promise;
      },
    });
    world.say("one");
    world.say("two");
    world.peer.lastError = goodbye;
    hooks[0]?.reject(goodbye);
    hooks[1]?.reject(networkError("NETWORK_CLOSED", "another, from somewhere else"));
    await settled();
    expect(world.state()).toMatchObject({ faults: 1 });
  });
});

describe("ten faults in a row", () => {
  it("suspend the plugin, and no other; it is still closed", async () => {
    const world = new World();
    await world.host.register(world.recorder("ill", { newMessage: boom }));
    await world.host.register(world.recorder("well"));
    for (let i = 0; i < 9; i++) world.say("on");
    expect(world.state(0)).toMatchObject({ status: "active", faults: 9 });
    for (let i = 0; i < 9; i++) world.say("on");
    world.host.nodeAdded(world.peer.live);
    expect(world.state(0)).toMatchObject({ status: "suspended", faults: 10 });
    expect(world.state(1)).toMatchObject({ status: "active", faults: 0 });
    expect(world.logged.at(-1)).toBe("error plugin suspended ill");
    await world.host.close();
    expect(world.log.filter((entry) => entry.startsWith("ill"))).toEqual([
      "ill startup",
      "ill close",
    ]);
    expect(world.log.filter((entry) => entry.includes("well on"))).toHaveLength(18);
  });

  it("count rejections and hanging hooks alike", async () => {
    const world = new World();
    const ways = [boom, () => Promise.reject(new Error("boom")), () => new Promise<void>(() => {})];
    let call = 0;
    await world.host.register({ newMessage: () => ways[call++ % 3]?.() });
    for (let i = 0; i < 10; i++) world.say("on");
    await settled();
    expect(world.state()).toMatchObject({ status: "active", faults: 7, inFlight: 3 });
    await world.runtime.advance(30_000);
    expect(world.state()).toMatchObject({ status: "suspended", faults: 10, inFlight: 0 });
  });

  for (const [how, success] of [
    ["a message", () => {}],
    ["a promise that resolves", async () => {}],
  ] as const) {
    it(`do not include a success between: ${how}`, async () => {
      const world = new World();
      let call = 0;
      await world.host.register({ newMessage: () => (call++ % 10 === 9 ? success() : boom()) });
      for (let i = 0; i < 200; i++) {
        world.say("on");
        await Promise.resolve();
      }
      expect(world.state()).toMatchObject({ status: "active", faults: 180 });
    });
  }

  it("do not include a success of another hook between", async () => {
    const world = new World();
    await world.host.register({ newMessage: boom, nodeAdded: () => {} });
    for (let i = 0; i < 200; i++) {
      if (i % 9 === 0) world.host.nodeAdded(world.peer.live);
      world.say("on");
    }
    expect(world.state()).toMatchObject({ status: "active", faults: 200 });
  });

  it("may be another number", async () => {
    const world = new World({ maxPluginFaults: 2 });
    await world.host.register({ newMessage: boom });
    for (let i = 0; i < 5; i++) world.say("on");
    expect(world.state()).toMatchObject({ status: "suspended", faults: 2 });
  });
});

describe("slow hooks", () => {
  it("hold their peer's stream at maxInFlight, and let it go below", async () => {
    const world = new World({ maxInFlight: 3 });
    const other = new FakePeer(2);
    const hooks: Deferred<void>[] = [];
    await world.host.register({
      newMessage: () => {
        const hook = deferred<void>();
        hooks.push(hook);
        return hook.promise;
      },
    });
    world.say("1");
    world.say("2");
    world.say("for the other", other);
    expect(world.peer.held).toBe(false);
    world.say("3");
    expect([world.peer.held, other.held]).toEqual([true, false]);
    expect(world.state()).toMatchObject({ inFlight: 4 });
    hooks[2]?.resolve();
    await settled();
    expect(world.peer.held).toBe(true);
    hooks[1]?.resolve();
    await settled();
    expect(world.peer.held).toBe(false);
    await world.runtime.advance(30_000);
    expect([world.peer.inFlight, other.inFlight]).toEqual([0, 0]);
  });

  it("let it go when they time out", async () => {
    const world = new World({ maxInFlight: 1 });
    await world.host.register({ newMessage: () => new Promise(() => {}) });
    world.say("1");
    expect(world.peer.held).toBe(true);
    await world.runtime.advance(30_000);
    expect(world.peer.held).toBe(false);
  });
});
