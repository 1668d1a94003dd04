/**
 * Addresses of several alternatives: what is dead, hangs, lies or is ourselves costs no more than its turn.
 */

import { createServer, type Server, type Socket } from "node:net";
import { Identity, Network, type NetworkError } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { Cluster } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";

/** A TCP server that accepts and says nothing. */
class Mute implements AsyncDisposable {
  readonly address: string;
  /** Connections that were not cut. */
  readonly open: Set<Socket>;
  readonly #server: Server;

  private constructor(server: Server, open: Set<Socket>) {
    const bound = server.address();
    const port = typeof bound === "object" ? bound?.port : undefined;
    this.address = `net:127.0.0.1:${port}~noise`;
    this.#server = server;
    this.open = open;
  }

  static async start(): Promise<Mute> {
    const open = new Set<Socket>();
    const server = createServer((socket) => {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => open.delete(socket));
      socket.resume();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Mute(server, open);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Where nobody listens any more. */
async function deadAddress(): Promise<string> {
  const gone = new Network({ stacks: [[net(), noise()]] });
  const address = await gone.listen("net:127.0.0.1:0~noise");
  await gone.close();
  return address;
}

function bare(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

async function failure(work: Promise<unknown>): Promise<NetworkError> {
  return work.then(
    () => {
      throw new Error("it came about");
    },
    (error: NetworkError) => error,
  );
}

describe("add, of an address whose first alternative", () => {
  expectNoLeaks();

  const cases: readonly (readonly [string, (mute: Mute, other: string) => Promise<string>])[] = [
    ["is dead", deadAddress],
    ["hangs", async (mute) => mute.address],
    ["has another key", async (_mute, other) => `${bare(other)}:${Identity.generate().id.text}`],
    ["has a key that cannot be read", async (_mute, other) => `${bare(other)}:AAAA`],
    ["is of a protocol that this node lacks", async () => "quic:127.0.0.1:1~noise"],
    ["lacks its transform", async () => "net:127.0.0.1:1"],
  ];

  it.each(cases)("%s, reaches the second", async (_what, first) => {
    await using mute = await Mute.start();
    await using cluster = new Cluster();
    const [one, other] = await cluster.start(2);
    if (one === undefined || other === undefined) throw new Error("no nodes");
    const address = `${await first(mute, other.address)};${other.address}`;
    const peer = await one.network.add(address);
    expect([peer.id.text, peer.address]).toEqual([other.network.id.text, other.address]);
    expect([one.events, [...one.network.wanted.keys()]]).toEqual([
      [`added ${other.network.id.short}`],
      [address],
    ]);
    await expect.poll(() => mute.open.size).toBe(0);
  });

  it("is this node, reaches the second", async () => {
    await using cluster = new Cluster();
    const [one, other] = await cluster.start(2);
    if (one === undefined || other === undefined) throw new Error("no nodes");
    const peer = await one.network.add(`${one.address};${other.address}`);
    expect(peer.id.text).toBe(other.network.id.text);
    expect(await failure(one.network.add(`${one.address};${await deadAddress()}`))).toMatchObject({
      code: "DIAL_REFUSED",
      attempts: [
        { stage: "parse", cause: { code: "SELF_DIAL" } },
        { stage: "connect", cause: { code: "DIAL_REFUSED" } },
      ],
    });
  });
});

describe("add, of an address of which no alternative works", () => {
  expectNoLeaks();

  it("says what became of each, and leaves nothing open", async () => {
    await using mute = await Mute.start();
    await using cluster = new Cluster();
    const [one, other] = [
      await cluster.one({ limits: { handshakeTimeoutMs: 600 } }),
      await cluster.one(),
    ];
    const dead = await deadAddress();
    const { text } = Identity.generate().id;
    const wrong = `${bare(other.address)}:${text}`;
    const error = await failure(
      one.network.add(`${dead};quic:x~noise;${mute.address};${wrong};net:127.0.0.1:1~noise:AAAA`),
    );
    expect(error).toMatchObject({
      code: "HANDSHAKE_TIMEOUT",
      address: `${dead};quic:x~noise;${mute.address};${wrong};net:127.0.0.1:1~noise:AAAA`,
      attempts: [
        { address: dead, stage: "connect", afterMs: 0, cause: { code: "DIAL_REFUSED" } },
        { address: "quic:x~noise", stage: "parse", cause: { code: "ADDRESS_UNSUPPORTED" } },
        { address: mute.address, stage: "handshake", cause: { code: "HANDSHAKE_TIMEOUT" } },
        { address: wrong, stage: "handshake", cause: { code: "PEER_UNEXPECTED" } },
        { stage: "parse", cause: { code: "ADDRESS_MALFORMED" } },
      ],
    });
    for (const { address } of error.attempts ?? []) expect(error.message).toContain(address);
    expect([one.events, one.network.wanted.size]).toEqual([[], 0]);
    await expect.poll(() => mute.open.size).toBe(0);
    expect(other.events).toEqual([]);
  });

  it("is cancelled whole", async () => {
    await using mute = await Mute.start();
    await using again = await Mute.start();
    await using cluster = new Cluster();
    const one = await cluster.one();
    const controller = new AbortController();
    const adding = one.network.add(`${mute.address};${again.address}`, controller);
    await expect.poll(() => [mute.open.size, again.open.size]).toEqual([1, 1]);
    const reason = new Error("changed my mind");
    controller.abort(reason);
    await expect(adding).rejects.toBe(reason);
    await expect.poll(() => [mute.open.size, again.open.size]).toEqual([0, 0]);
  });
});

describe("a network's choice", () => {
  expectNoLeaks();

  it("has what it prefers in front, and nothing that it does not allow", async () => {
    await using cluster = new Cluster();
    const all = [
      [net(), noauth()],
      [net(), shs()],
      [net(), noise()],
    ] as const;
    const other = await cluster.one({ stacks: all });
    const address = `${await other.network.listen("net:127.0.0.1:0~noauth;net:127.0.0.1:0~shs")};${other.address}`;
    const stackOf = async (options: object): Promise<string> => {
      const node = await cluster.one({ stacks: all, ...options });
      const peer = await node.network.add(address);
      return /~([a-z]+)/.exec(peer.address)?.[1] ?? "";
    };
    expect(await stackOf({})).toBe("noauth");
    expect(await stackOf({ prefer: ["noise"] })).toBe("noise");
    expect(await stackOf({ prefer: ["noise"], allow: ["net~shs"] })).toBe("shs");
    const none = new Network({ stacks: all, allow: ["unix"] });
    await expect(none.add(address)).rejects.toMatchObject({ code: "ADDRESS_UNSUPPORTED" });
    await none.close();
    expect(() => new Network({ prefer: "noise" as never })).toThrow(TypeError);
  });

  it("cannot have a transform of another identity", async () => {
    const identity = Identity.generate();
    const stacks = [[net(), shs({ keys: Identity.generate() })]] as const;
    expect(() => new Network({ identity, stacks })).toThrow(/own identity must be the network's/);
    const own = new Network({ identity, stacks: [[net(), shs({ keys: identity })]] });
    expect(await own.listen("net:127.0.0.1:0~shs")).toContain(identity.id.text);
    await own.close();
  });
});
