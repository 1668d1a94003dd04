/** secret-handshake between ours and the published multiserver: who is let in, who is not, and what each is told. */

import { randomBytes } from "node:crypto";
import { Identity, type MultiStream } from "@testudo/core";
import type { PullStream } from "multiserver";
import { toKeys } from "secret-handshake";
import { generate } from "ssb-keys";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { type Kind, nameOf, SHS_KINDS } from "./kinds.ts";
import { APP_KEY, type Meeting, meet, OURS, THEIRS } from "./meeting.ts";
import { dialWithOriginal, OriginalListener, type OriginalOptions } from "./original/multi.ts";
import { OriginalStream } from "./original/stream.ts";
import {
  awaited,
  dialWithOurs,
  OurListener,
  type OurOptions,
  outcome,
  pairOf,
  readAll,
  readExactly,
  send,
} from "./ours.ts";
import { Relay } from "./relay.ts";

expectNoLeaks();

const NAMED = SHS_KINDS.map((kind) => ({ kind, name: nameOf(kind) }));
const STRANGER = pairOf();
const ours: OurOptions = { identity: OURS.identity, appKey: APP_KEY };
const theirs: OriginalOptions = { keys: THEIRS.keys, appKey: APP_KEY };

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});
function keep<T extends { close(): unknown }>(one: T): T {
  open.push(one);
  return one;
}

const nobody = (): void => {
  throw new Error("somebody was let in");
};
const originalListener = async (
  kind: Kind,
  options: Partial<OriginalOptions> = {},
  onStream: (stream: PullStream) => void = nobody,
): Promise<OriginalListener> =>
  keep(await OriginalListener.open(kind, { ...theirs, ...options }, onStream));
const ourListener = async (
  kind: Kind,
  options: Partial<OurOptions> = {},
  onStream: (stream: MultiStream) => void = nobody,
): Promise<OurListener> => keep(await OurListener.open([kind], { ...ours, ...options }, onStream));
const met = async (...how: Parameters<typeof meet>): Promise<Meeting> => keep(await meet(...how));

/** The same address with another key in it. */
const withKey = (address: string, key: Uint8Array): string =>
  address.replace(/~shs:.*/, `~shs:${Buffer.from(key).toString("base64")}`);

/** What a failed handshake is called at the original comes a moment after it is over at ours. */
async function told(errors: readonly Error[]): Promise<string> {
  await expect.poll(() => errors.length, { timeout: 4_000 }).toBe(1);
  return errors[0]?.message ?? "";
}

describe.each(NAMED)("$name, ours dials", ({ kind }) => {
  it("with another app key: both say so, and nothing was answered", async () => {
    const listener = await originalListener(kind);
    const appKey = randomBytes(32);
    await expect(dialWithOurs(listener.address, [kind], { ...ours, appKey })).rejects.toMatchObject(
      {
        code: "HANDSHAKE_FAILED",
        message: expect.stringContaining("another app key"),
        attempts: [{ stage: "handshake" }],
      },
    );
    expect(await told(listener.errors)).toContain("wrong application cap");
  });

  it("another key than the listener's: both say so", async () => {
    const listener = await originalListener(kind);
    const address = withKey(listener.address, STRANGER.identity.publicKey);
    await expect(dialWithOurs(address, [kind], ours)).rejects.toMatchObject({
      code: "HANDSHAKE_FAILED",
      message: expect.stringContaining("another key than the one dialled"),
    });
    expect(await told(listener.errors)).toContain("dailed a wrong number");
  });

  it.each([
    ["says no", null],
    ["fails", new Error("the database is away")],
  ])("a listener whose authenticate %s: we are told that we are not admitted", async (_, error) => {
    const listener = await originalListener(kind, {
      authenticate: (_id, answer) => answer(error, false),
    });
    await expect(dialWithOurs(listener.address, [kind], ours)).rejects.toMatchObject({
      code: "HANDSHAKE_FAILED",
      message: expect.stringContaining("does not admit us"),
    });
    expect(await told(listener.errors)).toContain(error?.message ?? "did not authorize");
  });

  it("a listener that asks who we are, and takes its time: our key is asked about, its answer is auth", async () => {
    const asked: Buffer[] = [];
    const { ours: stream, theirs: arrived } = await met(
      kind,
      "dialer",
      {},
      {
        authenticate: (id, answer) => {
          asked.push(id);
          setTimeout(() => answer(null, { allow: ["read"] }), 20);
        },
      },
    );
    const original = new OriginalStream(arrived);
    expect(asked).toEqual([OURS.keys.publicKey]);
    expect(original.auth).toEqual({ allow: ["read"] });
    expect(stream.auth).toBeUndefined();
    await send(stream, Buffer.from("hello"));
    expect(await original.read(5)).toEqual(Buffer.from("hello"));
  });

  it("with an invite: the listener sees the seed's key and not ours", async () => {
    const arrived = awaited<PullStream>("the invited");
    const listener = await originalListener(kind, {}, arrived.take);
    const seed = randomBytes(32);
    const address = `${listener.address}:${seed.toString("base64")}`;
    const stream = await dialWithOurs(address, [kind], ours);
    const { remote } = await arrived.value();
    expect(remote).toEqual(toKeys(seed).publicKey);
    expect(stream.address).not.toContain(seed.toString("base64"));
    stream.abort(new Error("the test is over"));
  });
});

describe.each(NAMED)("$name, the original dials", ({ kind }) => {
  it("with another app key: both say so", async () => {
    const listener = await ourListener(kind);
    const appKey = randomBytes(32);
    await expect(dialWithOriginal(listener.address, [kind], { ...theirs, appKey })).rejects.toThrow(
      "different application cap",
    );
    expect(await told(listener.errors)).toContain("app key");
    expect(listener.errors[0]?.code).toBe("HANDSHAKE_FAILED");
  });

  it("another key than ours: both say so", async () => {
    const listener = await ourListener(kind);
    const address = withKey(listener.address, STRANGER.identity.publicKey);
    await expect(dialWithOriginal(address, [kind], theirs)).rejects.toThrow("wrong number");
    await told(listener.errors);
    expect(listener.errors[0]).toMatchObject({ code: "HANDSHAKE_FAILED" });
  });

  it.each([
    ["says no", () => false],
    ["says no later", () => Promise.resolve(false)],
    ["throws", () => Promise.reject(new Error("the database is away"))],
  ])("us, whose authenticate %s: it is refused, and we say whom", async (_, authenticate) => {
    const listener = await ourListener(kind, { authenticate });
    await expect(dialWithOriginal(listener.address, [kind], theirs)).rejects.toThrow(
      "the server does not wish to talk to us",
    );
    await told(listener.errors);
    expect(listener.errors[0]).toMatchObject({
      code: "PEER_REFUSED",
      peer: THEIRS.identity.id.text,
    });
  });

  it("us, who ask who it is, and take our time: its key is asked about, our answer is auth", async () => {
    const asked: string[] = [];
    const { ours: stream, theirs: arrived } = await met(kind, "listener", {
      async authenticate(id) {
        asked.push(id.text);
        await new Promise((resolve) => setTimeout(resolve, 20));
        return { allow: ["read"] };
      },
    });
    const original = new OriginalStream(arrived);
    expect(asked).toEqual([THEIRS.identity.id.text]);
    expect(stream.auth).toEqual({ allow: ["read"] });
    expect(original.auth).toBeUndefined();
    await original.send(Buffer.from("hello"));
    expect(Buffer.from(await readExactly(stream, 5)).toString()).toBe("hello");
  });

  it("with an invite: we see the seed's key and not its own", async () => {
    const arrived = awaited<MultiStream>("the invited");
    const listener = await ourListener(kind, {}, arrived.take);
    const seed = randomBytes(32);
    const address = `${listener.address}:${seed.toString("base64")}`;
    await dialWithOriginal(address, [kind], theirs);
    const { remote } = await arrived.value();
    expect(remote).toEqual(Identity.fromSecret(seed).id);
  });
});

describe("the bytes of a handshake and two goodbyes", () => {
  const NET: Kind = { transport: "net", transform: "shs" };
  const TRANSCRIPT = [
    { up: true, bytes: 64 },
    { up: false, bytes: 64 },
    { up: true, bytes: 112 },
    { up: false, bytes: 80 },
  ];
  const portOf = (address: string): number => Number(/:(\d+)~/.exec(address)?.[1]);
  const through = (address: string, relay: Relay): string =>
    address.replace(/:\d+~/, `:${relay.port}~`);

  it("are the same whoever dials: 64, 64, 112, 80, and 34 each", async () => {
    const arrivedAtOriginal = awaited<PullStream>("a stream");
    const original = await originalListener(NET, {}, arrivedAtOriginal.take);
    const first = keep(await Relay.before(portOf(original.address)));
    const dialled = await dialWithOurs(through(original.address, first), [NET], ours);
    const listening = new OriginalStream(await arrivedAtOriginal.value());
    expect(first.runs).toEqual(TRANSCRIPT);
    await dialled.end();
    await listening.readAll();
    listening.end();
    await readAll(dialled);
    const whole = [...TRANSCRIPT, { up: true, bytes: 34 }, { up: false, bytes: 34 }];
    expect(first.runs).toEqual(whole);

    const arrived = awaited<MultiStream>("a stream");
    const listener = await ourListener(NET, {}, arrived.take);
    const second = keep(await Relay.before(portOf(listener.address)));
    const dialling = new OriginalStream(
      await dialWithOriginal(through(listener.address, second), [NET], theirs),
    );
    const stream = await arrived.value();
    expect(second.runs).toEqual(TRANSCRIPT);
    dialling.end();
    await readAll(stream);
    await stream.end();
    await dialling.readAll();
    expect(second.runs).toEqual(whole);
  });

  it.each(["dialer", "listener"] as const)(
    "a connection that breaks in the middle is an error at ours, the %s, and at the original",
    async (role) => {
      const arrivedAtOriginal = awaited<PullStream>("a stream");
      const arrived = awaited<MultiStream>("a stream");
      const { address } =
        role === "dialer"
          ? await originalListener(NET, {}, arrivedAtOriginal.take)
          : await ourListener(NET, {}, arrived.take);
      const relay = keep(await Relay.before(portOf(address)));
      const [stream, original] =
        role === "dialer"
          ? [
              await dialWithOurs(through(address, relay), [NET], ours),
              new OriginalStream(await arrivedAtOriginal.value()),
            ]
          : await Promise.all([
              arrived.value(),
              dialWithOriginal(through(address, relay), [NET], theirs).then(
                (given) => new OriginalStream(given),
              ),
            ]);
      await send(stream, randomBytes(10_000));
      await original.read(10_000);
      const end = readAll(stream);
      relay.cut();
      await expect(end).rejects.toMatchObject({ code: "TRUNCATED" });
      expect(await outcome(stream)).toMatchObject({ code: "TRUNCATED" });
      expect(await original.outcome()).toBeInstanceOf(Error);
    },
  );
});

describe("keys made by ssb-keys", () => {
  const read = (text: string): Buffer => Buffer.from(text.replace(".ed25519", ""), "base64");
  const NET: Kind = { transport: "net", transform: "shs" };

  it("are an identity of ours, which the original knows under the same name", async () => {
    const keys = generate();
    const identity = Identity.fromSecret(read(keys.private));
    expect(`@${identity.id.text}.ed25519`).toBe(keys.id);
    const { theirs: arrived } = await met(NET, "dialer", { identity });
    expect(arrived.remote).toEqual(read(keys.public));
  });

  it.each(["dialer", "listener"] as const)(
    "are given to our shs as they are, and as multiserver wants them, ours being the %s",
    async (role) => {
      const keys = generate();
      for (const given of [keys, pairOf(Identity.fromSecret(read(keys.private))).keys]) {
        const { theirs: arrived } = await met(NET, role, { keys: given });
        expect(arrived.remote).toEqual(read(keys.public));
      }
    },
  );

  it("name a listener as the original writes them, decorations and all", async () => {
    const keys = generate();
    const pair = pairOf(Identity.fromSecret(read(keys.private)));
    const arrived = awaited<PullStream>("a stream");
    const listener = await originalListener(NET, { keys: pair.keys }, arrived.take);
    const decorated = listener.address.replace(/~shs:.*/, `~shs:${keys.id}`);
    const stream = await dialWithOurs(decorated, [NET], ours);
    expect(stream.remote?.text).toBe(pair.identity.id.text);
    stream.abort(new Error("the test is over"));
  });
});

describe("a dialer that says nothing after the handshake", () => {
  const NET: Kind = { transport: "net", transform: "shs" };
  const TIMEOUT_MS = 300;
  const later: OriginalOptions["authenticate"] = (_id, answer) =>
    void setTimeout(() => answer(null, true), 10);
  const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, TIMEOUT_MS * 2));

  it("is cut by an original whose authenticate is asynchronous, and ours says that it was cut", async () => {
    const { ours: stream, theirs: arrived } = await met(
      NET,
      "dialer",
      {},
      {
        authenticate: later,
        timeoutMs: TIMEOUT_MS,
      },
    );
    const original = new OriginalStream(arrived);
    expect(await original.outcome()).toMatchObject({
      message: "stream ended with:0 but wanted:34",
    });
    await expect(readAll(stream)).rejects.toMatchObject({
      code: "TRUNCATED",
      message: expect.stringContaining("cut before the other side said goodbye"),
    });
  });

  it("lives on when it spoke in time", async () => {
    const { ours: stream, theirs: arrived } = await met(
      NET,
      "dialer",
      {},
      {
        authenticate: later,
        timeoutMs: TIMEOUT_MS,
      },
    );
    const original = new OriginalStream(arrived);
    await send(stream, Buffer.from("here"));
    await original.read(4);
    await quiet();
    await original.send(Buffer.from("good"));
    expect(Buffer.from(await readExactly(stream, 4)).toString()).toBe("good");
  });

  it("lives on at ours, whose authenticate is asynchronous too", async () => {
    const { ours: stream, theirs: arrived } = await met(NET, "listener", {
      authenticate: () => new Promise((resolve) => setTimeout(() => resolve(true), 10)),
      limits: { handshakeTimeoutMs: TIMEOUT_MS },
    });
    const original = new OriginalStream(arrived);
    await quiet();
    await original.send(Buffer.from("here"));
    expect(Buffer.from(await readExactly(stream, 4)).toString()).toBe("here");
  });

  it("is refused by an original whose authenticate takes too long, and ours says so", async () => {
    const arrived = awaited<PullStream>("the dead stream");
    const listener = await originalListener(
      NET,
      {
        timeoutMs: TIMEOUT_MS,
        authenticate: (_id, answer) => void setTimeout(() => answer(null, true), TIMEOUT_MS * 2),
      },
      arrived.take,
    );
    await expect(dialWithOurs(listener.address, [NET], ours)).rejects.toMatchObject({
      code: "HANDSHAKE_FAILED",
      message: expect.stringContaining("does not admit us"),
    });
    // Its owner is given a stream all the same, and is told nothing.
    const dead = new OriginalStream(await arrived.value());
    expect(await dead.outcome()).toBeInstanceOf(Error);
    expect(listener.errors).toEqual([]);
  });

  it("is refused by us when our authenticate takes too long, and nobody is given a dead stream", async () => {
    const listener = await ourListener(NET, {
      authenticate: () => new Promise(() => {}),
      limits: { handshakeTimeoutMs: TIMEOUT_MS },
    });
    await expect(dialWithOriginal(listener.address, [NET], theirs)).rejects.toThrow("phase 3");
    await told(listener.errors);
    expect(listener.errors[0]).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
  });
});
