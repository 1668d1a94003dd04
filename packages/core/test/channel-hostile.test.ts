import { describe, expect, test } from "vitest";
import { concat, toUtf8, writeU32 } from "../src/bytes.ts";
import type { Channel } from "../src/channel.ts";
import {
  encodeCredit,
  encodeHeader,
  encodeOpen,
  encodeReset,
  KINDS,
  RESETS,
} from "../src/channel-frame.ts";
import { type End, Link, pattern, seeded, settle, take } from "./support/channel-link.ts";

const KIB = 1024;

/** Reads what is there, and no more. */
async function unread(channel: Channel): Promise<number> {
  const chunks = channel[Symbol.asyncIterator]();
  for (let bytes = 0; ; ) {
    const result = await Promise.race([chunks.next(), settle()]).catch(() => undefined);
    if (result === undefined || result.done) return bytes;
    bytes += result.value.length;
  }
}

describe("a peer that breaks the protocol", () => {
  const name = toUtf8("test");
  const data = (id: number, bytes: number) => concat(encodeHeader(KINDS.data, id), pattern(bytes));
  const end = (id: number) => encodeHeader(KINDS.end, id);

  test.each<[string, Uint8Array[]]>([
    ["a header cut short", [new Uint8Array(4)]],
    ["an unknown kind", [encodeHeader(6 as 5, 0)]],
    ["data for a channel never opened", [data(2, 1)]],
    ["data for a channel we never opened", [data(1, 1)]],
    ["more data than granted", [data(0, 600), data(0, 401)]],
    ["data without bytes", [data(0, 0)]],
    ["data after the end", [end(0), data(0, 1)]],
    ["an end with a body", [concat(end(0), name)]],
    ["two ends", [end(0), end(0)]],
    ["a channel opened twice", [encodeOpen(0, 1, name)]],
    ["an id of our own side", [encodeOpen(1, 1, name)]],
    ["an id out of turn", [encodeOpen(4, 1, name)]],
    ["an open cut short", [encodeOpen(2, 1, name).subarray(0, 8)]],
    ["an open without a name", [encodeOpen(2, 1, name.subarray(0, 0))]],
    ["a name too long", [encodeOpen(2, 1, pattern(257))]],
    ["a name that is no UTF-8", [encodeOpen(2, 1, new Uint8Array([0xff]))]],
    ["an accept nobody asked for", [encodeCredit(KINDS.accept, 0, 1)]],
    ["a credit of a wrong length", [encodeHeader(KINDS.credit, 0, 3)]],
    ["credit past 32 bits", [encodeCredit(KINDS.credit, 0, 0xffff_ffff)]],
    ["a reset without a code", [encodeHeader(KINDS.reset, 0, 1)]],
    ["a reason too long", [encodeHeader(KINDS.reset, 0, 2 + 257)]],
    [
      "a reason that is no UTF-8",
      [concat(encodeHeader(KINDS.reset, 0, 2), new Uint8Array([0xff]))],
    ],
  ])("%s", async (_, bodies) => {
    const link = new Link({ manual: true, b: { limits: { channelWindowBytes: 1_000 } } });
    link.b.serve("test");
    link.b.host.receive(encodeOpen(0, 1, name));
    expect(link.b.faults).toEqual([]);
    for (const body of bodies) link.b.host.receive(body);
    expect(link.b.faults).toMatchObject([{ name: "ProtocolError", code: "FRAME_MALFORMED" }]);
    link.b.host.receive(new Uint8Array(0));
    expect(link.b.faults.length).toBe(1);
  });

  test("credit before the accept", () => {
    const link = new Link({ manual: true });
    void link.a.host.open("x").catch(() => {});
    link.a.host.receive(encodeCredit(KINDS.credit, 0, 1));
    expect(link.a.faults).toMatchObject([{ code: "FRAME_MALFORMED" }]);
    link.close();
  });

  test("late frames for a channel that is over are no fault", async () => {
    const link = new Link();
    const [channel] = await link.pair();
    const ours = link.b.host.open("nobody").catch(() => {});
    await ours;
    channel.abort(new Error("gone"));
    await settle();
    const late = (id: number) => [
      data(id, 10),
      encodeCredit(KINDS.credit, id, 10),
      encodeCredit(KINDS.accept, id, 10),
      end(id),
      encodeReset(id, RESETS.aborted, "gone"),
    ];
    for (const body of [...late(0), ...late(1)]) link.b.host.receive(body);
    expect(link.b.faults).toEqual([]);
  });

  test("data that overtook our accept waits for it", async () => {
    const link = new Link({ manual: true });
    const opening = link.a.host.open("x");
    for (const body of [data(0, 10), end(0), encodeCredit(KINDS.accept, 0, 1)]) {
      link.a.host.receive(body);
    }
    expect(await take(await opening, 10)).toEqual([pattern(10)]);
    expect(link.a.faults).toEqual([]);
  });

  test("a chunk never keeps a much larger box alive", async () => {
    const link = new Link({ manual: true });
    link.b.serve("test");
    link.b.host.receive(encodeOpen(0, 1, name));
    const chunks = (link.b.accepted[0] as Channel)[Symbol.asyncIterator]();
    const box = new Uint8Array(64 * KIB);
    for (const bytes of [100, 5 * KIB, 20 * KIB]) {
      const frame = box.subarray(0, bytes + 5);
      frame.set(data(0, bytes));
      for (const waiting of [true, false]) {
        const before = waiting ? chunks.next() : undefined;
        link.b.host.receive(frame);
        const { value } = await (before ?? chunks.next());
        expect(value).toEqual(pattern(bytes));
        expect(value.buffer.byteLength).toBeLessThanOrEqual(Math.max(8 * KIB, 4 * bytes));
      }
    }
  });

  test("one-byte frames cost what they carry", async () => {
    const link = new Link({ manual: true });
    const end: End = link.b;
    end.serve("test");
    end.host.receive(encodeOpen(0, 1, name));
    const box = new Uint8Array(64 * KIB);
    const frame = box.subarray(100, 106);
    frame.set(data(0, 1));
    for (let i = 0; i < 256 * KIB; i++) end.host.receive(frame);
    const chunks = await take(end.accepted[0] as Channel, 256 * KIB);
    expect(chunks.length).toBeLessThanOrEqual(64);
    expect(chunks.every((chunk) => chunk.buffer.byteLength <= 8 * KIB)).toBe(true);
    expect(end.faults).toEqual([]);
  });
});

test("20,000 hostile bodies: nothing throws, nothing passes its bound", async () => {
  const choose = seeded(20_260);
  const window = 2_000;
  const maxChannels = 8;
  const limits = { channelWindowBytes: window, maxChannels, maxSendBufferBytes: 64 * 1024 };
  const name = pattern(3).map((byte) => 97 + (byte % 26));
  // What an honest peer would know, so that most bodies are valid and channels live for a while.
  let nextId = 0;
  const left = new Map<number, number>();
  const id = (): number => 2 * choose(nextId / 2);
  const makers: (() => Uint8Array)[] = [
    () => {
      left.set(nextId, window);
      nextId += 2;
      return encodeOpen(nextId - 2, choose(5_000), name);
    },
    () => data(id(), 700),
    () => data(id(), 1),
    () => encodeCredit(KINDS.credit, id(), choose(4_000)),
    () => {
      const channel = id();
      if ((left.get(channel) ?? 0) < 0) return encodeCredit(KINDS.credit, channel, 0);
      left.set(channel, -1);
      return encodeHeader(KINDS.end, channel);
    },
    () => encodeReset(id(), choose(4), "because"),
  ];
  const data = (channel: number, most: number): Uint8Array => {
    const room = left.get(channel) ?? 0;
    if (room <= 0) return encodeCredit(KINDS.credit, channel, 1);
    const bytes = 1 + choose(Math.min(room, most));
    left.set(channel, room - bytes);
    return concat(encodeHeader(KINDS.data, channel), pattern(bytes));
  };
  const hostile: (() => Uint8Array)[] = [
    () => pattern(choose(40), choose(1_000)),
    () => encodeCredit(KINDS.accept, choose(6), choose(4_000)),
    () => mutate((makers[choose(makers.length)] as () => Uint8Array)()),
  ];
  const mutate = (body: Uint8Array): Uint8Array => {
    const changed = body.slice(0, choose(8) === 0 ? choose(body.length + 1) : body.length);
    if (changed.length > 0) changed[choose(changed.length)] = choose(256);
    if (changed.length > 4 && choose(4) === 0)
      writeU32(changed, 1, choose(2) === 0 ? id() : choose(2 ** 32));
    return changed;
  };

  const kinds = new Set<string>();
  let hosts = 0;
  let most = 0;
  let link = new Link({ manual: true });
  const renew = async (): Promise<void> => {
    const end = link.b;
    // Nobody read: what a channel holds is at most what its window let in.
    for (const channel of end.accepted) {
      const held = await unread(channel);
      expect(held).toBeLessThanOrEqual(window);
      most = Math.max(most, held);
    }
    link.close();
    expect(end.host.count).toBe(0);
    hosts++;
    nextId = 0;
    left.clear();
    link = new Link({ manual: true, b: { limits } });
    link.b.serve(String.fromCharCode(...name));
    for (let i = 0; i < 3; i++) void link.b.host.open("ours").catch(() => {});
  };
  await renew();

  for (let i = 0; i < 20_000; i++) {
    const from = choose(30) === 0 ? hostile : makers;
    const which = nextId === 0 ? 0 : choose(from.length);
    link.b.host.receive((from[which] as () => Uint8Array)());
    expect(link.b.host.count).toBeLessThanOrEqual(maxChannels);
    expect(link.b.waiting.length).toBeLessThan(1_000);
    if (choose(50) === 0) link.run();
    if (choose(20) === 0) link.b.accepted[choose(link.b.accepted.length)]?.write(pattern(300));
    if (choose(60) === 0) void link.b.accepted[choose(link.b.accepted.length)]?.end();
    if (choose(200) === 0) await settle();
    if (link.b.faults.length > 0) {
      expect(link.b.faults.length).toBe(1);
      kinds.add(link.b.faults[0]?.code ?? "");
      await renew();
    }
  }
  await renew();
  expect([...kinds]).toEqual(["FRAME_MALFORMED"]);
  expect(hosts).toBeGreaterThan(100);
  expect(most).toBeGreaterThan(window / 2);
});
