/**
 * Messages of gossip: opcodes 64 to 75, and how their bodies lie (docs/protocol.md).
 *
 * Little endian. Elements are counted, and the count is capped and compared with the bytes that are there, before
 * one is read. A body that breaks its form throws, which closes the peer it came from.
 */

import {
  bytes,
  type Codec,
  defineMessage,
  fromBase64,
  type MessageType,
  OPCODE_BLOCKS,
  toBase64,
} from "@testudo/core";
import { Reader, Writer } from "./body.ts";
import { type Bound, FINGERPRINT_BYTES, LAST } from "./ids.ts";
import { MAX_SHUFFLED, type MembershipMessage } from "./membership-message.ts";
import { ID_BYTES, ITEM_HEADER_BYTES } from "./origin.ts";
import type { Announcement } from "./plumtree.ts";
import { MAX_IDS, MAX_RANGES, type Range } from "./reconcile.ts";

export const MAX_ANNOUNCED = 1_024;
export const MAX_WANTED = 512;
const MAX_RECORD_BYTES = 2_048;
const KEY_BYTES = 32;

export interface Hello {
  /** The latest epoch of the reader that the writer knows; 0 for none. */
  readonly epoch: number;
  /** The writer's contact record, or nothing. */
  readonly record: Uint8Array;
}

export interface Membership {
  readonly message: MembershipMessage;
  /** Of those that are named, where known. */
  readonly records: readonly Uint8Array[];
}

/** An item on its way through the tree. */
export interface Push {
  /** At the reader. 0: it was brought late, by reconciliation, and says nothing about the tree. */
  readonly hops: number;
  /** A view. */
  readonly item: Uint8Array;
}

export interface Graft {
  readonly hops: number;
  readonly id: string | undefined;
}

export interface CensusQuestion {
  readonly id: string;
  /** Until the answer is of no use, ms. */
  readonly leftMs: number;
}

export interface CensusAnswer {
  readonly id: string;
  readonly nodes: number;
  readonly complete: boolean;
}

/** An item that is handed over on its own. */
export interface Brought {
  /** How long the writer has had it, ms. */
  readonly ageMs: number;
  /** A view. */
  readonly item: Uint8Array;
}

const hello: Codec<Hello> = {
  encode({ epoch, record }) {
    const writer = new Writer(8 + record.length);
    writer.u64(epoch);
    writer.bytes(record);
    return writer.done();
  },
  decode(body) {
    const reader = new Reader(body);
    return { epoch: reader.u64(), record: reader.bytes(reader.upTo(MAX_RECORD_BYTES)) };
  },
};

const KINDS = [
  "join",
  "forward-join",
  "neighbor",
  "neighbor-reply",
  "disconnect",
  "shuffle",
  "shuffle-reply",
] as const;

const membership: Codec<Membership> = {
  encode({ message, records }) {
    const { names, number } = partsOf(message);
    const keys = names.map(keyOf).filter((key) => key !== undefined);
    const size = records.reduce((sum, record) => sum + 2 + record.length, 4);
    const writer = new Writer(size + keys.length * KEY_BYTES);
    writer.u8(KINDS.indexOf(message.kind));
    writer.u8(number);
    writer.u8(keys.length);
    for (const key of keys) writer.bytes(key);
    writer.u8(records.length);
    for (const record of records) {
      writer.u16(record.length);
      writer.bytes(record);
    }
    return writer.done();
  },
  decode(body) {
    const reader = new Reader(body);
    const kind = KINDS[reader.u8()];
    if (kind === undefined) throw new Error("no such kind");
    const number = reader.u8();
    const names: string[] = [];
    const count = reader.count(reader.u8(), MAX_SHUFFLED + 1, KEY_BYTES);
    for (let i = 0; i < count; i++) names.push(toBase64(reader.bytes(KEY_BYTES)));
    const records: Uint8Array[] = [];
    const recorded = reader.count(reader.u8(), MAX_SHUFFLED + 1, 2);
    for (let i = 0; i < recorded; i++) {
      const length = reader.u16();
      if (length > MAX_RECORD_BYTES) throw new Error("a record is too long");
      records.push(reader.bytes(length));
    }
    reader.end();
    return { message: messageOf(kind, names, number), records };
  },
};

function partsOf(message: MembershipMessage): { names: readonly string[]; number: number } {
  switch (message.kind) {
    case "join":
      return { names: [], number: 0 };
    case "forward-join":
      return { names: [message.peer], number: message.ttl };
    case "neighbor":
      return { names: [], number: message.priority === "high" ? 1 : 0 };
    case "neighbor-reply":
      return { names: [], number: message.accepted ? 1 : 0 };
    case "disconnect":
      return { names: [], number: message.leaving ? 1 : 0 };
    case "shuffle":
      return { names: [message.origin, ...message.peers], number: message.ttl };
    case "shuffle-reply":
      return { names: [message.origin, ...message.peers], number: 0 };
  }
}

function messageOf(
  kind: (typeof KINDS)[number],
  names: readonly string[],
  number: number,
): MembershipMessage {
  const [first, ...peers] = names;
  if (kind === "join") return { kind };
  if (kind === "neighbor") return { kind, priority: number === 0 ? "low" : "high" };
  if (kind === "neighbor-reply") return { kind, accepted: number !== 0 };
  if (kind === "disconnect") return { kind, leaving: number !== 0 };
  if (first === undefined) throw new Error("a name is missing");
  if (kind === "forward-join") return { kind, peer: first, ttl: number };
  if (kind === "shuffle") return { kind, origin: first, ttl: number, peers };
  return { kind, origin: first, peers };
}

const push: Codec<Push> = {
  encode({ hops, item }) {
    const writer = new Writer(1 + item.length);
    writer.u8(hops);
    writer.bytes(item);
    return writer.done();
  },
  decode(body) {
    if (body.length <= ITEM_HEADER_BYTES) throw new Error("too short for an item");
    return { hops: body[0] as number, item: body.subarray(1) };
  },
};

const announce: Codec<readonly Announcement[]> = {
  encode(entries) {
    const writer = new Writer(2 + entries.length * (ID_BYTES + 1));
    writer.u16(entries.length);
    for (const { id, hops } of entries) {
      writer.binary(id);
      writer.u8(hops);
    }
    return writer.done();
  },
  decode(body) {
    const reader = new Reader(body);
    const count = reader.exactly(reader.u16(), MAX_ANNOUNCED, ID_BYTES + 1);
    const entries: Announcement[] = [];
    for (let i = 0; i < count; i++)
      entries.push({ id: reader.binary(ID_BYTES), hops: reader.u8() });
    return entries;
  },
};

const graft: Codec<Graft> = {
  encode({ hops, id = "" }) {
    const writer = new Writer(1 + id.length);
    writer.u8(hops);
    writer.binary(id);
    return writer.done();
  },
  decode(body) {
    const reader = new Reader(body);
    const hops = reader.u8();
    const id = reader.left === 0 ? undefined : reader.binary(ID_BYTES);
    reader.end();
    return { hops, id };
  },
};

const census: Codec<CensusQuestion> = {
  encode({ id, leftMs }) {
    const writer = new Writer(ID_BYTES + 2);
    writer.binary(id);
    writer.u16(leftMs);
    return writer.done();
  },
  decode(body) {
    const reader = new Reader(body);
    const question = { id: reader.binary(ID_BYTES), leftMs: reader.u16() };
    reader.end();
    return question;
  },
};

const censusAnswer: Codec<CensusAnswer> = {
  encode({ id, nodes, complete }) {
    const writer = new Writer(ID_BYTES + 5);
    writer.binary(id);
    writer.u32(nodes);
    writer.u8(complete ? 1 : 0);
    return writer.done();
  },
  decode(body) {
    const reader = new Reader(body);
    const said = { id: reader.binary(ID_BYTES), nodes: reader.u32(), complete: reader.u8() !== 0 };
    reader.end();
    return said;
  },
};

const want: Codec<readonly string[]> = {
  encode: (ids) => {
    const writer = new Writer(2 + ids.length * ID_BYTES);
    writer.u16(ids.length);
    for (const id of ids) writer.binary(id);
    return writer.done();
  },
  decode(body) {
    const reader = new Reader(body);
    const count = reader.exactly(reader.u16(), MAX_WANTED, ID_BYTES);
    return Array.from({ length: count }, () => reader.binary(ID_BYTES));
  },
};

const items: Codec<readonly Brought[]> = {
  encode(brought) {
    const size = brought.reduce((sum, { item }) => sum + 8 + item.length, 2);
    const writer = new Writer(size);
    writer.u16(brought.length);
    for (const { ageMs, item } of brought) {
      writer.u32(ageMs);
      writer.u32(item.length);
      writer.bytes(item);
    }
    return writer.done();
  },
  decode(body) {
    const reader = new Reader(body);
    const count = reader.count(reader.u16(), MAX_WANTED, 8 + ITEM_HEADER_BYTES);
    const brought: Brought[] = [];
    for (let i = 0; i < count; i++) {
      const ageMs = reader.u32();
      brought.push({ ageMs, item: reader.bytes(reader.u32()) });
    }
    reader.end();
    return brought;
  },
};

const CONTENTS = { same: 0, list: 1, fingerprint: 2, ids: 3 } as const;

/**
 * `u16 count`, then each range: where it ends, `varint` of 0 for behind all or of its time less that of the range before plus
 * 1, `u8` and so many bytes of an id; `u8` what it holds; then a fingerprint, or `u16` and ids.
 */
export function encodeRanges(ranges: readonly Range[]): Uint8Array {
  const writer = new Writer(64 + ranges.length * 40);
  writer.u16(ranges.length);
  let time = 0;
  for (const { to, content } of ranges) {
    if (to.time === LAST.time) writer.varint(0);
    else {
      writer.varint(to.time - time + 1);
      writer.u8(to.id.length);
      writer.binary(to.id);
      time = to.time;
    }
    if (typeof content === "string") writer.u8(CONTENTS[content]);
    else if ("fingerprint" in content) {
      writer.u8(CONTENTS.fingerprint);
      writer.binary(content.fingerprint);
    } else {
      writer.u8(CONTENTS.ids);
      writer.u16(content.ids.length);
      for (const id of content.ids) writer.binary(id);
    }
  }
  return writer.done();
}

export function decodeRanges(body: Uint8Array): Range[] {
  const reader = new Reader(body);
  const count = reader.count(reader.u16(), MAX_RANGES, 2);
  const ranges: Range[] = [];
  let time = 0;
  let idsLeft = 2 * MAX_IDS;
  for (let i = 0; i < count; i++) {
    const step = reader.varint();
    let to: Bound = LAST;
    if (step > 0) {
      time += step - 1;
      const length = reader.u8();
      if (length > ID_BYTES) throw new Error("a bound is longer than an id");
      to = { time, id: reader.binary(length) };
    }
    const kind = reader.u8();
    if (kind === CONTENTS.same) ranges.push({ to, content: "same" });
    else if (kind === CONTENTS.list) ranges.push({ to, content: "list" });
    else if (kind === CONTENTS.fingerprint) {
      ranges.push({ to, content: { fingerprint: reader.binary(FINGERPRINT_BYTES) } });
    } else if (kind === CONTENTS.ids) {
      const listed = reader.count(reader.u16(), idsLeft, ID_BYTES);
      idsLeft -= listed;
      const ids = Array.from({ length: listed }, () => reader.binary(ID_BYTES));
      ranges.push({ to, content: { ids } });
    } else throw new Error("a range holds what nobody knows");
  }
  reader.end();
  return ranges;
}

const ranges: Codec<readonly Range[]> = { encode: encodeRanges, decode: decodeRanges };

const define = <T>(number: number, name: string, codec: Codec<T>): MessageType<T> =>
  defineMessage({ name, opcode: OPCODE_BLOCKS.gossip + number, codec, reserved: true });

export const HelloMessage: MessageType<Hello> = define(0, "gossip hello", hello);
export const MembershipType: MessageType<Membership> = define(1, "gossip membership", membership);
export const PushMessage: MessageType<Push> = define(2, "gossip push", push);
export const AnnounceMessage: MessageType<readonly Announcement[]> = define(
  3,
  "gossip announce",
  announce,
);
export const PruneMessage: MessageType<Uint8Array> = define(4, "gossip prune", bytes);
export const GraftMessage: MessageType<Graft> = define(5, "gossip graft", graft);
export const CensusMessage: MessageType<CensusQuestion> = define(6, "gossip census", census);
export const CensusReply: MessageType<CensusAnswer> = define(
  7,
  "gossip census answer",
  censusAnswer,
);
export const ReconcileMessage: MessageType<readonly Range[]> = define(
  8,
  "gossip reconcile",
  ranges,
);
export const ReconcileReply: MessageType<readonly Range[]> = define(9, "gossip ranges", ranges);
export const WantMessage: MessageType<readonly string[]> = define(10, "gossip want", want);
export const ItemsMessage: MessageType<readonly Brought[]> = define(11, "gossip items", items);

/** The opcode of an item that says nothing (beacon.ts). It never is that of a message between peers. */
export const BEACON_OPCODE: number = OPCODE_BLOCKS.gossip + 12;

/** Whether an opcode is gossip's own. */
export function isGossip(opcode: number): boolean {
  return opcode >= OPCODE_BLOCKS.gossip && opcode < OPCODE_BLOCKS.gossip + 32;
}

/** The key that a name stands for; none for a peer that proved nothing. */
function keyOf(name: string): Uint8Array | undefined {
  const key = fromBase64(name);
  return key?.length === KEY_BYTES ? key : undefined;
}
