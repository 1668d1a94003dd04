import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { vouch } from "../../../test/support/vouch.ts";
import type { Section } from "../src/address.ts";
import type { Connection, Side } from "../src/connection.ts";
import { Identity } from "../src/identity.ts";
import type { MultiStream } from "../src/multi-stream.ts";
import type { Transform } from "../src/transform.ts";
import { ManualTransport, placed } from "./support/manual-transport.ts";
import { echo, KEY, MultiWorld, readAll, TEXT } from "./support/multi-world.ts";
import { toy, toySession } from "./support/toy-transform.ts";

let world: MultiWorld;

beforeEach(() => {
  world = new MultiWorld();
});

afterEach(() => world.end());

describe("a stream", () => {
  it("carries bytes both ways, and says on each side who is there", async () => {
    const server = world.node([[world.line("a"), vouch()]]);
    const serving = await world.serve(server, echo);
    const client = world.node([[world.line(), vouch()]], { identity: Identity.generate() });
    const stream = await world.dial(serving.addresses[0] ?? "", client);
    stream.write(TEXT);
    await stream.end();
    expect(await readAll(stream)).toEqual(TEXT);
    expect(stream).toMatchObject({
      address: `memory:a~vouch:${KEY}`,
      side: "dialer",
      stack: "memory~vouch",
      auth: undefined,
      meta: undefined,
      halfClose: true,
    });
    expect(stream.remote?.text).toBe(KEY);
    expect(world.streams[0]).toMatchObject({ side: "listener", stack: "memory~vouch" });
    expect(world.streams[0]?.address).toMatch(/^memory:a@\d+~vouch$/);
    expect(world.streams[0]?.remote?.text).toBe(client.identity.id.text);
    expect([await stream.closed, await world.streams[0]?.closed]).toEqual([undefined, undefined]);
    expect([world.errors, server.admission.places, client.admission.places]).toEqual([[], 0, 0]);
  });

  it("runs over a bare transport, which proves nothing", async () => {
    const server = world.node([[world.line("a")]]);
    const serving = await world.serve(server, echo);
    expect(serving.addresses).toEqual(["memory:a"]);
    const stream = await world.dial("memory:a", world.node([[world.line()]]));
    stream.write(TEXT);
    await stream.end();
    expect(await readAll(stream)).toEqual(TEXT);
    expect([stream.stack, stream.remote, world.streams[0]?.remote]).toEqual([
      "memory",
      undefined,
      undefined,
    ]);
  });

  it("is not dialled in a weaker form than it is written", async () => {
    const both = world.node([[world.line("a")], [world.line("b"), vouch()]]);
    await world.serve(both);
    for (const address of [
      "memory:b~vouch:AAAA",
      "memory:b~vouch2:AAAA",
      "memory:a~noauth",
      "memory:b~vouch~vouch",
    ]) {
      await expect(both.client(address)).rejects.toMatchObject({ name: "AddressError" });
    }
    expect(world.streams).toEqual([]);
  });

  it("has what the wrap of its side says of the connection", async () => {
    const wrap =
      (what: string) =>
      (connection: Connection, side: Side): Connection =>
        new Shouting(connection, `${what} ${side}`);
    const server = world.node([[world.line("a"), vouch()]], { wrap: wrap("server's") });
    await world.serve(server, echo);
    const stream = await world.dial(
      "memory:a~vouch",
      world.node([[world.line(), vouch()]], { wrap: wrap("client's") }),
    );
    expect([stream.meta, world.streams[0]?.meta]).toEqual(["client's dialer", "server's listener"]);
    stream.write(TEXT);
    await stream.end();
    // What the wraps gave is what the bytes went through: both mask them, and so neither does.
    expect(await readAll(stream)).toEqual(TEXT);
    expect([stream, world.streams[0]].map((each) => Shouting.of(each?.meta)?.wrote)).toEqual([
      true,
      true,
    ]);
  });

  it("is refused by a wrap that throws, or gives nothing, and no other is", async () => {
    const wraps: ((connection: Connection) => Connection)[] = [
      () => {
        throw new Error("not you");
      },
      () => undefined as unknown as Connection,
    ];
    const wrap = (connection: Connection): Connection =>
      (wraps.shift() ?? ((same) => same))(connection);
    const server = world.node([[world.line("a"), vouch()]], { wrap });
    await world.serve(server);
    const client = world.node([[world.line(), vouch()]]);
    for (let i = 0; i < 2; i++) {
      await expect(world.runtime.during(client.client("memory:a~vouch"))).rejects.toMatchObject({
        code: "TRUNCATED",
      });
    }
    await world.dial("memory:a~vouch", client);
    expect(world.streams.length).toBe(2);
    expect(world.errors).toMatchObject([
      { code: "HANDSHAKE_FAILED", message: expect.stringContaining("not you") },
      { code: "HANDSHAKE_FAILED" },
    ]);
    const refusing = world.node([[world.line(), vouch()]], {
      wrap: () => {
        throw new Error("not here");
      },
    });
    await expect(world.runtime.during(refusing.client("memory:a~vouch"))).rejects.toMatchObject({
      code: "HANDSHAKE_FAILED",
      message: expect.stringContaining("not here"),
    });
    expect(refusing.admission.places).toBe(0);
  });

  it("of a session that breaks its contract is not left open", async () => {
    const liar: Transform = {
      ...toy(),
      handshake: async () => toySession({ key: new Uint8Array(3) }),
    };
    const transport = placed(new ManualTransport(), "a");
    const node = world.node([[transport, liar]]);
    await world.serve(node);
    const arrival = transport.listeners[0]?.arrival();
    const dialling = node.client("manual:a~toy");
    await settled();
    const connection = transport.dialTo("a").connect();
    await expect(dialling).rejects.toThrow(/key|32/);
    expect([arrival?.aborted, connection.aborted]).toEqual([expect.any(Error), expect.any(Error)]);
    expect([world.streams, world.errors.length, node.admission.places]).toEqual([[], 1, 0]);
  });
});

/** A wrap that turns every bit around, and notes that it did. */
class Shouting implements Connection {
  static readonly #all = new Map<unknown, Shouting>();
  readonly meta: string;
  wrote = false;
  readonly #below: Connection;
  readonly #chunks: AsyncIterator<Uint8Array>;

  constructor(below: Connection, meta: string) {
    this.#below = below;
    this.meta = meta;
    this.#chunks = below[Symbol.asyncIterator]();
    Shouting.#all.set(meta, this);
  }

  static of(meta: unknown): Shouting | undefined {
    return Shouting.#all.get(meta);
  }

  get remote(): Section {
    return this.#below.remote;
  }

  get local(): boolean {
    return this.#below.local;
  }

  get closed(): Promise<Error | undefined> {
    return this.#below.closed;
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    this.wrote = true;
    return this.#below.write(...pieces.map((piece) => piece.map((byte) => byte ^ 0xff)));
  }

  drain(): Promise<void> {
    return this.#below.drain();
  }

  end(): Promise<void> {
    return this.#below.end();
  }

  close(): Promise<void> {
    return this.#below.close();
  }

  abort(reason: Error): void {
    this.#below.abort(reason);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        const { done, value } = await this.#chunks.next();
        return done
          ? { done, value: undefined }
          : { done: false, value: value.map((byte) => byte ^ 0xff) };
      },
    };
  }
}

describe("client", () => {
  it("takes the alternative that is there, past those that are not", async () => {
    await world.serve(world.node([[world.line("a"), vouch()]]));
    const address = `other:x~vouch;memory:nobody~vouch;memory:a~vouch:short;memory:a~vouch:${KEY}`;
    const stream = await world.dial(address);
    expect(stream.address).toBe(`memory:a~vouch:${KEY}`);
  });

  it("prefers and allows what the call says", async () => {
    await world.serve(
      world.node([
        [world.line("a"), vouch()],
        [world.line("b"), toy()],
      ]),
    );
    const client = world.node(
      [
        [world.line(), vouch()],
        [world.line(), toy()],
      ],
      { prefer: ["toy"] },
    );
    const both = "memory:a~vouch;memory:b~toy";
    expect((await world.dial(both, client)).stack).toBe("memory~toy");
    const preferring = world.runtime.during(client.client(both, { prefer: ["memory~vouch"] }));
    expect((await preferring).stack).toBe("memory~vouch");
    const allowing = world.runtime.during(client.client(both, { allow: ["vouch"] }));
    expect((await allowing).stack).toBe("memory~vouch");
    (await preferring).abort(new Error("enough"));
    (await allowing).abort(new Error("enough"));
    for (const choice of [{ allow: "vouch" }, { prefer: [7] }]) {
      await expect(client.client(both, choice as never)).rejects.toThrow(TypeError);
    }
    await expect(client.client(both, { allow: [] })).rejects.toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
      attempts: [{ stage: "parse" }, { stage: "parse" }],
    });
  });

  it("rejects what is no address, before anything else", async () => {
    const client = world.node([[world.line(), vouch()]]);
    await expect(client.client("nonsense address")).rejects.toMatchObject({
      code: "ADDRESS_MALFORMED",
    });
    await expect(client.client(7 as never)).rejects.toThrow(TypeError);
    expect(client.admission.places).toBe(0);
  });

  it("takes a place, and gives it back when it fails, is cancelled, or the stream is over", async () => {
    await world.serve(world.node([[world.line("a"), vouch()]]));
    const client = world.node([[world.line(), vouch()]], { limits: { maxPeers: 1 } });
    await expect(world.runtime.during(client.client("memory:nobody~vouch"))).rejects.toMatchObject({
      code: "DIAL_REFUSED",
    });
    expect(client.admission.places).toBe(0);
    const controller = new AbortController();
    const cancelled = client.client("memory:a~vouch", { signal: controller.signal });
    expect(client.admission.places).toBe(1);
    await expect(client.client("memory:a~vouch")).rejects.toMatchObject({ code: "TOO_MANY_PEERS" });
    controller.abort(new Error("changed my mind"));
    await expect(cancelled).rejects.toThrow("changed my mind");
    expect(client.admission.places).toBe(0);
    const stream = await world.dial("memory:a~vouch", client);
    expect(client.admission.places).toBe(1);
    stream.abort(new Error("enough"));
    await settled();
    expect(client.admission.places).toBe(0);
  });

  it.each([0, 1, 5, 11])(
    "leaves nothing of a dial that is called off %i ms after it began",
    async (ms) => {
      // The handshake takes three trips of 2 ms each behind the greeting of the transport.
      const slow = { latencyMs: 2 };
      const server = world.node([[world.line("a", slow), vouch()]]);
      await world.serve(server);
      const client = world.node([[world.line(undefined, slow), vouch()]]);
      const controller = new AbortController();
      const reason = new Error("changed my mind");
      const dialling = client.client("memory:a~vouch;memory:b~vouch", {
        signal: controller.signal,
      });
      const outcome = dialling.then(
        (stream) => stream,
        (error: unknown) => error,
      );
      await world.runtime.advance(ms);
      const under = client.admission.places;
      controller.abort(reason);
      const came = await outcome;
      if (ms < 10) {
        expect([came, under, client.admission.places]).toEqual([reason, 1, 0]);
      } else {
        expect((came as MultiStream).side).toBe("dialer");
        (came as MultiStream).abort(reason);
      }
      await world.runtime.advance(100);
      expect(getEventListeners(controller.signal, "abort")).toEqual([]);
      expect([client.admission.places, server.admission.places, world.runtime.pending]).toEqual([
        0, 0, 0,
      ]);
    },
  );

  it("does not begin when the signal has fired, and does not mind one that fires later", async () => {
    await world.serve(world.node([[world.line("a"), vouch()]]));
    const reason = new Error("not now");
    const client = world.node([[world.line(), vouch()]]);
    const signal = AbortSignal.abort(reason);
    await expect(client.client("memory:a~vouch", { signal })).rejects.toBe(reason);
    const controller = new AbortController();
    const stream = await client.client("memory:a~vouch", { signal: controller.signal });
    controller.abort(reason);
    stream.write(TEXT);
    await settled();
    await settled();
    const chunks = world.streams[0]?.[Symbol.asyncIterator]();
    expect(await chunks?.next()).toEqual({ done: false, value: TEXT });
    stream.abort(reason);
  });

  it("may dial its own node", async () => {
    const server = world.node([[world.line("a"), vouch()]]);
    await world.serve(server, echo);
    const stream = await world.dial("memory:a~vouch", server);
    expect(stream.remote?.text).toBe(KEY);
  });
});
