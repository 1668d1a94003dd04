import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { networkError } from "../src/errors.ts";
import type { Transform } from "../src/transform.ts";
import { House, SHAKE_MS } from "./support/house.ts";
import type { ManualConnection } from "./support/manual-connection.ts";
import { toy } from "./support/toy-transform.ts";

const GREETING = Uint8Array.of(7, 7);

let house: House;

beforeEach(() => {
  house = new House();
});

/** Whatever happened, nothing waits. */
afterEach(() => {
  expect(house.runtime.pending).toBe(0);
});

describe("an arrival", () => {
  it("has a place before its handshake, and goes with it to the taker", async () => {
    const listener = await house.open();
    const connection = listener.arrival();
    expect(house.counts).toEqual([1, 1]);
    connection.receive(GREETING);
    await settled();
    const [taken] = house.taken;
    expect(taken).toMatchObject({
      link: { connection, side: "listener", address: "manual:far:1~toy" },
      stack: { name: "manual~toy" },
    });
    // Until the taker settles it, it may still be cut to make room.
    expect(house.counts).toEqual([1, 1]);
    taken?.ticket.leave();
    expect(house.counts).toEqual([0, 0]);
  });

  it.each([
    [
      "fails its handshake",
      (c: ManualConnection) => c.receive(Uint8Array.of(1, 1)),
      "HANDSHAKE_FAILED",
    ],
    ["hangs up", (c: ManualConnection) => c.finish(), "TRUNCATED"],
    ["is cut", (c: ManualConnection) => c.finish(networkError("TRUNCATED", "cut")), "TRUNCATED"],
    ["says nothing", () => {}, "HANDSHAKE_TIMEOUT"],
  ])("that %s gives its place back, and is told of", async (_what, act, code) => {
    const listener = await house.open();
    const connection = listener.arrival();
    act(connection);
    await house.runtime.advance(SHAKE_MS);
    expect([house.codes, house.counts, house.taken]).toEqual([[code], [0, 0], []]);
    expect(house.refused[0]).toMatchObject({
      connection,
      error: { address: "manual:far:1" },
    });
    expect(connection.aborted).toBeInstanceOf(Error);
    // And disturbs no other.
    listener.arrival().receive(GREETING);
    await settled();
    expect(house.taken.length).toBe(1);
  });

  it.each([
    ["itself", {}],
    ["what a transform waits for", { handshake: () => new Promise<never>(() => {}) }],
  ])("that hangs up is not waited for, whatever %s waits for", async (_what, more) => {
    const listener = await house.open("manual:a~toy", [house.transport, { ...toy(), ...more }]);
    const connection = listener.arrival();
    connection.receive(GREETING.subarray(0, 1));
    await settled();
    const cut = networkError("TRUNCATED", "the line is dead");
    connection.finish(cut);
    await settled();
    expect([house.codes, house.counts]).toEqual([["TRUNCATED"], [0, 0]]);
  });

  it("that an endless transform holds is cut at the deadline", async () => {
    const endless: Transform = { ...toy(), handshake: () => new Promise(() => {}) };
    const listener = await house.open("manual:a~toy", [house.transport, endless]);
    const connection = listener.arrival();
    await house.runtime.advance(SHAKE_MS);
    expect(connection.aborted).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
    expect([house.codes, house.counts]).toEqual([["HANDSHAKE_TIMEOUT"], [0, 0]]);
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("taker");
      },
    ],
    ["rejects", () => Promise.reject(new Error("taker"))],
  ])("whose taker %s gives its place back", async (_what, taker) => {
    const listener = await house.open();
    house.taker = taker;
    listener.arrival().receive(GREETING);
    await settled();
    expect(house.counts).toEqual([0, 0]);
    expect(house.refused).toMatchObject([
      { error: { code: "HANDSHAKE_FAILED", message: "an arrival was not admitted: taker" } },
    ]);
  });

  it("for which there is no place is cut at once, and told of with where it came from", async () => {
    house = new House({ maxPeers: 1 });
    const listener = await house.open();
    house.admission.dial();
    const connection = listener.arrival();
    expect(connection.aborted).toMatchObject({ code: "TOO_MANY_PEERS" });
    expect(house.refused).toMatchObject([
      { error: { code: "TOO_MANY_PEERS", address: "manual:far:1" } },
    ]);
    expect([house.counts, connection.writes]).toEqual([[1, 0], []]);
  });

  it("that is the oldest of too many handshakes makes room", async () => {
    house = new House({ maxHandshakes: 2 });
    const listener = await house.open();
    const crowd = [listener.arrival(), listener.arrival(), listener.arrival()];
    await settled();
    expect(crowd.map(({ aborted }) => aborted !== undefined)).toEqual([true, false, false]);
    expect([house.codes, house.counts]).toEqual([["TOO_MANY_PEERS"], [2, 2]]);
    for (const connection of crowd) connection.receive(GREETING);
    await settled();
    expect(house.taken.length).toBe(2);
  });
});

describe("closing", () => {
  const reason = networkError("NETWORK_CLOSED", "closing");

  it("one door leaves the others, and what came through it", async () => {
    const [first, second] = [await house.open("manual:a~toy"), await house.open("manual:b~toy")];
    const connection = first.arrival();
    connection.receive(GREETING);
    await settled();
    const [door] = house.doors.open;
    if (door === undefined) throw new Error("no door");
    await house.doors.close(door);
    await house.doors.close(door);
    expect(house.doors.open.map(({ address }) => address)).toEqual(["manual:b~toy"]);
    expect([first.closed > 0, second.closed, connection.aborted]).toEqual([true, 0, undefined]);
  });

  it("cuts the handshakes under way, and waits for nothing else", async () => {
    const endless: Transform = { ...toy(), handshake: () => new Promise(() => {}) };
    const listeners = [
      await house.open("manual:a~toy"),
      await house.open("manual:b~toy", [house.transport, endless]),
    ];
    const shaking = listeners.map((listener) => listener.arrival());
    const done = listeners[0]?.arrival();
    done?.receive(GREETING);
    await settled();
    house.doors.cut(reason);
    await house.doors.closeAll();
    expect(shaking.map(({ aborted }) => aborted)).toEqual([reason, reason]);
    expect([house.codes, house.counts]).toEqual([
      ["NETWORK_CLOSED", "NETWORK_CLOSED"],
      [1, 1],
    ]);
    expect(done?.aborted).toBeUndefined();
    expect(house.transport.open).toEqual([]);
  });

  it("refuses who comes meanwhile, and who finishes in that moment", async () => {
    const listener = await house.open();
    const finishing = listener.arrival();
    finishing.receive(GREETING);
    house.doors.cut(reason);
    const late = listener.arrival();
    await house.doors.closeAll();
    expect([late.aborted, finishing.aborted]).toEqual([reason, reason]);
    expect([house.taken, house.counts]).toEqual([[], [0, 0]]);
    expect(house.codes).toEqual(["NETWORK_CLOSED", "NETWORK_CLOSED"]);
  });

  it("takes nobody in, in whichever moment of a handshake it comes", async () => {
    let taken = 0;
    for (let turns = 0; taken === 0; turns++) {
      house = new House();
      const listener = await house.open();
      const connection = listener.arrival();
      await settled();
      connection.receive(GREETING);
      for (let i = 0; i < turns; i++) await undefined;
      taken = house.taken.length;
      house.doors.cut(reason);
      await house.doors.closeAll();
      expect(house.taken.length).toBe(taken);
      expect(house.counts).toEqual(taken === 0 ? [0, 0] : [1, 1]);
      if (taken === 0) expect(connection.aborted).toBe(reason);
    }
  });
});
