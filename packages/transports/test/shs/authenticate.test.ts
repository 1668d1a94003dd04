/**
 * Authenticate over real sockets: it may take its time, it may never come back, and the dialer may speak
 * early, late or hang up meanwhile. Time is virtual; nothing is slept for.
 */

import {
  type Connection,
  concat,
  type Deferred,
  deferred,
  MultiServer,
  type MultiStream,
  type NetworkError,
  type PeerId,
  parseAddress,
  type Serving,
  toUtf8,
  Wire,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { net } from "../../src/net/index.ts";
import { BoxStream } from "../../src/shs/box-stream.ts";
import { curveAgreement, curvePublicKey } from "../../src/shs/curve.ts";
import { ACCEPTANCE_BYTES, CHALLENGE_BYTES, dialerHandshake } from "../../src/shs/handshake.ts";
import { shs } from "../../src/shs/index.ts";
import { alice, bob, carol, NETWORK } from "./call.ts";

const HANDSHAKE_MS = 10_000;
const HOUR_MS = 3_600_000;

let runtime: VirtualRuntime;
let serving: Serving;
let streams: MultiStream[];
let errors: NetworkError[];
/** Resolved at the next stream, or the next error, of the listener. */
let happened: Deferred<void>;

/** What authenticate was asked, in order, each with the answer that it waits for. */
interface Question {
  readonly id: PeerId;
  readonly answer: Deferred<unknown>;
}
let asked: Question[];
let question: Deferred<Question>;

expectNoLeaks();

beforeEach(async () => {
  runtime = new VirtualRuntime();
  [streams, errors, asked] = [[], [], []];
  [happened, question] = [deferred(), deferred()];
  const authenticate = (id: PeerId): Promise<unknown> => {
    const next = { id, answer: deferred<unknown>() };
    asked.push(next);
    question.resolve(next);
    question = deferred();
    return next.answer.promise;
  };
  const tell = (): void => {
    happened.resolve();
    happened = deferred();
  };
  const listener = new MultiServer([[net({ port: 0, host: "127.0.0.1" }), shs({ authenticate })]], {
    identity: bob,
    networkId: NETWORK,
    runtime,
    limits: { handshakeTimeoutMs: HANDSHAKE_MS },
  });
  serving = await listener.server(
    async (stream) => {
      streams.push(stream);
      tell();
      for await (const chunk of stream) stream.write(chunk);
      await stream.end();
    },
    {
      onError(error) {
        errors.push(error);
        tell();
      },
    },
  );
});

afterEach(async () => {
  await serving.close({ graceMs: 0 });
  expect(runtime.pending).toBe(0);
});

/** Dials as `identity`, with all the time in the world. */
function dial(identity = alice): Promise<MultiStream> {
  const limits = { handshakeTimeoutMs: HOUR_MS };
  const node = new MultiServer([[net(), shs()]], { identity, networkId: NETWORK, runtime, limits });
  return node.client(serving.addresses[0] as string);
}

async function say(stream: MultiStream, text: string): Promise<string> {
  stream.write(toUtf8(text));
  let got: Uint8Array = new Uint8Array(0);
  while (got.length < text.length) {
    const { done, value } = await stream[Symbol.asyncIterator]().next();
    if (done) throw new Error("it ended");
    got = concat(got, value);
  }
  return new TextDecoder().decode(got);
}

async function finish(stream: MultiStream): Promise<void> {
  await stream.end();
  for await (const _ of stream) throw new Error("nothing more was said");
  expect(await stream.closed).toBeUndefined();
}

describe("an answer that takes its time", () => {
  test("within the deadline makes a stream that nothing cuts afterwards", async () => {
    const dialling = dial();
    const { answer, id } = await question.promise;
    expect(id.equals(alice.id)).toBe(true);
    await runtime.advance(HANDSHAKE_MS - 1);
    expect(streams).toEqual([]);
    answer.resolve("a friend");
    const stream = await dialling;
    // Long after every deadline of the handshake, and before the dialer said anything.
    await runtime.advance(HOUR_MS);
    expect(await say(stream, "late")).toBe("late");
    await runtime.advance(HOUR_MS);
    expect(await say(stream, "later")).toBe("later");
    expect(errors).toEqual([]);
    await finish(stream);
  });

  test.each([
    ["an object", { allow: ["everything"] }],
    ["a text", "a friend"],
    ["a number", 7],
    ["a list", []],
    ["a function", () => true],
    ["true", true],
  ])("is the stream's auth as it is: %s", async (_shape, verdict) => {
    const dialling = dial();
    (await question.promise).answer.resolve(verdict);
    const stream = await dialling;
    expect(await say(stream, "hello")).toBe("hello");
    expect(streams[0]?.auth).toBe(verdict);
    expect(streams[0]?.remote?.equals(alice.id)).toBe(true);
    expect(stream.auth).toBeUndefined();
    await finish(stream);
  });

  test("keeps what the dialer said before it was accepted", async () => {
    const early = await knock();
    const { answer } = await question.promise;
    const boxes = new BoxStream(early.secrets, bob.publicKey);
    early.wire.write(...boxes.seal([toUtf8("so early")]));
    await settledSockets();
    early.wire.write(...boxes.seal([toUtf8(" and more")]), boxes.end());
    await settledSockets();
    answer.resolve(true);
    await early.wire.read(ACCEPTANCE_BYTES);
    let heard = "";
    while (!boxes.ended) {
      const chunk = early.wire.rest().length > 0 ? await early.wire.read(1) : await early.read();
      for (const plain of boxes.open(chunk)) heard += new TextDecoder().decode(plain);
    }
    expect(heard).toBe("so early and more");
    await early.connection.close();
    expect(errors).toEqual([]);
  });
});

describe("an answer that never comes", () => {
  test("costs that peer its handshake and nobody else anything", async () => {
    const told = happened.promise;
    const waiting = expect(dial(carol)).rejects.toMatchObject({ code: "HANDSHAKE_FAILED" });
    const stuck = await question.promise;
    await runtime.advance(HANDSHAKE_MS);
    await told;
    expect(errors.map(({ code }) => code)).toEqual(["HANDSHAKE_TIMEOUT"]);
    await waiting;
    const dialling = dial();
    (await question.promise).answer.resolve(true);
    const stream = await dialling;
    stuck.answer.resolve("too late");
    expect(await say(stream, "hello")).toBe("hello");
    expect(streams.map(({ remote }) => remote?.text)).toEqual([alice.id.text]);
    await finish(stream);
  });

  test("does not keep a closing server", async () => {
    const waiting = expect(dial()).rejects.toMatchObject({ code: "HANDSHAKE_FAILED" });
    const { answer } = await question.promise;
    await serving.close();
    await waiting;
    answer.reject(new Error("too late"));
    await settledSockets();
    expect(streams).toEqual([]);
  });
});

describe("a dialer that hangs up before it has its answer", () => {
  test.each(["ends", "resets"] as const)(
    "and %s: at once gone, and nobody is handed anything",
    async (how) => {
      for (const late of ["resolve", "reject"] as const) {
        const told = happened.promise;
        const { connection } = await knock();
        const { answer } = await question.promise;
        if (how === "ends") void connection.end();
        else connection.abort(new Error("reset"));
        // While authenticate is still thinking.
        await told;
        expect(errors.pop()).toMatchObject({ code: "TRUNCATED" });
        answer[late](new Error("too late"));
        await settledSockets();
        expect(streams).toEqual([]);
        expect(errors).toEqual([]);
        connection.abort(new Error("the test is over"));
      }
    },
  );
});

/** Dials by hand up to message 3, and knows the session's secrets before message 4 comes. */
async function knock() {
  const [route] = parseAddress(serving.addresses[0] as string).routes;
  const [section] = route?.sections ?? [];
  if (section === undefined) throw new Error("no address");
  const { signal } = new AbortController();
  const connection: Connection = await net().dial(section, { signal });
  const chunks = connection[Symbol.asyncIterator]();
  const wire = new Wire(connection);
  const ephemeral = provider.keyAgreement();
  const agreement = curveAgreement(alice.secret().subarray(0, 32));
  const { publicKey } = alice;
  const own = { publicKey, sign: (message: Uint8Array) => alice.sign(message), agreement };
  const start = dialerHandshake({ appKey: NETWORK, own, ephemeral }, bob.publicKey);
  wire.write(start.challenge);
  const challenge = new Uint8Array(await wire.read(CHALLENGE_BYTES));
  wire.write(start.prove(challenge).proof);
  const theirs = challenge.subarray(32);
  const ab = ephemeral.agree(theirs) as Uint8Array;
  const aB = ephemeral.agree(curvePublicKey(bob.publicKey) as Uint8Array) as Uint8Array;
  const Ab = agreement.agree(theirs) as Uint8Array;
  const sha256 = (...pieces: Uint8Array[]): Uint8Array => provider.hash("SHA256", ...pieces);
  const shared = sha256(sha256(NETWORK, ab, aB, Ab));
  const secrets = {
    shared,
    sealKey: sha256(shared, bob.publicKey),
    sealNonce: challenge.slice(0, 24),
    openKey: sha256(shared, publicKey),
    openNonce: start.challenge.slice(0, 24),
  };
  const read = async (): Promise<Uint8Array> => {
    const { done, value } = await chunks.next();
    if (done) throw new Error("it ended");
    return value;
  };
  return { connection, wire, secrets, read };
}

/** A few turns of the event loop, in which loopback sockets say what they have to say. */
async function settledSockets(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}
