import {
  concat,
  deferred,
  Identity,
  networkError,
  type PeerId,
  parseAddress,
  sectionKey,
  type Transform,
  toBase64,
  toUtf8,
  Wire,
} from "@testudo/core";
import { describe, expect, test, vi } from "vitest";
import { shs } from "../../src/shs/index.ts";
import {
  alice,
  begin,
  bob,
  type Call,
  carol,
  carries,
  dialling,
  FIRST,
  FOURTH,
  failure,
  finish,
  NETWORK,
  SECOND,
  session,
  THIRD,
} from "./call.ts";
import { PipeEnd } from "./pipe.ts";

describe("two nodes that mean each other", () => {
  test("hold each other's proved key and a stream in both directions", async () => {
    const { dialer, listener, dialerEnd, listenerEnd } = await finish();
    const [ours, theirs] = [session(dialer), session(listener)];
    expect(ours.remoteKey).toEqual(bob.publicKey);
    expect(theirs.remoteKey).toEqual(alice.publicKey);
    expect(carries(ours, theirs, "hello")).toBe(true);
    expect(carries(theirs, ours, "hello yourself")).toBe(true);
    expect(ours.boxBytes).toBe(4_096);
    const [key, other] = [ours.exportKey?.("datagrams"), theirs.exportKey?.("datagrams")];
    expect(key).toHaveLength(32);
    expect(key).toEqual(other);
    expect(ours.auth).toBeUndefined();
    expect(theirs.auth).toBeUndefined();
    expect(dialerEnd.sent.map((chunk) => chunk.length)).toEqual([FIRST, THIRD]);
    expect(listenerEnd.sent.map((chunk) => chunk.length)).toEqual([SECOND, FOURTH]);
  });

  test("say goodbye one after the other; one direction outlives the other", async () => {
    const { dialer, listener } = await finish();
    const [ours, theirs] = [session(dialer), session(listener)];
    theirs.open(ours.end?.() ?? new Uint8Array(0));
    expect([ours.ended, theirs.ended]).toEqual([false, true]);
    expect(carries(theirs, ours, "still here")).toBe(true);
    ours.open(theirs.end?.() ?? new Uint8Array(0));
    expect(ours.ended).toBe(true);
  });

  test("whatever the way cuts their bytes into", async () => {
    const bytewise = (chunk: Uint8Array): Uint8Array[] =>
      [...chunk].map((byte) => Uint8Array.of(byte));
    const { dialer, listener } = await finish({
      prepare(a, b) {
        a.relay = bytewise;
        b.relay = bytewise;
      },
    });
    expect(carries(session(dialer), session(listener), "hello")).toBe(true);
  });

  test("with frames glued right behind the handshake", async () => {
    const { listener, dialer, listenerEnd, wires } = begin({
      prepare(_, b) {
        b.relay = (chunk) => (chunk.length === FOURTH ? [] : [chunk]);
      },
    });
    const theirs = await listener;
    listenerEnd.relay = (chunk) => [concat(listenerEnd.sent[1] as Uint8Array, chunk)];
    listenerEnd.write(...theirs.seal([toUtf8("early")]));
    const ours = await dialer;
    expect(concat(...ours.open(wires.dialer.rest()))).toEqual(toUtf8("early"));
  });

  test("convert a node's secret once, however many connections it has", async () => {
    const node = Identity.generate();
    const reading = vi.spyOn(node, "secret");
    for (let i = 0; i < 3; i++) {
      const [end, other] = PipeEnd.pair();
      const never = new AbortController().signal;
      const common = { chain: "shs", networkId: NETWORK, signal: never };
      await Promise.all([
        shs().handshake(new Wire(end), { ...common, side: "listener", identity: node }),
        shs().handshake(new Wire(other), {
          ...common,
          side: "dialer",
          identity: alice,
          section: shs().section(node),
        }),
      ]);
    }
    expect(reading).toHaveBeenCalledTimes(1);
  });
});

describe("the section", () => {
  test("printed for others holds the key in base64", () => {
    const printed = shs().section(bob);
    expect(printed.text).toBe(`shs:${toBase64(bob.publicKey)}`);
    expect(sectionKey(printed)).toEqual(bob.publicKey);
    expect(shs().name).toBe("shs");
    expect(shs().authenticates).toBe(true);
  });

  test("is read as leniently as base64 goes, and from a parsed address", async () => {
    const text = toBase64(bob.publicKey);
    const url = text.replaceAll("+", "-").replaceAll("/", "_").replace("=", "");
    for (const key of [text, url]) {
      const [route] = parseAddress(`net:localhost:1~shs:${key}`).routes;
      const { dialer } = await finish({ section: route?.sections[1] });
      expect(session(dialer).remoteKey).toEqual(bob.publicKey);
    }
  });

  test.each([
    ["no section", undefined],
    ["no key", dialling()],
    ["an empty key", dialling("")],
    ["a key too short", dialling("AAAA")],
    ["no base64", dialling("!".repeat(44))],
    ["the all-zero key", dialling(toBase64(new Uint8Array(32)))],
    ["no point on the curve", dialling(toBase64(new Uint8Array(32).fill(0xff)))],
  ])("with %s is refused before a byte is sent", async (_what, given) => {
    const { dialer, dialerEnd, listenerEnd } = await finish({ section: given });
    expect(failure(dialer)).toMatchObject({ name: "AddressError", code: "ADDRESS_MALFORMED" });
    expect(dialerEnd.sent).toEqual([]);
    expect(listenerEnd.sent).toEqual([]);
  });

  test("with an invite's seed shows the seed's key and not the node's own", async () => {
    const seed = carol.secret().subarray(0, 32);
    const asked: PeerId[] = [];
    const guarded = shs({ authenticate: (id) => asked.push(id) });
    const { dialer, listener } = await finish({
      transforms: [shs(), guarded],
      section: dialling(toBase64(bob.publicKey), toBase64(seed)),
    });
    expect(session(listener).remoteKey).toEqual(carol.publicKey);
    expect(asked.map(String)).toEqual([carol.id.text]);
    expect(carries(session(dialer), session(listener), "I was invited")).toBe(true);
  });

  test.each(["", "AAAA", toBase64(new Uint8Array(33)), toBase64(carol.secret())])(
    "with the seed %j is refused, without showing it",
    async (seed) => {
      const { dialer, dialerEnd } = await finish({
        section: dialling(toBase64(bob.publicKey), seed),
      });
      const error = failure(dialer);
      expect(error).toMatchObject({ code: "ADDRESS_MALFORMED" });
      if (seed !== "") expect(JSON.stringify(error) + error.message).not.toContain(seed);
      expect(dialerEnd.sent).toEqual([]);
    },
  );

  test("with a bad key never shows the seed behind it", async () => {
    const seed = toBase64(carol.secret().subarray(0, 32));
    for (const key of ["", "AAAA", toBase64(new Uint8Array(32))]) {
      const error = failure((await finish({ section: dialling(key, seed) })).dialer);
      expect(error).toMatchObject({ code: "ADDRESS_MALFORMED" });
      expect(JSON.stringify(error) + error.message + String(error.cause)).not.toContain(seed);
    }
  });
});

describe("the app key", () => {
  const keyed = (fill: number): Transform => shs({ appKey: new Uint8Array(32).fill(fill) });

  test("is the network id unless it is given", async () => {
    const networks: Call["networks"] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)];
    const apart = await finish({ networks });
    expect(failure(apart.listener)).toMatchObject({ code: "HANDSHAKE_FAILED" });
    const together = await finish({ networks, transforms: [keyed(5), keyed(5)] });
    expect(carries(session(together.dialer), session(together.listener), "hello")).toBe(true);
    const mixed = await finish({ networks, transforms: [keyed(8), shs()] });
    expect(mixed.dialer.status).toBe("fulfilled");
  });

  test("when it differs, the listener answers nothing at all", async () => {
    const { dialer, listener, listenerEnd } = await finish({ transforms: [keyed(5), keyed(6)] });
    expect(listenerEnd.sentBytes).toHaveLength(0);
    expect(failure(listener)).toMatchObject({ name: "HandshakeError", code: "HANDSHAKE_FAILED" });
    expect(failure(dialer)).toMatchObject({ name: "HandshakeError", code: "HANDSHAKE_FAILED" });
    expect(failure(dialer).message).toMatch(/another app key/);
  });

  test("may be base64, and is copied", async () => {
    const bytes = new Uint8Array(32).fill(5);
    const [text, copied] = [shs({ appKey: toBase64(bytes) }), shs({ appKey: bytes })];
    bytes.fill(0);
    expect((await finish({ transforms: [text, copied] })).dialer.status).toBe("fulfilled");
  });

  test("and authenticate are checked at the door", () => {
    expect(() => shs({ appKey: new Uint8Array(31) })).toThrow(RangeError);
    expect(() => shs({ appKey: "AAAA" })).toThrow(RangeError);
    expect(() => shs({ appKey: "not base64!" })).toThrow(TypeError);
    expect(() => shs({ appKey: 7 as unknown as string })).toThrow(TypeError);
    expect(() => shs({ authenticate: {} as unknown as () => unknown })).toThrow(TypeError);
  });
});

describe("a key that is not the listener's", () => {
  test("learns nothing, and the dialer is told what may be wrong", async () => {
    const { dialer, listener, listenerEnd } = await finish({ section: shs().section(carol) });
    expect(failure(listener)).toMatchObject({ code: "HANDSHAKE_FAILED" });
    expect(failure(dialer)).toMatchObject({ code: "HANDSHAKE_FAILED" });
    expect(failure(dialer).message).toMatch(/another key.*or does not admit us/);
    expect(listenerEnd.sentBytes).toHaveLength(SECOND);
  });
});

describe("authenticate", () => {
  const guarded = (authenticate: (id: PeerId) => unknown): NonNullable<Call["transforms"]> => [
    shs(),
    shs({ authenticate }),
  ];

  test("is asked for the proved key on the listener alone; its answer is the session's auth", async () => {
    const dialers = vi.fn();
    const asked: string[] = [];
    const permission = { allow: ["everything"] };
    const { dialer, listener } = await finish({
      transforms: [
        shs({ authenticate: dialers }),
        shs({
          authenticate(id) {
            asked.push(id.text);
            return Promise.resolve(permission);
          },
        }),
      ],
    });
    expect(asked).toEqual([alice.id.text]);
    expect(session(listener).auth).toBe(permission);
    expect(session(dialer).auth).toBeUndefined();
    expect(dialers).not.toHaveBeenCalled();
  });

  test.each([
    ["false", () => false],
    ["nothing", () => undefined],
    ["a promise of null", () => Promise.resolve(null)],
    [
      "a throw",
      () => {
        throw new Error("the database is down");
      },
    ],
    ["a rejection", () => Promise.reject(new Error("the database is down"))],
    ["a rejection with nothing", () => Promise.reject(undefined)],
  ])("answering with %s refuses: no message 4", async (_what, authenticate) => {
    const { dialer, listener, listenerEnd } = await finish({ transforms: guarded(authenticate) });
    expect(failure(listener)).toMatchObject({ code: "PEER_REFUSED", peer: alice.id.text });
    expect(failure(dialer)).toMatchObject({ code: "HANDSHAKE_FAILED" });
    expect(listenerEnd.sentBytes).toHaveLength(SECOND);
  });

  test("keeps what it threw as the cause", async () => {
    const thrown = new Error("the database is down");
    const { listener } = await finish({ transforms: guarded(() => Promise.reject(thrown)) });
    expect(failure(listener).cause).toBe(thrown);
  });

  test("may take its time", async () => {
    const [reached, verdict] = [deferred<void>(), deferred<string>()];
    const { both, listenerEnd } = begin({
      transforms: guarded(() => {
        reached.resolve();
        return verdict.promise;
      }),
    });
    await reached.promise;
    expect(listenerEnd.sentBytes).toHaveLength(SECOND);
    verdict.resolve("a friend");
    const [dialer, listener] = await both;
    expect(session(listener).auth).toBe("a friend");
    expect(carries(session(dialer), session(listener), "patient")).toBe(true);
  });

  test("that never settles is ended by the owner's signal; a late answer changes nothing", async () => {
    for (const late of ["resolve", "reject"] as const) {
      const [reached, verdict] = [deferred<void>(), deferred<unknown>()];
      const owner = new AbortController();
      const { both, listenerEnd } = begin({
        signals: [new AbortController().signal, owner.signal],
        transforms: guarded(() => {
          reached.resolve();
          return verdict.promise;
        }),
      });
      await reached.promise;
      const reason = networkError("HANDSHAKE_TIMEOUT", "too slow");
      owner.abort(reason);
      const [dialer, listener] = await both;
      expect(failure(listener)).toBe(reason);
      expect(failure(dialer)).toMatchObject({ code: "HANDSHAKE_FAILED" });
      verdict[late](new Error("too late"));
      await Promise.resolve();
      expect(listenerEnd.sentBytes).toHaveLength(SECOND);
    }
  });

  test("is not asked when the peer proved nothing", async () => {
    const authenticate = vi.fn(() => true);
    await finish({ transforms: guarded(authenticate), section: shs().section(carol) });
    await finish({
      transforms: guarded(authenticate),
      prepare: (a) => a.cutAfter(FIRST + THIRD - 1),
    });
    expect(authenticate).not.toHaveBeenCalled();
  });
});
