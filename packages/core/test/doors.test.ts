import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { section } from "../src/address.ts";
import { toBase64 } from "../src/bytes.ts";
import { type NetworkError, networkError } from "../src/errors.ts";
import { Identity } from "../src/identity.ts";
import { deferred } from "../src/queue.ts";
import type { Scope } from "../src/scope.ts";
import type { StackParts } from "../src/stack.ts";
import type { Transform } from "../src/transform.ts";
import { House, OWNER } from "./support/house.ts";
import { ManualTransport } from "./support/manual-transport.ts";
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
            toy({ name: "proving", key: OWNER.publicKey }),
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
    const parts: StackParts = [house.transport, toy({ name: "proving", key: OWNER.publicKey })];
    const other = toBase64(new Uint8Array(32).fill(9));
    for (const key of [other, "short"]) {
      expect(await failure(house.open(`manual:a~proving:${key}`, parts))).toMatchObject({
        code: "ADDRESS_MALFORMED",
        attempts: [{ stage: "parse" }],
      });
    }
    expect(house.transport.listeners).toEqual([]);
    await house.open(`manual:a~proving:${OWNER.id.text}`, parts);
    expect(house.doors.open.length).toBe(1);
  });

  it("is under the transform's own key, where it has one", async () => {
    const own = Identity.fromSecret(new Uint8Array(32).fill(2));
    const parts: StackParts = [
      house.transport,
      { ...toy({ name: "proving", key: own.publicKey }), identity: own },
    ];
    await house.open(`manual:a~proving:${own.id.text}`, parts);
    expect(await failure(house.open(`manual:b~proving:${OWNER.id.text}`, parts))).toMatchObject({
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
