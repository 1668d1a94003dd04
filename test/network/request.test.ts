import {
  defineMessage,
  type MessageContext,
  Network,
  type Peer,
  type SignedMessage,
  text,
  toUtf8,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { describe, expect, it } from "vitest";
import { FLAGS } from "../../packages/core/src/frame.ts";
import { Cluster, Line, type Node } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { frame, Raw } from "../support/raw.ts";

const Question = defineMessage({ name: "question", opcode: 1_260, codec: text });
const Answer = defineMessage({ name: "answer", opcode: 1_261, codec: text });

type Answering = (context: MessageContext, question: string) => void | Promise<void>;

/** Two nodes; the second answers questions. The peer is the second as the first sees it. */
async function asking(
  cluster: Cluster,
  answer: Answering,
  limits: Network["limits"] | object = {},
): Promise<{ one: Node; other: Node; peer: Peer }> {
  const one = await cluster.one({ limits });
  const other = await cluster.one();
  await other.network.registerPlugin({
    newMessage: (context) => {
      const question = context.message.as(Question);
      return question === undefined ? undefined : answer(context, question);
    },
  });
  await cluster.connect(one, other);
  return { one, other, peer: one.peer(other) };
}

describe("request", () => {
  expectNoLeaks();

  it("gives each question its own answer, whatever their order", async () => {
    await using cluster = new Cluster();
    const held: (() => Promise<void>)[] = [];
    const { one, peer } = await asking(cluster, ({ reply }, question) => {
      held.push(() => reply(Answer.of(`${question}!`)));
      if (held.length < 50) return;
      for (const send of held.reverse()) void send();
    });
    const questions = Array.from({ length: 50 }, (_, i) => `question ${i}`);
    const answers = await Promise.all(
      questions.map((question) => peer.request(Question.of(question), Answer)),
    );
    expect(answers).toEqual(questions.map((question) => `${question}!`));
    // A reply is for whoever asked, and for no plugin.
    expect(one.messages).toEqual([]);
    expect(one.network.networkState().peers[0]?.pendingRequests).toBe(0);
  });

  it("may be asked by both sides at once, from inside hooks", async () => {
    await using cluster = new Cluster();
    const { one, other, peer } = await asking(cluster, async ({ peer: asker, reply }, question) => {
      await reply(Answer.of(`${question} ${await asker.request(Question.of("you?"), Answer)}`));
    });
    await one.network.registerPlugin({
      newMessage: async ({ message, reply }) => {
        if (message.as(Question) === "you?") await reply(Answer.of("fine"));
      },
    });
    expect(await peer.request(Question.of("me:"), Answer)).toBe("me: fine");
    expect(other.network.networkState().plugins.every(({ faults }) => faults === 0)).toBe(true);
  });

  it("rejects after its time, or after the network's", async () => {
    await using cluster = new Cluster();
    const limits = { requestTimeoutMs: 40 };
    const { peer } = await asking(cluster, () => {}, limits);
    for (const options of [{}, { timeoutMs: 20 }]) {
      await expect(peer.request(Question.of("?"), Answer, options)).rejects.toMatchObject({
        name: "StreamError",
        code: "REQUEST_TIMEOUT",
        peer: peer.id.text,
      });
    }
  });

  it("rejects with the signal's reason, before or after it was sent", async () => {
    await using cluster = new Cluster();
    const { peer } = await asking(cluster, () => {});
    const reason = new Error("never mind");
    const fired = peer.request(Question.of("?"), Answer, { signal: AbortSignal.abort(reason) });
    await expect(fired).rejects.toBe(reason);
    const controller = new AbortController();
    const waiting = peer.request(Question.of("?"), Answer, { signal: controller.signal });
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  it("rejects at once, with the reason, when the peer leaves", async () => {
    await using cluster = new Cluster();
    const { other, peer } = await asking(cluster, ({ peer: asker }) => {
      asker.close({ code: "STREAM_IDLE", text: "no answers here" });
    });
    const asked = [1, 2, 3].map(() => peer.request(Question.of("?"), Answer));
    for (const each of asked) await expect(each).rejects.toMatchObject({ code: "STREAM_IDLE" });
    await other.saw(() => other.count("deleted") === 1);
    await expect(peer.request(Question.of("?"), Answer)).rejects.toMatchObject({
      code: "STREAM_IDLE",
    });
  });

  it("rejects at once when this side leaves", async () => {
    await using cluster = new Cluster();
    const { one, peer } = await asking(cluster, () => {});
    const asked = peer.request(Question.of("?"), Answer);
    const deleting = one.network.delete(peer);
    await expect(asked).rejects.toMatchObject({ code: "STREAM_CLOSED" });
    await deleting;
  });

  it("hands an answer that comes too late to the plugins, marked as a reply", async () => {
    await using cluster = new Cluster();
    let late: (() => Promise<void>) | undefined;
    const { one, peer } = await asking(cluster, ({ reply }) => {
      late = () => reply(Answer.of("too late"));
    });
    await expect(peer.request(Question.of("?"), Answer, { timeoutMs: 20 })).rejects.toMatchObject({
      code: "REQUEST_TIMEOUT",
    });
    await expect.poll(() => late).toBeDefined();
    await late?.();
    await one.saw(() => one.messages.length === 1);
    expect(one.messages[0]?.isReply).toBe(true);
    expect(one.messages[0]?.as(Answer)).toBe("too late");
  });

  it("rejects an answer of another type, and closes the peer for one that cannot be read", async () => {
    await using cluster = new Cluster();
    const { peer } = await asking(cluster, ({ reply }, question) =>
      reply(
        question === "type"
          ? Line.of("not an answer")
          : { opcode: Answer.opcode, body: Uint8Array.of(0xff) },
      ),
    );
    await expect(peer.request(Question.of("type"), Answer)).rejects.toMatchObject({
      code: "BODY_MALFORMED",
    });
    expect(peer.connected).toBe(true);
    await expect(peer.request(Question.of("body"), Answer)).rejects.toMatchObject({
      code: "BODY_MALFORMED",
    });
    expect(peer.connected).toBe(false);
  });

  it("refuses more than the bound at once, and what can never be asked", async () => {
    await using cluster = new Cluster();
    const { peer } = await asking(cluster, () => {}, { maxPendingRequests: 2 });
    const controller = new AbortController();
    const { signal } = controller;
    const first = [1, 2].map(() => peer.request(Question.of("?"), Answer, { signal }));
    await expect(peer.request(Question.of("?"), Answer)).rejects.toMatchObject({
      code: "SEND_BUFFER_FULL",
    });
    controller.abort(new Error("enough"));
    for (const each of first) await expect(each).rejects.toThrow("enough");
    expect(() => peer.request(Question.of("?"), {} as typeof Answer)).toThrow(TypeError);
    expect(() => peer.request({ opcode: 0, body: toUtf8("") }, Answer)).toThrow(RangeError);
    for (const timeoutMs of [Number.NaN, -1, 0]) {
      expect(() => peer.request(Question.of("?"), Answer, { timeoutMs })).toThrow(RangeError);
    }
  });

  it("believes no answer to a question that was not asked", async () => {
    await using cluster = new Cluster("net~noauth");
    const node = await cluster.one();
    const raw = await Raw.dial(node.address);
    await node.saw(() => node.count("added") === 1);
    raw.send(frame(Answer.opcode, toUtf8("42"), FLAGS.reply, 99));
    await node.saw(() => node.messages.length === 1);
    expect(node.messages[0]?.isReply).toBe(true);
    raw.socket.destroy();
  });
});

describe("a signed message", () => {
  expectNoLeaks();

  it("shows its author to everybody it is passed on to, only when it verifies", async () => {
    await using cluster = new Cluster();
    const [author, carrier, reader] = (await cluster.start(3)) as [Node, Node, Node];
    await cluster.connect(author, carrier);
    await cluster.connect(carrier, reader);
    const signed = author.network.sign(Line.of("I said so"));
    author.network.broadcast(signed, carrier.network.id);
    await carrier.saw(() => carrier.texts.length === 1);
    expect(carrier.messages[0]?.signer?.equals(author.network.id)).toBe(true);
    carrier.network.broadcast(signed, reader.network.id);
    carrier.network.broadcast(Line.of("nobody signed"), reader.network.id);
    const forged: SignedMessage[] = [
      { ...signed, body: toUtf8("I never said") },
      { ...signed, nonce: signed.nonce + 1 },
      { ...signed, signer: carrier.network.id },
      { ...signed, opcode: 1_299 },
    ];
    for (const message of forged) carrier.network.broadcast(message, reader.network.id);
    await reader.saw(() => reader.messages.length === 6);
    const [passed, ...others] = reader.messages;
    expect(passed?.signer?.text).toBe(author.network.id.text);
    expect(passed?.sender.equals(carrier.network.id)).toBe(true);
    expect(passed?.nonce).toBe(signed.nonce);
    expect(others.map(({ signer }) => signer)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(reader.network.peers.size).toBe(1);
  });

  it("of another network verifies nowhere else", async () => {
    await using cluster = new Cluster();
    const stranger = new Network({ networkId: "elsewhere", stacks: [[net(), noise()]] });
    const [one, other] = (await cluster.start(2)) as [Node, Node];
    await cluster.connect(one, other);
    one.network.broadcast(stranger.sign(Line.of("from afar")));
    await other.saw(() => other.messages.length === 1);
    expect(other.messages[0]?.signer).toBeUndefined();
  });

  it("may be a request, and never a reply", async () => {
    await using cluster = new Cluster();
    let refused: unknown;
    const { one, other, peer } = await asking(cluster, async ({ network, reply }, question) => {
      try {
        await reply(network.sign(Answer.of("signed")));
      } catch (error) {
        refused = error;
      }
      await reply(Answer.of(question));
    });
    expect(await peer.request(one.network.sign(Question.of("who?")), Answer)).toBe("who?");
    expect(refused).toBeInstanceOf(TypeError);
    expect(other.messages[0]?.signer?.equals(one.network.id)).toBe(true);
    // Its nonce is signed, so it can wait for one answer only.
    const signed = one.network.sign(Question.of("twice"));
    const waiting = peer.request(signed, Answer);
    expect(() => peer.request(signed, Answer)).toThrow(TypeError);
    expect(await waiting).toBe("twice");
    expect(await peer.request(signed, Answer)).toBe("twice");
  });
});
