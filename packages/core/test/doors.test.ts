import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { parseAddress, type Route, section } from "../src/address.ts";
import { Admission, type Ticket } from "../src/admission.ts";
import { toBase64 } from "../src/bytes.ts";
import { Doors, type DoorsOptions, type Place, type Taker } from "../src/doors.ts";
import { type NetworkError, networkError } from "../src/errors.ts";
import { Identity } from "../src/identity.ts";
import { type Limits, withDefaults } from "../src/limits.ts";
import { deferred } from "../src/queue.ts";
import type { Scope } from "../src/scope.ts";
import { type Link, Stack, type StackParts } from "../src/stack.ts";
import type { Transform } from "../src/transform.ts";
import type { ManualConnection } from "./support/manual-connection.ts";
import { type ManualListener, ManualTransport } from "./support/manual-transport.ts";
import { toy } from "./support/toy-transform.ts";

const GREETING = Uint8Array.of(7, 7);
const SHAKE_MS = 1_000;
const identity = Identity.fromSecret(new Uint8Array(32).fill(1));

interface Taken {
  readonly link: Link;
  readonly ticket: Ticket;
  readonly stack: Stack;
}

/** Doors, who came through them, and who did not. */
class House {
  readonly runtime = new VirtualRuntime();
  readonly transport = new ManualTransport();
  readonly taken: Taken[] = [];
  readonly refused: { readonly connection: unknown; readonly error: NetworkError }[] = [];
  readonly admission: Admission;
  readonly doors: Doors;
  taker: Taker = (link, ticket, stack) => void this.taken.push({ link, ticket, stack });

  constructor(limits: Partial<Limits> = {}, options: Partial<DoorsOptions> = {}) {
    this.admission = new Admission(withDefaults(limits));
    this.doors = new Doors({
      stackOptions: {
        identity,
        networkId: new Uint8Array(32),
        runtime: this.runtime,
        dialTimeoutMs: 1,
        handshakeTimeoutMs: SHAKE_MS,
      },
      admission: this.admission,
      allowPublicNoauth: false,
      refused: (connection, error) => void this.refused.push({ connection, error }),
      ...options,
    });
  }

  place(text: string, parts: StackParts = [this.transport, toy()]): Place {
    return { stack: new Stack(parts), route: parseAddress(text).routes[0] as Route };
  }

  /** An open listener. */
  async open(text: string = "manual:here~toy", parts?: StackParts): Promise<ManualListener> {
    await this.doors.listenAll([this.place(text, parts)], (...given) => this.taker(...given));
    return this.transport.listeners.at(-1) as ManualListener;
  }

  get counts(): [places: number, halfOpen: number] {
    return [this.admission.places, this.admission.halfOpen];
  }

  get codes(): string[] {
    return this.refused.map(({ error }) => error.code);
  }
}

let house: House;

beforeEach(() => {
  house = new House();
});

/** Whatever happened, nothing waits. */
afterEach(() => {
  expect(house.runtime.pending).toBe(0);
});

/** What the listening rejects with. */
async function failure(listening: Promise<unknown>): Promise<NetworkError> {
  const outcome = await listening.then(
    () => undefined,
    (error: NetworkError) => error,
  );
  if (outcome === undefined) throw new Error("it listens");
  return outcome;
}

describe("listening", () => {
  it("opens one door for each place, in the order asked for, whichever is open first", async () => {
    const slow = new ManualTransport("slow");
    const opening = deferred<void>();
    slow.opening = opening.promise;
    const listening = house.doors.listenAll(
      [house.place("slow:a~toy", [slow, toy()]), house.place("manual:b~toy")],
      house.taker,
    );
    await settled();
    expect(house.doors.open).toEqual([]);
    opening.resolve();
    const doors = await listening;
    expect(doors.map(({ address }) => address)).toEqual(["slow:a~toy", "manual:b~toy"]);
    expect(house.doors.open).toEqual(doors);
    expect(doors.map(({ stack }) => stack.name)).toEqual(["slow~toy", "manual~toy"]);
  });

  it("lets nobody in before all are open", async () => {
    const slow = new ManualTransport("slow");
    const opening = deferred<void>();
    slow.opening = opening.promise;
    const listening = house.doors.listenAll(
      [house.place("manual:b~toy"), house.place("slow:a~toy", [slow, toy()])],
      house.taker,
    );
    await settled();
    const [listener] = house.transport.listeners;
    const early = listener?.arrival();
    expect(early?.aborted).toMatchObject({ code: "LISTEN_FAILED" });
    opening.resolve();
    await listening;
    const connection = listener?.arrival();
    connection?.receive(GREETING);
    await settled();
    expect([house.taken.length, house.counts]).toEqual([1, [1, 1]]);
  });

  it("is on all or on none, and says what became of each", async () => {
    const failing = new ManualTransport("failing");
    failing.opening = Promise.reject(new Error("port in use"));
    const mute: ManualTransport = Object.assign(new ManualTransport("mute"), { listen: undefined });
    const other = toBase64(new Uint8Array(32).fill(9));
    const error = await failure(
      house.doors.listenAll(
        [
          house.place("manual:a~toy"),
          house.place("failing:b~toy:secret:more", [failing, toy()]),
          house.place("mute:c~toy", [mute, toy()]),
          house.place(`manual:d~proving:${other}`, [
            house.transport,
            toy({ name: "proving", key: identity.publicKey }),
          ]),
        ],
        house.taker,
      ),
    );
    expect(error).toMatchObject({
      name: "DialError",
      code: "LISTEN_FAILED",
      address: "failing:b~toy:secret",
      attempts: [
        { address: "failing:b~toy:secret", stage: "listen", cause: { code: "LISTEN_FAILED" } },
        { address: "mute:c~toy", stage: "listen", cause: { code: "LISTEN_FAILED" } },
        { stage: "parse", cause: { code: "ADDRESS_MALFORMED" } },
      ],
    });
    expect(error.message).toMatch(/^3 of 4 listeners failed, so none is open\. .*port in use/);
    expect(error.message).toContain("mute cannot listen; dial with it");
    expect(error.message).not.toContain("more");
    expect([house.transport.open, failing.open, house.doors.open]).toEqual([[], [], []]);
    expect(house.transport.listeners.length).toBe(1);
  });

  it("alone fails with its own error, and an attempt in it", async () => {
    const why = new Error("port in use");
    house.transport.opening = Promise.reject(why);
    const error = await failure(house.open());
    expect(error).toMatchObject({
      code: "LISTEN_FAILED",
      message: "cannot listen on manual:here: port in use",
      address: "manual:here~toy",
      cause: why,
      attempts: [{ address: "manual:here~toy", stage: "listen", afterMs: 0 }],
    });
  });

  it("tells how long each took to fail", async () => {
    const slow = deferred<void>();
    house.transport.opening = slow.promise;
    const listening = failure(house.open());
    await house.runtime.advance(40);
    slow.reject(new Error("no such host"));
    expect((await listening).attempts).toMatchObject([{ tookMs: 40 }]);
  });

  it("is refused under another node's key, or one that cannot be read", async () => {
    const parts: StackParts = [house.transport, toy({ name: "proving", key: identity.publicKey })];
    const other = toBase64(new Uint8Array(32).fill(9));
    for (const key of [other, "short"]) {
      expect(await failure(house.open(`manual:a~proving:${key}`, parts))).toMatchObject({
        code: "ADDRESS_MALFORMED",
        attempts: [{ stage: "parse" }],
      });
    }
    expect(house.transport.listeners).toEqual([]);
    await house.open(`manual:a~proving:${identity.id.text}`, parts);
    expect(house.doors.open.length).toBe(1);
  });

  it("is under the transform's own key, where it has one", async () => {
    const own = Identity.fromSecret(new Uint8Array(32).fill(2));
    const parts: StackParts = [
      house.transport,
      { ...toy({ name: "proving", key: own.publicKey }), identity: own },
    ];
    await house.open(`manual:a~proving:${own.id.text}`, parts);
    expect(await failure(house.open(`manual:b~proving:${identity.id.text}`, parts))).toMatchObject({
      code: "ADDRESS_MALFORMED",
    });
  });

  it("is asked of the transport and the transforms before anything is opened", async () => {
    const sides: string[] = [];
    const check = (_section: unknown, side: string): void => void sides.push(side);
    const transport = Object.assign(house.transport, { check });
    await house.open("manual:a~toy", [transport, { ...toy(), check }]);
    expect(sides).toEqual(["listener", "listener"]);
  });

  it("is taken back where strangers could come in unproved, unless that is allowed", async () => {
    house.transport.local = false;
    expect(await failure(house.open())).toMatchObject({
      code: "LISTEN_FAILED",
      address: "manual:here~toy",
      message: expect.stringContaining("allowPublicNoauth"),
    });
    expect([house.transport.open, house.doors.open]).toEqual([[], []]);
    house = new House({}, { allowPublicNoauth: true });
    house.transport.local = false;
    await house.open();
    expect(house.transport.open.length).toBe(1);
  });

  it("is taken back when its address cannot be told", async () => {
    const boom: Transform = {
      ...toy(),
      section: () => {
        throw new TypeError("no section");
      },
    };
    expect(await failure(house.open("manual:a~toy", [house.transport, boom]))).toMatchObject({
      code: "LISTEN_FAILED",
      cause: expect.any(TypeError),
    });
    expect(house.transport.open).toEqual([]);
  });

  it("that is done while the doors close opens nothing", async () => {
    const opening = deferred<void>();
    house.transport.opening = opening.promise;
    const listening = failure(house.open());
    const reason = networkError("NETWORK_CLOSED", "closing");
    house.doors.cut(reason);
    await house.doors.closeAll();
    opening.resolve();
    expect(await listening).toMatchObject({ code: "NETWORK_CLOSED" });
    expect([house.transport.open, house.doors.open]).toEqual([[], []]);
  });

  it("tells others the addresses of the widest scope that it serves", async () => {
    const hosts: Partial<Record<Scope, readonly string[]>> = {
      device: ["loop"],
      private: ["one", "two"],
    };
    const scoped = Object.assign(new ManualTransport("scoped"), {
      listen: async () => ({
        section: section("scoped", "any"),
        bound: section("scoped", "0"),
        local: true,
        close: async () => {},
      }),
      advertised: (_bound: unknown, scope: Scope) =>
        (hosts[scope] ?? []).map((host) => section("scoped", host)),
    });
    const open = (): Promise<unknown> =>
      house.doors.listenAll([house.place("scoped:x~toy", [scoped, toy()])], house.taker);
    await open();
    hosts.public = ["far"];
    await open();
    for (const scope of Object.keys(hosts)) hosts[scope as Scope] = [];
    await open();
    expect(house.doors.open.map(({ address }) => address)).toEqual([
      "scoped:one~toy;scoped:two~toy",
      "scoped:far~toy",
      "scoped:any~toy",
    ]);
  });

  it("on nothing is done", async () => {
    expect(await house.doors.listenAll([], house.taker)).toEqual([]);
  });
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
