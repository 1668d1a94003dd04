import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { vouch } from "../../../test/support/vouch.ts";
import { type NetworkError, networkError } from "../src/errors.ts";
import type { MultiStream } from "../src/multi-stream.ts";
import type { MultiServer, Serving } from "../src/multiserver.ts";
import type { Transport } from "../src/transport.ts";
import { ManualTransport, placed } from "./support/manual-transport.ts";
import { echo, KEY, MultiWorld, readAll, TEXT } from "./support/multi-world.ts";
import { toy } from "./support/toy-transform.ts";

let world: MultiWorld;

beforeEach(() => {
  world = new MultiWorld();
});

afterEach(() => world.end());

describe("server", () => {
  it("wants a function, a place to listen, and to be the only one", async () => {
    const server = world.node([[world.line("a"), vouch()]]);
    await expect(server.server(undefined as never)).rejects.toThrow("onStream must be a function");
    await expect(server.server(() => {}, { onError: {} as never })).rejects.toThrow(
      "onError must be a function",
    );
    await expect(world.node([[world.line(), vouch()]]).server(() => {})).rejects.toThrow(
      /no stack says where/,
    );
    const mute = Object.assign(placed(new ManualTransport(), "a"), { listen: undefined });
    await expect(world.node([[mute as Transport, vouch()]]).server(() => {})).rejects.toThrow(
      /no stack says where/,
    );
    const opening = world.serve(server);
    await expect(server.server(() => {})).rejects.toThrow("server is running; close it first");
    const serving = await opening;
    await expect(server.server(() => {})).rejects.toThrow(TypeError);
    expect(world.hub.names).toEqual(["a"]);
    await serving.close();
    await world.serve(server);
    expect(world.hub.names).toEqual(["a"]);
  });

  it("may be tried again when it failed", async () => {
    const server = world.node([
      [world.line("a"), vouch()],
      [world.line("b"), vouch()],
    ]);
    world.hub.claim("b", () => {});
    const error = await server.server(() => {}).catch((thrown: NetworkError) => thrown);
    expect(error).toMatchObject({
      code: "LISTEN_FAILED",
      message: expect.stringContaining("1 of 2 listeners failed, so none is open"),
      attempts: [{ stage: "listen", address: `memory:b~vouch:${KEY}` }],
    });
    expect(world.hub.names).toEqual(["b"]);
    expect(server.stringify()).toBe(`memory:a~vouch:${KEY};memory:b~vouch:${KEY}`);
    world.hub.release("b");
    await world.serve(server);
    expect(world.hub.names).toEqual(["a", "b"]);
  });

  it("refuses strangers whom others than this machine could be, unless that is allowed", async () => {
    const far = (): ManualTransport =>
      Object.assign(placed(new ManualTransport(), "a"), { local: false });
    await expect(world.node([[far(), toy()]]).server(() => {})).rejects.toMatchObject({
      code: "LISTEN_FAILED",
    });
    await world.serve(world.node([[far(), toy()]], { allowPublicNoauth: true }));
    expect(world.servings[0]?.addresses).toEqual(["manual:a~toy"]);
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("boom");
      },
    ],
    ["rejects", () => Promise.reject(new Error("boom"))],
    [
      "throws what is no error",
      () => {
        throw "boom";
      },
    ],
  ])("whose onStream %s loses that stream, says so, and serves on", async (_what, fail) => {
    const server = world.node([[world.line("a"), vouch()]]);
    let failing = true;
    await world.serve(server, (stream) => (failing ? fail() : echo(stream)));
    const unlucky = await world.dial("memory:a~vouch");
    expect(await unlucky.closed).toMatchObject({ code: "TRUNCATED" });
    expect(world.errors).toMatchObject([
      {
        code: "STREAM_CLOSED",
        message: "onStream failed: boom",
        address: world.streams[0]?.address,
      },
    ]);
    await settled();
    expect(server.admission.places).toBe(0);
    failing = false;
    const lucky = await world.dial("memory:a~vouch");
    lucky.write(TEXT);
    await lucky.end();
    expect(await readAll(lucky)).toEqual(TEXT);
  });

  it("says of an error that knows no address where its stream came from", async () => {
    const thrown = [
      networkError("PEER_REFUSED", "not you"),
      networkError("PEER_REFUSED", "nor you", { address: "x" }),
    ];
    await world.serve(world.node([[world.line("a"), vouch()]]), () => {
      throw thrown.shift();
    });
    for (let i = 0; i < 2; i++) await world.dial("memory:a~vouch");
    expect(world.errors).toMatchObject([
      { code: "PEER_REFUSED", message: "not you", address: world.streams[0]?.address },
      { code: "PEER_REFUSED", address: "x" },
    ]);
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("told");
      },
    ],
    ["rejects", () => Promise.reject(new Error("told"))],
    ["is not there", undefined],
  ])("whose onError %s goes on", async (_what, onError) => {
    const server = world.node([[world.line("a"), vouch()]], { limits: { maxHandshakes: 1 } });
    const options = onError === undefined ? {} : { onError };
    await world.serve(
      server,
      () => {
        throw new Error("boom");
      },
      options,
    );
    // A failing onStream, a failing handshake, and one that is cut to make room.
    expect(await (await world.dial("memory:a~vouch")).closed).toBeInstanceOf(Error);
    const liar = await world
      .dial("memory:a~vouch", world.node([[world.line(), toy({ name: "vouch", shift: 3 })]]))
      .catch((error: unknown) => error);
    expect(liar).toBeInstanceOf(Error);
    const crowd = [world.shaker(), world.shaker()];
    await settled();
    expect(await crowd[0]?.closed).toBeInstanceOf(Error);
    crowd[1]?.leave();
    await settled();
    expect(server.admission.places).toBe(0);
    expect((await world.dial("memory:a~vouch")).remote?.text).toBe(KEY);
  });

  it("lets so many in and no more, and others when they are gone", async () => {
    const server = world.node([[world.line("a"), vouch()]], { limits: { maxPeers: 2 } });
    await world.serve(server);
    const [one] = [await world.dial("memory:a~vouch"), await world.dial("memory:a~vouch")];
    await expect(world.dial("memory:a~vouch")).rejects.toMatchObject({ code: "TRUNCATED" });
    expect(world.errors).toMatchObject([{ code: "TOO_MANY_PEERS" }]);
    expect(world.errors[0]?.address).toMatch(/^memory:a@/);
    expect(server.admission.places).toBe(2);
    one?.abort(new Error("enough"));
    await settled();
    await world.dial("memory:a~vouch");
    expect(world.streams.length).toBe(6);
  });

  it("serves while handshakes hang, and cuts them at their deadline", async () => {
    const server = world.node([[world.line("a"), vouch()]], {
      limits: { handshakeTimeoutMs: 1_000 },
    });
    await world.serve(server, echo);
    const shakers = [world.shaker(), world.shaker()];
    await settled();
    expect(server.admission.halfOpen).toBe(2);
    for (let i = 0; i < 10; i++) {
      await world.runtime.advance(99);
      // One byte of a hello each time.
      for (const shaker of shakers) shaker.say(Uint8Array.of(1));
      await (await world.dial("memory:a~vouch")).close();
    }
    expect(world.errors).toEqual([]);
    await world.runtime.advance(10);
    expect(world.errors.map(({ code }) => code)).toEqual([
      "HANDSHAKE_TIMEOUT",
      "HANDSHAKE_TIMEOUT",
    ]);
    expect([server.admission.places, server.admission.halfOpen]).toEqual([0, 0]);
  });
});

describe("close", () => {
  const LIMITS = { closeTimeoutMs: 500, handshakeTimeoutMs: 5_000 };
  /** One server, and so many streams to it. */
  const meeting = async (
    count: number,
    onStream: (stream: MultiStream) => void | Promise<void> = () => {},
  ): Promise<{ server: MultiServer; serving: Serving; dialled: MultiStream[] }> => {
    const server = world.node([[world.line("a"), vouch()]], { limits: LIMITS });
    const serving = await world.serve(server, onStream);
    const dialled: MultiStream[] = [];
    for (let i = 0; i < count; i++) dialled.push(await world.dial("memory:a~vouch"));
    return { server, serving, dialled };
  };

  it("without streams is done at once, and every further time", async () => {
    const { serving, server } = await meeting(0);
    await serving.close();
    await serving.close({ graceMs: 10_000 });
    await serving[Symbol.asyncDispose]();
    expect([world.hub.names, world.runtime.now()]).toEqual([[], 0]);
    await expect(world.dial("memory:a~vouch")).rejects.toMatchObject({ code: "DIAL_REFUSED" });
    expect(server.admission.places).toBe(0);
  });

  it("refuses a time that is none", async () => {
    const { serving } = await meeting(0);
    for (const graceMs of [-1, Number.NaN, "5"]) {
      await expect(serving.close({ graceMs: graceMs as number })).rejects.toThrow(RangeError);
    }
    expect(world.hub.names).toEqual(["a"]);
  });

  it("gives streams their time, and is done when the last has ended", async () => {
    const { serving, dialled } = await meeting(2, echo);
    const closing = serving.close({ graceMs: 10_000 });
    await world.runtime.advance(4_000);
    expect(world.hub.names).toEqual([]);
    for (const stream of dialled) {
      stream.write(TEXT);
      await stream.end();
      expect(await readAll(stream)).toEqual(TEXT);
    }
    await closing;
    expect(world.runtime.now()).toBe(4_000);
    expect(await Promise.all(dialled.map(({ closed }) => closed))).toEqual([undefined, undefined]);
  });

  it("then ends them politely: they read an end, and no cut", async () => {
    const { serving, dialled } = await meeting(1);
    world.streams[0]?.write(TEXT);
    const closing = serving.close({ graceMs: 1_000 });
    const [stream] = dialled;
    if (stream === undefined) throw new Error("no stream");
    const reading = readAll(stream);
    await world.runtime.advance(999);
    expect(stream.write(TEXT)).toBe(true);
    await world.runtime.advance(1);
    expect(await reading).toEqual(TEXT);
    await stream.end();
    await closing;
    expect([world.runtime.now(), await stream.closed]).toEqual([1_000, undefined]);
  });

  it("then cuts those who do not end", async () => {
    const { serving, dialled, server } = await meeting(2);
    const closing = serving.close({ graceMs: 1_000 });
    await world.runtime.advance(1_499);
    expect(server.admission.places).toBe(2);
    await world.runtime.advance(1);
    await closing;
    expect(world.runtime.now()).toBe(1_500);
    for (const stream of dialled) expect(await stream.closed).toMatchObject({ code: "TRUNCATED" });
    expect([server.admission.places, world.runtime.pending]).toEqual([0, 0]);
  });

  it("cuts those who take nothing in the same time", async () => {
    const { serving, dialled } = await meeting(1, async (stream) => {
      while (stream.write(new Uint8Array(64 * 1024)));
      await stream.close();
    });
    const began = world.runtime.now();
    await world.runtime.during(serving.close({ graceMs: 0 }));
    expect(world.runtime.now() - began).toBe(LIMITS.closeTimeoutMs);
    expect(await dialled[0]?.closed).toMatchObject({ code: "TRUNCATED" });
  });

  it("has a grace period by default", async () => {
    const { serving } = await meeting(1);
    await world.runtime.during(serving.close());
    expect(world.runtime.now()).toBe(2 * LIMITS.closeTimeoutMs);
  });

  it("does what the first call said, whatever the others say", async () => {
    const { serving } = await meeting(1);
    const closing = [serving.close({ graceMs: 1_000 }), serving.close({ graceMs: 0 })];
    await world.runtime.during(Promise.all(closing));
    expect(world.runtime.now()).toBe(1_500);
  });

  it("cuts handshakes under way, and says so", async () => {
    const { serving, server } = await meeting(0);
    const shaker = world.shaker();
    await settled();
    expect(server.admission.halfOpen).toBe(1);
    await serving.close();
    expect(await shaker.closed).toBeInstanceOf(Error);
    expect([world.errors.map(({ code }) => code), world.runtime.now()]).toEqual([
      ["NETWORK_CLOSED"],
      0,
    ]);
  });

  it("hands over nobody who comes meanwhile", async () => {
    const { serving } = await meeting(1);
    const dialling = world.dial("memory:a~vouch").catch((error: unknown) => error);
    const closing = serving.close({ graceMs: 1_000 });
    expect(await dialling).toBeInstanceOf(Error);
    await expect(world.dial("memory:a~vouch")).rejects.toMatchObject({ code: "DIAL_REFUSED" });
    await world.runtime.during(closing);
    expect(world.streams.length).toBe(2);
  });

  it("leaves the node's own dials, and the node may serve again meanwhile", async () => {
    const other = world.node([[world.line("b"), vouch()]]);
    await world.serve(other, echo);
    const { serving, server, dialled } = await meeting(1);
    const own = await world.dial("memory:b~vouch", server);
    const closing = serving.close({ graceMs: 1_000 });
    await settled();
    await world.serve(server, echo);
    const again = await world.dial("memory:a~vouch");
    await world.runtime.during(closing);
    expect(await dialled[0]?.closed).toBeInstanceOf(Error);
    for (const stream of [own, again]) {
      stream.write(TEXT);
      await stream.end();
      expect(await readAll(stream)).toEqual(TEXT);
      await stream.closed;
    }
    await settled();
    expect(server.admission.places).toBe(0);
  });

  it("waits for streams that onStream still works on", async () => {
    let release = (): void => {};
    const { serving, dialled } = await meeting(1, async (stream) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      stream.write(TEXT);
      await stream.end();
    });
    const closing = serving.close({ graceMs: 1_000 });
    await world.runtime.advance(500);
    release();
    const [stream] = dialled;
    if (stream === undefined) throw new Error("no stream");
    expect(await readAll(stream)).toEqual(TEXT);
    await stream.end();
    await closing;
    expect(world.runtime.now()).toBe(500);
  });
});
