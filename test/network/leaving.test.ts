import { createConnection, createServer, type Socket } from "node:net";
import { defineMessage, json, toUtf8 } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { OPCODES } from "../../packages/core/src/opcode.ts";
import { Cluster, Line, type Node } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { frame, Raw, withLength } from "../support/raw.ts";
import { Program } from "../support/run.ts";

const Order = defineMessage<{ amount: number }>({ name: "order", opcode: 1_250, codec: json });
const BODY = toUtf8("some body");

describe("leaving is said", () => {
  expectNoLeaks();

  for (const stack of ["net~noise", "net~shs"]) {
    it(`with a code and a text, by whoever leaves, over ${stack}`, async () => {
      await using cluster = new Cluster(stack);
      const [one, other] = (await cluster.start(2)) as [Node, Node];
      await cluster.connect(one, other);
      one.peer(other).close({ code: "TOO_MANY_PEERS", text: "no room – für dich" });
      await other.saw(() => other.reasons.length === 1);
      expect(one.reasons[0]).toMatchObject({ code: "TOO_MANY_PEERS" });
      expect(other.reasons[0]).toMatchObject({ code: "TOO_MANY_PEERS" });
      expect(other.reasons[0]?.message).toContain("no room – für dich");
    });

    it(`by a network that closes, over ${stack}`, async () => {
      await using cluster = new Cluster(stack);
      const [one, two, three] = (await cluster.start(3)) as [Node, Node, Node];
      await cluster.connect(one, two, three);
      await cluster.connect(two, three);
      await one.network.close();
      await two.saw(() => two.reasons.length === 1);
      await three.saw(() => three.reasons.length === 1);
      for (const { reasons } of [two, three]) expect(reasons[0]?.code).toBe("NETWORK_CLOSED");
      // Its own plugins were closed before, and that was their last hook.
      expect(one.reasons).toEqual([]);
      expect(two.network.peers.size).toBe(1);
    });
  }

  it("also by plugins: what their close hooks send still arrives", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    await cluster.connect(one, other);
    await one.network.registerPlugin({
      name: "polite",
      async close({ network }) {
        network.broadcast(Line.of("bye"));
        await Promise.resolve();
        network.broadcast(Line.of("bye bye"));
      },
    });
    await one.network.close();
    await other.saw(() => other.reasons.length === 1);
    expect(other.texts).toEqual(["bye", "bye bye"]);
  });

  it("cuts a text that is too long, between two letters", async () => {
    await using cluster = new Cluster();
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    await cluster.connect(one, other);
    one.peer(other).close({ code: "STREAM_IDLE", text: "ü".repeat(1_000) });
    await other.saw(() => other.reasons.length === 1);
    expect(other.reasons[0]).toMatchObject({ code: "STREAM_IDLE" });
    expect(other.reasons[0]?.message.match(/ü/g)).toHaveLength(128);
  });
});

describe("leaving without a word", () => {
  expectNoLeaks();

  it("by a process that is killed is a truncation", async () => {
    await using cluster = new Cluster();
    const node = await cluster.one();
    const victim = new Program("test/support/victim.ts", [node.address]);
    const id = (await victim.line(/^connected /)).slice("connected ".length);
    await node.saw(() => node.texts.includes("here I am"));
    expect([...node.network.peers.keys()]).toEqual([id]);
    victim.kill();
    await victim.ended;
    await node.saw(() => node.reasons.length === 1);
    expect(node.reasons[0]?.code).toBe("TRUNCATED");
    expect(node.network.peers.size).toBe(0);
  }, 30_000);

  for (const how of ["end", "reset", "end inside a frame"]) {
    it(`by a connection that comes to ${how} is a truncation`, async () => {
      await using cluster = new Cluster("net~noauth");
      const node = await cluster.one();
      const raw = await Raw.dial(node.address);
      raw.send(frame(1_200, BODY));
      await node.saw(() => node.messages.length === 1);
      if (how === "reset") raw.socket.resetAndDestroy();
      else if (how === "end") raw.socket.end();
      else raw.socket.end(frame(1_200, BODY).subarray(0, 20));
      await node.saw(() => node.reasons.length === 1);
      expect(node.reasons[0]).toMatchObject({ name: "ProtocolError", code: "TRUNCATED" });
      await raw.closed;
    });
  }
});

describe("breaking the protocol", () => {
  expectNoLeaks();

  const good = frame(1_200, BODY);
  const crimes: Record<string, [code: string, bytes: Uint8Array]> = {
    "a changed body": ["CHECKSUM_MISMATCH", flipped(good, good.length - 1)],
    "a changed header": ["CHECKSUM_MISMATCH", flipped(good, 8)],
    "a frame beyond the bound": ["FRAME_TOO_LARGE", withLength(good, 2_000)],
    "a frame of four gigabytes": ["FRAME_TOO_LARGE", withLength(good, 0xffff_ffff)],
    "a frame shorter than its header": ["FRAME_MALFORMED", withLength(good, 12)],
    "opcode 0": ["FRAME_MALFORMED", frame(0, BODY)],
    "an unknown flag": ["FRAME_MALFORMED", frame(1_200, BODY, 4)],
    "a signed frame too short for a signature": ["FRAME_MALFORMED", frame(1_200, BODY, 2)],
    "a second welcome": ["FRAME_MALFORMED", frame(OPCODES.welcome, Uint8Array.of(0))],
    "a number that core keeps for itself": ["FRAME_MALFORMED", frame(40, BODY)],
    "a goodbye that cannot be read": [
      "BODY_MALFORMED",
      frame(OPCODES.disconnect, Uint8Array.of(0)),
    ],
    "a body that is not of its type": ["BODY_MALFORMED", frame(Order.opcode, toUtf8("{"))],
  };

  for (const [crime, [code, bytes]] of Object.entries(crimes)) {
    it(`by ${crime} closes that peer with ${code}, and no other`, async () => {
      await using cluster = new Cluster("net~noauth");
      const node = await cluster.one({ limits: { maxMessageBytes: 1_000 } });
      await node.network.registerPlugin({
        newMessage: ({ message }) => {
          message.as(Order);
        },
      });
      const [honest, raw] = [await Raw.dial(node.address), await Raw.dial(node.address)];
      honest.send(good);
      await node.saw(() => node.messages.length === 1);
      raw.send(good, bytes, good);
      await raw.closed;
      expect(raw.goodbye?.code).toBe(code);
      expect(raw.goodbye?.text).not.toBe("");
      expect(node.reasons.map((reason) => reason.code)).toEqual([code]);
      // Nothing is read behind the crime.
      honest.send(good);
      await node.saw(() => node.texts.length === 3);
      expect(node.network.peers.size).toBe(1);
      expect(node.network.networkState().plugins.every(({ faults }) => faults === 0)).toBe(true);
      honest.socket.destroy();
    });
  }

  it("by bytes changed under the cipher closes the peer, whoever changed them", async () => {
    await using cluster = new Cluster();
    const node = await cluster.one();
    const port = Number(node.address.split(/[:~]/)[2]);
    // A relay that changes one byte once it is told to.
    let meddle = false;
    const sockets: Socket[] = [];
    const meddler = createServer((near) => {
      const far = createConnection(port, "127.0.0.1");
      sockets.push(near, far);
      near.on("error", () => far.destroy());
      far.on("error", () => near.destroy());
      near.on("close", () => far.destroy());
      far.on("close", () => near.destroy());
      far.pipe(near);
      near.on("data", (chunk: Uint8Array) => {
        far.write(meddle ? flipped(chunk, chunk.length - 1) : chunk);
      });
    });
    await new Promise<void>((resolve) => meddler.listen(0, "127.0.0.1", resolve));
    const { port: through } = meddler.address() as { port: number };
    const one = await cluster.one();
    const peer = await one.network.add(`net:127.0.0.1:${through}~noise`);
    await node.saw(() => node.count("added") === 1);
    meddle = true;
    await peer.send(Line.of("changed on the way"));
    await node.saw(() => node.reasons.length === 1);
    expect(node.reasons[0]).toMatchObject({ name: "ProtocolError" });
    expect(node.texts).toEqual([]);
    await one.saw(() => one.reasons.length === 1);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => meddler.close(resolve));
  });

  it("shows nothing of the body in its reasons", async () => {
    await using cluster = new Cluster("net~noauth");
    const node = await cluster.one();
    await node.network.registerPlugin({
      newMessage: ({ message }) => {
        message.as(Order);
      },
    });
    for (const body of ['{"password": "hunter2"', "hunter2"]) {
      const raw = await Raw.dial(node.address);
      raw.send(frame(Order.opcode, toUtf8(body)));
      await raw.closed;
      expect(raw.goodbye?.code).toBe("BODY_MALFORMED");
      expect(raw.goodbye?.text).not.toContain("hunter2");
    }
    expect(node.reasons).toHaveLength(2);
    for (const reason of node.reasons) {
      expect(`${reason.stack} ${JSON.stringify(reason)} ${reason.cause}`).not.toContain("hunter2");
    }
  });
});

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice();
  changed[at] = (changed[at] as number) ^ 0x40;
  return changed;
}
