import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { toBase64 } from "../src/bytes.ts";
import { networkError } from "../src/errors.ts";
import { ATTEMPT_DELAY_MS } from "../src/race.ts";
import type { Transform } from "../src/transform.ts";
import {
  DIAL_MS,
  type Dialling,
  DialWorld,
  GREETING,
  PROVED,
  SHAKE_MS,
  shake,
} from "./support/dialling.ts";
import type { ManualDial } from "./support/manual-transport.ts";
import { toy } from "./support/toy-transform.ts";

const KEY_TEXT = toBase64(PROVED);

let world: DialWorld;

beforeEach(() => {
  world = new DialWorld();
});

/** However a dial ended, it leaves no timer and no listener on its signal. */
afterEach(() => {
  expect(world.runtime.pending).toBe(0);
  expect(getEventListeners(world.controller.signal, "abort")).toEqual([]);
});

describe("the error", () => {
  it("has each attempt with its stage, its times and its cause", async () => {
    const dialling = world.dial("manual:a~toy;manual:b~toy;manual:c~toy:k:seed");
    await world.runtime.advance(100);
    world.transport.dialTo("a").options.stage?.("resolve");
    await world.refuse("a", new Error("no such host"));
    await world.runtime.advance(ATTEMPT_DELAY_MS);
    const third = await world.connect("c");
    await world.runtime.advance(30);
    third.receive(Uint8Array.of(1, 1));
    await settled();
    const second = world.transport.dialTo("b");
    second.options.stage?.("resolve");
    second.options.stage?.("connect");
    await world.runtime.advance(20);
    await world.refuse("b");
    expect(dialling.error.attempts).toMatchObject([
      { address: "manual:a~toy", stage: "resolve", afterMs: 0, tookMs: 100 },
      { address: "manual:b~toy", stage: "connect", afterMs: 100, tookMs: 300 },
      { address: "manual:c~toy:k", stage: "handshake", afterMs: 350, tookMs: 30 },
    ]);
    expect(dialling.error.attempts?.map(({ cause }) => [cause.code, cause.address])).toEqual([
      ["DIAL_REFUSED", "manual:a~toy"],
      ["DIAL_REFUSED", "manual:b~toy"],
      ["HANDSHAKE_FAILED", "manual:c~toy:k"],
    ]);
    expect(JSON.stringify([dialling.error, dialling.error.message])).not.toContain("seed");
  });

  it("has the code of the way that got furthest, the first among equals", async () => {
    const dialling = world.dial("unknown:x~toy;manual:a~toy;manual:b~toy;manual:c~toy");
    await settled();
    await world.refuse("a", new Error("nobody"));
    (await world.connect("b")).receive(Uint8Array.of(1, 1));
    await settled();
    (await world.connect("c")).finish();
    await settled();
    expect(dialling.error).toMatchObject({
      name: "HandshakeError",
      code: "HANDSHAKE_FAILED",
      address: "unknown:x~toy;manual:a~toy;manual:b~toy;manual:c~toy",
    });
    const { message, cause } = dialling.error;
    expect(message).toMatch(/^none of 4 alternatives worked\. unknown:x~toy: no stack speaks/);
    expect(message).toContain("manual:c~toy: the other side hung up during the handshake");
    expect(cause).toBeInstanceOf(AggregateError);
    expect((cause as AggregateError).errors).toEqual(
      dialling.error.attempts?.map((attempt) => attempt.cause),
    );
  });

  it("of one alternative is that alternative's own", async () => {
    const why = new Error("nobody");
    const dialling = world.dial("manual:a~toy");
    await world.runtime.advance(70);
    await world.refuse("a", why);
    const { error } = dialling;
    expect(error).toMatchObject({
      code: "DIAL_REFUSED",
      message: "cannot connect to manual:a: nobody",
      address: "manual:a~toy",
      cause: why,
      attempts: [{ stage: "connect", afterMs: 0, tookMs: 70 }],
    });
  });

  it("keeps the peer it is about", async () => {
    const refusing: Transform = {
      ...toy({ name: "refusing" }),
      handshake: () => Promise.reject(networkError("PEER_REFUSED", "not you", { peer: KEY_TEXT })),
    };
    for (const address of ["manual:a~refusing", "unknown:b~toy;manual:a~refusing"]) {
      const dialling = world.dial(address, {}, world.dialer({}, [[world.transport, refusing]]));
      await settled();
      await world.connect("a");
      expect(dialling.error).toMatchObject({ code: "PEER_REFUSED", peer: KEY_TEXT });
    }
  });

  it("is of the handshake, whatever a transport still says of other hosts", async () => {
    const dialling = world.dial("manual:a~toy");
    await settled();
    const connection = await world.connect("a");
    world.transport.dialTo("a").options.stage?.("connect");
    connection.finish();
    await settled();
    expect(dialling.error.attempts).toMatchObject([{ stage: "handshake" }]);
    expect(world.told).toEqual(["begin a", "shaking a", "over a"]);
  });
});

describe("a deadline", () => {
  it("is each way's own", async () => {
    const dialling = world.dial("manual:a~toy;manual:b~toy");
    await world.runtime.advance(ATTEMPT_DELAY_MS);
    const connection = await world.connect("b");
    await world.runtime.advance(DIAL_MS);
    expect(dialling.seen).toBe("pending");
    await world.runtime.advance(10 * SHAKE_MS);
    expect(dialling.error.attempts).toMatchObject([
      { stage: "connect", tookMs: DIAL_MS, cause: { code: "DIAL_TIMEOUT" } },
      {
        stage: "handshake",
        afterMs: ATTEMPT_DELAY_MS,
        tookMs: SHAKE_MS,
        cause: { code: "HANDSHAKE_TIMEOUT" },
      },
    ]);
    expect(connection.aborted).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
    expect(world.over).toEqual(["a", "b"]);
  });

  it("holds for a transport that heeds no signal", async () => {
    world.transport.stubborn = true;
    const dialling = world.dial("manual:a~toy");
    await world.runtime.advance(DIAL_MS);
    expect(dialling.error).toMatchObject({ code: "DIAL_TIMEOUT" });
    expect((await world.connect("a")).aborted).toMatchObject({ code: "DIAL_TIMEOUT" });
  });

  it("holds for a transform that heeds no signal", async () => {
    const endless: Transform = { ...toy(), handshake: () => new Promise(() => {}) };
    const dialling = world.dial("manual:a~toy", {}, world.dialer({}, [[world.transport, endless]]));
    await settled();
    const connection = await world.connect("a");
    await world.runtime.advance(SHAKE_MS);
    expect(dialling.error).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
    expect(connection.aborted).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
  });

  it("is put off by nothing that trickles in", async () => {
    const dialling = world.dial("manual:a~toy");
    await settled();
    const connection = await world.connect("a");
    await world.runtime.advance(SHAKE_MS - 1);
    connection.receive(Uint8Array.of(7));
    await world.runtime.advance(1);
    expect(dialling.error).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
  });
});

describe("a signal", () => {
  const reason = new Error("changed my mind");
  const stop = async (dialling: Dialling): Promise<void> => {
    world.controller.abort(reason);
    await settled();
    expect(dialling.seen).toEqual({ error: reason });
    expect(world.runtime.pending).toBe(0);
    // Whatever was begun is over, once.
    const begun = world.told
      .filter((each) => each.startsWith("begin"))
      .map((each) => each.slice(6));
    expect(world.told.filter((each) => each.startsWith("over")).sort()).toEqual(
      begun.map((name) => `over ${name}`),
    );
  };

  it("that has fired begins nothing", async () => {
    world.controller.abort(reason);
    await stop(world.dial("manual:a~toy;manual:b~toy"));
    expect(world.transport.dials).toEqual([]);
  });

  it("that has fired hides no fault of the address's, which nobody asked for", async () => {
    world.controller.abort(reason);
    await stop(world.dial("unknown:a~toy"));
  });

  it.each([
    ["a host is looked up", (dial: ManualDial) => dial.options.stage?.("resolve")],
    ["it connects", () => {}],
  ])("ends the dial while %s", async (_when, work) => {
    const dialling = world.dial("manual:a~toy;manual:b~toy;manual:c~toy");
    await world.runtime.advance(ATTEMPT_DELAY_MS);
    for (const dial of world.transport.dials) work(dial);
    await stop(dialling);
    await world.runtime.advance(10_000);
    expect(world.transport.dialled).toEqual(["a", "b"]);
  });

  it("ends the dial while it shakes hands", async () => {
    const dialling = world.dial("manual:a~toy;manual:b~toy");
    await world.runtime.advance(ATTEMPT_DELAY_MS);
    const connections = [await world.connect("a"), await world.connect("b")];
    await stop(dialling);
    expect(connections.map(({ aborted }) => aborted)).toEqual([reason, reason]);
  });

  it("ends the dial of a transport that heeds it not, and what that still brings", async () => {
    world.transport.stubborn = true;
    const dialling = world.dial("manual:a~toy");
    await settled();
    await stop(dialling);
    expect((await world.connect("a")).aborted).toBe(reason);
  });

  it("ends the dial in each of the moments in which it succeeds, or comes after it", async () => {
    // A turn further each time, from the last byte of the handshake to the end of the dial.
    const outcomes: string[] = [];
    while (outcomes.at(-1) !== "won") {
      world = new DialWorld();
      const dialling = world.dial("manual:a~toy");
      await settled();
      const connection = await world.connect("a");
      connection.receive(GREETING);
      for (let i = 0; i < outcomes.length; i++) await undefined;
      world.controller.abort(reason);
      await settled();
      if (dialling.won === undefined) {
        expect(dialling.error).toBe(reason);
        expect(connection.aborted).toBe(reason);
      } else {
        expect(connection.aborted).toBeUndefined();
      }
      outcomes.push(dialling.won === undefined ? "ended" : "won");
    }
    expect(outcomes.length).toBeGreaterThan(5);
  });

  it("says nothing to a dial that is over", async () => {
    const dialling = world.dial("manual:a~toy");
    await settled();
    const connection = await world.connect("a");
    await shake(connection);
    world.controller.abort(reason);
    await settled();
    expect([dialling.won, connection.aborted]).toEqual(["a", undefined]);
    expect(world.told).toEqual(["begin a", "shaking a"]);
  });
});
