import { once } from "node:events";
import { connect, createServer } from "node:net";
import {
  defineMessage,
  type MessageContext,
  Network,
  type NetworkContext,
  type NetworkState,
  type PeerContext,
  text,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import { Cluster, Line, type Node } from "../support/cluster.ts";
import { expectNoLeaks, watchLeaks } from "../support/leaks.ts";

const Silence = defineMessage({ name: "silence", opcode: 1_280, codec: text });
const LISTEN = "net:127.0.0.1:0~noise";

function network(limits: Partial<Network["limits"]> = {}): Network {
  return new Network({ stacks: [[net(), noise()]], limits });
}

describe("close", () => {
  /** Runs `before`, which gives an open network in some state, closes it, and sees that nothing is left. */
  function leavesNothing(
    state: string,
    before: () => Promise<[Network, after?: () => unknown]>,
  ): void {
    it(`leaves nothing behind ${state}`, async () => {
      const check = watchLeaks();
      const [open, after] = await before();
      const closing = open.close();
      expect(open.close()).toBe(closing);
      await closing;
      expect(open.peers.size).toBe(0);
      expect(open.addresses).toEqual([]);
      await after?.();
      await check();
    });
  }

  leavesNothing("when nothing was ever done", async () => [network()]);

  leavesNothing("while it listens", async () => {
    const open = network();
    await open.listen(LISTEN);
    await open.listen(LISTEN);
    return [open];
  });

  leavesNothing("while it begins to listen", async () => {
    const open = network();
    const listening = open.listen(LISTEN);
    return [open, () => expect(listening).rejects.toMatchObject({ code: "NETWORK_CLOSED" })];
  });

  leavesNothing("while it dials", async () => {
    const open = network();
    // A documentation address: nobody answers, or nobody can be reached at all.
    const adding = open.add("net:192.0.2.1:9~noise");
    return [open, () => expect(adding).rejects.toThrow()];
  });

  leavesNothing("in the middle of a handshake, on either side", async () => {
    const mute = createServer((socket) => socket.on("error", () => {}));
    mute.listen(0, "127.0.0.1");
    await once(mute, "listening");
    const { port } = mute.address() as { port: number };
    const open = network();
    const adding = open.add(`net:127.0.0.1:${port}~noise`);
    const [far] = await once(mute, "connection");
    const address = await open.listen(LISTEN);
    const stranger = connect(Number(address.split(/[:~]/)[2]), "127.0.0.1");
    stranger.on("error", () => {});
    await once(stranger, "connect");
    return [
      open,
      async () => {
        await expect(adding).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
        for (const socket of [far, stranger]) socket.destroy();
        mute.close();
      },
    ];
  });

  leavesNothing("while authorize thinks", async () => {
    let onAsked = (): void => {};
    const thinking = new Promise<void>((resolve) => {
      onAsked = resolve;
    });
    const open = new Network({
      stacks: [[net(), noise()]],
      limits: { closeTimeoutMs: 100 },
      authorize: () => {
        onAsked();
        return new Promise(() => {});
      },
    });
    const address = await open.listen(LISTEN);
    const other = network();
    const adding = other.add(address);
    adding.catch(() => {});
    await thinking;
    return [
      open,
      async () => {
        await expect(adding).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
        await other.close();
      },
    ];
  });

  leavesNothing("with peers, requests and channels", async () => {
    const [open, other] = [network(), network()];
    other.handleChannel("hold", async (channel) => {
      for await (const _ of channel) void _;
    });
    const peer = await open.add(await other.listen(LISTEN));
    const asking = peer.request(Silence.of("?"), Silence);
    asking.catch(() => {});
    const channel = await peer.openChannel("hold");
    channel.write(new Uint8Array(100_000));
    return [
      open,
      async () => {
        await expect(asking).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
        expect(await channel.closed).toBeInstanceOf(Error);
        await expect.poll(() => other.peers.size).toBe(0);
        await other.close();
      },
    ];
  });

  leavesNothing("with a peer that takes nothing any more", async () => {
    const open = network({ closeTimeoutMs: 150, maxInFlight: 1 });
    const other = network({ maxInFlight: 1 });
    let release = (): void => {};
    await other.registerPlugin({
      newMessage: () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    });
    const peer = await open.add(await other.listen(LISTEN));
    const sends = Array.from({ length: 12 }, () =>
      peer.send({ opcode: 1_281, body: new Uint8Array(2 ** 20) }),
    );
    await expect.poll(() => peer.queuedBytes).toBeGreaterThan(0);
    return [
      open,
      async () => {
        const outcomes = await Promise.allSettled(sends);
        expect(outcomes.at(-1)?.status).toBe("rejected");
        const closing = other.close();
        const releasing = setInterval(() => release(), 1);
        await closing;
        clearInterval(releasing);
      },
    ];
  });

  leavesNothing("with a plugin that never starts, and one that never ends", async () => {
    const open = network({ hookTimeoutMs: 50, closeHookTimeoutMs: 50 });
    const forever = (): Promise<void> => new Promise(() => {});
    const starting = open.registerPlugin({ name: "sleepy", startup: forever });
    starting.catch(() => {});
    await open.registerPlugin({ name: "clingy", close: forever });
    return [open, () => expect(starting).rejects.toMatchObject({ code: "PLUGIN_FAILED" })];
  });

  it("may be called from hooks, and everything afterwards is refused", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    let closing: Promise<void> | undefined;
    await one.network.registerPlugin({
      newMessage: ({ network: own }) => {
        closing = own.close();
      },
    });
    await cluster.connect(other, one);
    await other.peer(one).send(Line.of("go"));
    await other.saw(() => other.reasons.length === 1);
    await closing;
    expect(other.reasons[0]?.code).toBe("NETWORK_CLOSED");
    const closed = { code: "NETWORK_CLOSED" };
    expect(() => one.network.registerPlugin({ close: () => {} })).toThrow(
      expect.objectContaining(closed),
    );
    await expect(one.network.listen(LISTEN)).rejects.toMatchObject(closed);
    await expect(one.network.add(other.address)).rejects.toMatchObject(closed);
    expect(() => one.network.broadcastRandomly(Line.of("x"), 1)).toThrow(
      expect.objectContaining(closed),
    );
    expect(one.network.networkState().peers).toEqual([]);
  });

  it("is what `await using` does", async () => {
    let closed = 0;
    {
      await using scoped = network();
      await scoped.registerPlugin({
        close: () => {
          closed++;
        },
      });
      await scoped.listen(LISTEN);
    }
    expect(closed).toBe(1);
  });
});

describe("networkState", () => {
  expectNoLeaks();

  it("is frozen through and through, and survives JSON", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    await cluster.connect(one, other);
    await one.peer(other).send(Line.of("hello"));
    await other.saw(() => other.texts.length === 1);
    const state = one.network.networkState();
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    expect(unfrozen(state)).toEqual([]);
    expect(state.id).toBe(one.network.id.text);
    expect(state.addresses).toEqual([one.address]);
    expect(state.peers).toMatchObject([
      { id: other.network.id.text, side: "dialer", state: "connected", messagesOut: 1 },
    ]);
    expect(other.network.networkState().peers).toMatchObject([
      { id: one.network.id.text, side: "listener", messagesIn: 1 },
    ]);
    // A snapshot: what happens next does not show in it.
    await one.network.delete(other.network.id);
    expect(state.peers).toHaveLength(1);
    expect(one.network.networkState().counters).toMatchObject({ added: 1, deleted: 1 });
  });
});

function unfrozen(value: unknown, path: string = "state"): string[] {
  if (typeof value !== "object" || value === null) return [];
  const own = Object.isFrozen(value) ? [] : [path];
  return [
    ...own,
    ...Object.entries(value).flatMap(([key, child]) => unfrozen(child, `${path}.${key}`)),
  ];
}

describe("a plugin written for the Go ancestors", () => {
  expectNoLeaks();

  it("works as it is, beside one in camelCase, with the same contexts", async () => {
    class Noise {
      readonly log: string[] = [];
      readonly contexts: unknown[] = [];
      Startup({ network: own }: NetworkContext): void {
        this.log.push(`startup ${own.id.short}`);
      }
      NewMessage(context: MessageContext): Promise<void> | undefined {
        this.contexts.push(context);
        this.log.push(`message ${context.message.as(Line)}`);
        return context.message.isReply ? undefined : context.reply(Line.of("pong"));
      }
      NodeAdded({ peer }: PeerContext): void {
        this.log.push(`added ${peer.id.short}`);
      }
      NodeDeleted({ peer, reason }: PeerContext): void {
        this.log.push(`deleted ${peer.id.short} ${reason?.code}`);
      }
      Close(): void {
        this.log.push("close");
      }
    }
    const p = new Noise();
    const contexts: unknown[] = [];
    const addr = LISTEN;
    const msg = { opcode: Line.opcode, body: text.encode("ping") };
    const n = 3;

    const own = network();
    const other = network();
    const seen: string[] = [];
    await other.registerPlugin({
      newMessage: ({ message }) => {
        const line = message.as(Line);
        if (line !== undefined) seen.push(line);
      },
    });
    own.registerPlugin(p);
    await own.registerPlugin({ newMessage: (context) => void contexts.push(context) });
    const address = await own.listen(addr);
    const peer = await other.add(address);
    expect(await peer.request(msg, Line)).toBe("pong");
    own.broadcast(msg);
    own.broadcastRandomly(msg, n);
    await expect.poll(() => seen).toEqual(["ping", "ping"]);
    const state: NetworkState = own.networkState();
    expect(state.plugins.map(({ name }) => name)).toEqual(["Noise", "plugin"]);
    await other.close();
    await expect.poll(() => p.log.length).toBe(4);
    await own.close();
    const id = other.id.short;
    expect(p.log).toEqual([
      `startup ${own.id.short}`,
      `added ${id}`,
      "message ping",
      `deleted ${id} NETWORK_CLOSED`,
      "close",
    ]);
    expect(p.contexts).toEqual(contexts);
    expect(p.contexts[0]).toBe(contexts[0]);
  });
});
