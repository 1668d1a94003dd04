import { describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { section } from "../src/address.ts";
import { concat, toBase64 } from "../src/bytes.ts";
import type { Connection, Datagrams, Listener } from "../src/connection.ts";
import { networkError } from "../src/errors.ts";
import { Identity } from "../src/identity.ts";
import { deferred } from "../src/queue.ts";
import { SealedConnection } from "../src/session.ts";
import { Stack, type StackParts } from "../src/stack.ts";
import type { Session, Transform } from "../src/transform.ts";
import type { Transport } from "../src/transport.ts";
import { ManualConnection } from "./support/manual-connection.ts";
import {
  GREETING,
  giving,
  identity,
  instant,
  KEY,
  KEY_TEXT,
  manual,
  options,
  rejection,
  route,
} from "./support/stack-parts.ts";
import { toy, toySession } from "./support/toy-transform.ts";

describe("a stack", () => {
  it("is a transport and its transforms, and nothing else", () => {
    const transport = giving(new ManualConnection());
    const stack = new Stack([transport, toy(), toy({ name: "second", key: KEY })]);
    expect(stack).toMatchObject({
      name: "manual~toy~second",
      chain: "toy~second",
      authenticates: true,
    });
    expect(new Stack([transport]).authenticates).toBe(false);
    for (const parts of [
      [],
      [toy()],
      [transport, transport],
      [transport, {}],
      [undefined],
      transport,
    ]) {
      expect(() => new Stack(parts as unknown as StackParts)).toThrow(TypeError);
    }
  });

  it("speaks exactly its own chain", () => {
    const stack = new Stack([giving(new ManualConnection()), toy()]);
    expect(stack.speaks(route("manual:a~toy"))).toBe(true);
    for (const other of ["manual:a", "manual:a~toy~toy", "manual:a~other", "other:a~toy"]) {
      expect(stack.speaks(route(other))).toBe(false);
    }
  });

  it("reads the key that a route promises, of the last transform that proves one", () => {
    const proving = toy({ name: "proving", key: KEY });
    const stack = new Stack([giving(new ManualConnection()), proving, toy()]);
    expect(stack.expectedKey(route(`manual:a~proving:${KEY_TEXT}~toy`))).toEqual(KEY);
    expect(stack.expectedKey(route("manual:a~proving~toy"))).toBeUndefined();
    expect(stack.expectedKey(route(`manual:a~proving~toy:${KEY_TEXT}`))).toBeUndefined();
    const other = toBase64(new Uint8Array(32).fill(8));
    const twice = new Stack([giving(new ManualConnection()), proving, instant(toySession)]);
    expect(twice.expectedKey(route(`manual:a~proving:${other}~instant:${KEY_TEXT}`))).toEqual(KEY);
    expect(() => stack.expectedKey(route("manual:a~proving:short~toy"))).toThrow(
      expect.objectContaining({ code: "ADDRESS_MALFORMED" }),
    );
  });

  it("proves the key of its outermost transform that proves any", () => {
    const own = Identity.fromSecret(new Uint8Array(32).fill(2));
    const proving = toy({ name: "proving", key: KEY });
    const chains: [Transform[], Identity][] = [
      [[toy()], identity],
      [[proving], identity],
      [[{ ...proving, identity: own }], own],
      [[{ ...proving, identity: own }, toy()], own],
      [[{ ...proving, identity: own }, toy({ name: "outer", key: KEY })], identity],
      [[proving, { ...toy(), identity: own }], identity],
    ];
    for (const [transforms, expected] of chains) {
      const stack = new Stack([giving(new ManualConnection()), ...transforms]);
      expect(stack.identity(identity)).toBe(expected);
    }
  });

  it("tells others what to dial", () => {
    const stack = new Stack([giving(new ManualConnection()), instant(toySession), toy()]);
    const listener = { section: section("manual", "host", "7") } as Listener;
    expect(stack.addressOf(listener, identity)).toBe(
      `manual:host:7~instant:${identity.id.text}~toy`,
    );
  });

  it("starts datagrams under the session's key, and leaves them alone where they could be forged", async () => {
    const startsWith = async (...transforms: readonly Transform[]): Promise<unknown[]> => {
      const starts: unknown[] = [];
      const datagrams: Datagrams = {
        maxBytes: 0,
        send: () => false,
        start: (key) => void starts.push(key),
        async *[Symbol.asyncIterator]() {},
      };
      const connection = Object.assign(new ManualConnection(), { datagrams });
      const stack = new Stack([giving(connection), ...transforms]);
      const names = ["manual:a", ...transforms.map(({ name }) => name)].join("~");
      const link = await stack.dial(route(names), options());
      expect(new SealedConnection(link.connection, link.session).datagrams).toBe(datagrams);
      expect(link.datagrams).toBe(starts.length === 0 ? undefined : datagrams);
      return starts;
    };
    const exporting = (): Session => ({ ...toySession(), exportKey: () => KEY });
    expect(await startsWith()).toEqual([undefined]);
    expect(await startsWith(instant(exporting))).toEqual([KEY]);
    expect(await startsWith(instant(() => toySession(), false))).toEqual([undefined]);
    expect(await startsWith(instant(() => toySession(), true))).toEqual([]);
  });

  it("listens where its transport can", async () => {
    const listener = { section: section("manual", "x") } as Listener;
    const stack = new Stack([
      manual(
        async () => new ManualConnection(),
        async () => listener,
      ),
    ]);
    expect(await stack.listen(section("manual", "x"), () => {})).toBe(listener);
    const deaf = new Stack([giving(new ManualConnection())]);
    await expect(deaf.listen(section("manual", "x"), () => {})).rejects.toMatchObject({
      code: "LISTEN_FAILED",
      address: "manual:x",
    });
  });
});

describe("dialling", () => {
  it("gives a transport the time it asks for, if that is more than the limit", async () => {
    for (const [asked, expected] of [
      [undefined, 100],
      [50, 100],
      [700, 700],
    ] as const) {
      const runtime = new VirtualRuntime();
      const slow: Transport = {
        ...manual(
          (_section, { signal }) =>
            new Promise((_resolve, reject) => {
              signal.addEventListener("abort", () => reject(signal.reason));
            }),
        ),
        ...(asked === undefined ? {} : { dialTimeoutMs: asked }),
      };
      const dialling = new Stack([slow]).dial(route("manual:a"), options(runtime));
      const failure = dialling.catch((error: unknown) => error);
      await runtime.advance(expected - 1);
      expect(runtime.pending).toBe(1);
      await runtime.advance(1);
      expect(await failure).toMatchObject({ code: "DIAL_TIMEOUT" });
    }
  });

  it("gives a link whose handshakes are done, with what came behind them", async () => {
    const connection = new ManualConnection();
    const runtime = new VirtualRuntime();
    await runtime.advance(50);
    const stack = new Stack([giving(connection), toy({ key: KEY, auth: "a friend" })]);
    const [sealed = new Uint8Array(0), body = sealed] = toySession().seal([Uint8Array.of(9)]);
    const stages: string[] = [];
    connection.receive(concat(GREETING, sealed, body));
    const link = await stack.dial(route(`manual:a:1~toy:${KEY_TEXT}:secret`), {
      ...options(runtime),
      stage: (stage) => stages.push(stage),
    });
    expect(link).toMatchObject({ side: "dialer", connectedAt: 50, connection });
    expect(link.opened).toEqual([Uint8Array.of(9)]);
    expect([link.session.remoteKey, link.session.auth]).toEqual([KEY, "a friend"]);
    // What a transform was given besides the key may be secret.
    expect(link.address).toBe(`manual:a:1~toy:${KEY_TEXT}`);
    expect([stages, runtime.pending]).toEqual([["connect", "handshake"], 0]);
  });

  it("without transforms proves and changes nothing, and keeps no reference", async () => {
    const stack = new Stack([giving(new ManualConnection())]);
    const { session } = await stack.dial(route("manual:a"), options());
    const body = Uint8Array.of(1, 2);
    const [sealed] = session.seal([body]);
    body.fill(0);
    expect(sealed).toEqual(Uint8Array.of(1, 2));
    expect(session.open(body)).toEqual([body]);
    expect([session.remoteKey, session.ended, session.end]).toEqual([undefined, true, undefined]);
  });

  it("says what the transport failed with, and to which address", async () => {
    for (const [thrown, expected] of [
      [new Error("no route"), { code: "DIAL_REFUSED", address: "manual:a~toy" }],
      [networkError("ADDRESS_MALFORMED", "bad port"), { code: "ADDRESS_MALFORMED" }],
    ] as const) {
      const runtime = new VirtualRuntime();
      const stack = new Stack([manual(() => Promise.reject(thrown)), toy()]);
      const error = await rejection(runtime, stack.dial(route("manual:a~toy"), options(runtime)));
      expect(error).toMatchObject(expected);
      expect(runtime.pending).toBe(0);
    }
  });

  it("gives the transport so long and no longer", async () => {
    const runtime = new VirtualRuntime();
    const never = manual(
      (_section, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new Error("hung up")), { once: true });
        }),
    );
    const stack = new Stack([never, toy()]);
    const error = await rejection(runtime, stack.dial(route("manual:a~toy"), options(runtime)));
    expect(error).toMatchObject({ code: "DIAL_TIMEOUT", address: "manual:a~toy" });
    expect([runtime.now(), runtime.pending]).toEqual([100, 0]);
  });

  it("waits no longer for a transport that heeds no signal, and cuts what that still brings", async () => {
    const runtime = new VirtualRuntime();
    const late = deferred<Connection>();
    const stack = new Stack([manual(() => late.promise), toy()]);
    const error = await rejection(runtime, stack.dial(route("manual:a~toy"), options(runtime)));
    expect(error).toMatchObject({ code: "DIAL_TIMEOUT" });
    const connection = new ManualConnection();
    late.resolve(connection);
    await settled();
    expect([connection.aborted, connection.writes]).toEqual([error, []]);
  });

  it("ends with the signal's own reason, before and while it connects and shakes hands", async () => {
    const reason = new Error("never mind");
    const runtime = new VirtualRuntime();
    const connection = new ManualConnection();
    const stack = new Stack([giving(connection), toy()]);
    const at = route("manual:a~toy");
    const aborted = { ...options(runtime), signal: AbortSignal.abort(reason) };
    expect(await rejection(runtime, stack.dial(at, aborted))).toBe(reason);
    expect(connection.writes).toEqual([]);
    const controller = new AbortController();
    const dialling = stack.dial(at, { ...options(runtime), signal: controller.signal });
    const outcome = rejection(runtime, dialling);
    controller.abort(reason);
    expect(await outcome).toBe(reason);
    expect(connection.aborted).toBe(reason);
    expect(runtime.pending).toBe(0);
  });

  it("refuses a route whose key cannot be read before it dials", async () => {
    const stack = new Stack([
      manual(() => Promise.reject(new Error("dialled"))),
      toy({ key: KEY }),
    ]);
    await expect(stack.dial(route("manual:a~toy:short"), options())).rejects.toMatchObject({
      code: "ADDRESS_MALFORMED",
    });
    await expect(stack.dial({ sections: [], text: "" }, options())).rejects.toThrow(TypeError);
  });
});
