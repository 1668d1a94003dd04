/**
 * Gossip for scenarios: real networks with the plugin `gossip`, who heard what, and what it cost on the wire.
 */

import { defineMessage, OPCODE_BLOCKS } from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";

export const LINK = { latencyMs: 30, jitterMs: 20 };

/** A number, and what fills it up to its size. */
const News = defineMessage({
  name: "news",
  opcode: 1_000,
  reach: "network",
  codec: {
    encode({ number, bytes }) {
      const body = new Uint8Array(Math.max(4, bytes));
      new DataView(body.buffer).setUint32(0, number, true);
      return body;
    },
    decode: (body) => ({
      number: new DataView(body.buffer, body.byteOffset).getUint32(0, true),
      bytes: body.length,
    }),
  },
});

/** Gossip's opcodes, as docs/protocol.md names them. */
const KINDS = [
  "hello",
  "membership",
  "push",
  "announce",
  "prune",
  "graft",
  "census",
  "census-reply",
  "reconcile",
  "reconcile-reply",
  "want",
  "items",
];
const LENGTH_BYTES = 4;

/** Bytes of gossip's messages by kind, headers of frames included: all that nodes with `stacks` write. */
export class Tally {
  bytes = new Map(KINDS.map((kind) => [kind, 0]));

  /** Since the last call. */
  take() {
    const taken = this.bytes;
    this.bytes = new Map(KINDS.map((kind) => [kind, 0]));
    return taken;
  }

  /** For `world.add`: the world's stack, counted. */
  stacks = (sim, vouch) => [[sim, this.#counted(vouch)]];

  #counted(vouch) {
    return {
      ...vouch,
      handshake: async (wire, options) => {
        const session = await vouch.handshake(wire, options);
        const cutter = new Cutter((opcode, length) => this.#count(opcode, length));
        return {
          remoteKey: session.remoteKey,
          boxBytes: session.boxBytes,
          ended: session.ended,
          exportKey: () => session.exportKey(),
          open: (chunk) => session.open(chunk),
          seal(plain) {
            const sealed = session.seal(plain);
            for (const piece of sealed) cutter.push(piece);
            return sealed;
          },
        };
      },
    };
  }

  #count(opcode, length) {
    const kind = KINDS[opcode - OPCODE_BLOCKS.gossip];
    if (kind !== undefined) this.bytes.set(kind, this.bytes.get(kind) + length);
  }
}

/** Finds the frames in what is written. */
class Cutter {
  #onFrame;
  #head = new Uint8Array(2 * LENGTH_BYTES);
  #filled = 0;
  /** Bytes of the frame under way that are still to come. */
  #left = 0;

  constructor(onFrame) {
    this.#onFrame = onFrame;
  }

  push(piece) {
    for (let at = 0; at < piece.length; ) {
      if (this.#left > 0) {
        const passed = Math.min(this.#left, piece.length - at);
        this.#left -= passed;
        at += passed;
        continue;
      }
      this.#head[this.#filled++] = piece[at++];
      if (this.#filled < this.#head.length) continue;
      this.#filled = 0;
      const view = new DataView(this.#head.buffer);
      const length = view.getUint32(0, true);
      this.#left = length - LENGTH_BYTES;
      this.#onFrame(view.getUint32(LENGTH_BYTES, true), LENGTH_BYTES + length);
    }
  }
}

/** Who heard which number, when, and how often. */
export class Witness {
  /** By number: when it was said, and by node when it was heard first. */
  said = new Map();
  copies = 0;
  strange = 0;
  #heard = new Map();
  #world;

  constructor(world) {
    this.#world = world;
  }

  /** `node` says the next number. */
  say(member, bytes = 128) {
    const number = this.said.size + 1;
    this.said.set(number, { at: this.#world.now, by: member.name });
    const delivery = member.node.network.broadcast(News.of({ number, bytes }));
    return { number, delivery };
  }

  heardBy(name) {
    let heard = this.#heard.get(name);
    if (heard === undefined) {
      heard = new Map();
      this.#heard.set(name, heard);
    }
    return heard;
  }

  plugin(name) {
    const heard = this.heardBy(name);
    return {
      name: "witness",
      newMessage: ({ message }) => {
        const news = message.as(News);
        if (news === undefined) return;
        if (!this.said.has(news.number)) this.strange++;
        else if (heard.has(news.number)) this.copies++;
        else heard.set(news.number, this.#world.now);
      },
    };
  }

  /** How late each of `numbers` came to each of `members` that did not say it; `undefined` for never. */
  delays(numbers, members) {
    const delays = [];
    for (const number of numbers) {
      const { at, by } = this.said.get(number);
      for (const { name } of members) {
        if (name === by) continue;
        const heard = this.heardBy(name).get(number);
        delays.push(heard === undefined ? undefined : heard - at);
      }
    }
    return delays;
  }

  /** The part of `numbers` that `members` have. */
  share(numbers, members) {
    let [have, all] = [0, 0];
    for (const { name } of members) {
      const heard = this.heardBy(name);
      for (const number of numbers) {
        if (this.said.get(number).by === name) continue;
        all++;
        if (heard.has(number)) have++;
      }
    }
    return all === 0 ? 1 : have / all;
  }
}

/** A node with gossip; `more`: what else `world.add` takes. */
export function member(world, witness, { name, options = {}, more = {} }) {
  const plugin = gossip(options);
  const node = world.add({
    name,
    ...more,
    plugins: [plugin, witness.plugin(name), ...(more.plugins ?? [])],
  });
  return { name, node, gossip: plugin };
}

/** `count` members that join one after another through one that is there already, and settle. */
export async function gather(world, witness, { count, options, more = () => ({}), progress }) {
  const members = [];
  while (members.length < count) {
    const known = [...members];
    const wave = Math.min(Math.max(known.length, 1), 20, count - members.length);
    const dials = [];
    for (let i = 0; i < wave; i++) {
      const name = `n${members.length}`;
      const one = member(world, witness, { name, options, more: more(members.length) });
      members.push(one);
      if (known.length > 0) dials.push(one.node.network.add(world.random.pick(known).node.address));
    }
    await world.during(Promise.all(dials));
    await world.run(2_000);
    progress(members.length, count, `${members.length} nodes joined`);
  }
  return members;
}

/** Virtual time, with news of it. */
export async function pass(world, ms, progress, what) {
  for (let past = 0; past < ms; past += 5_000) {
    await world.run(Math.min(5_000, ms - past));
    progress(Math.min(past + 5_000, ms), ms, what);
  }
}

/** The value below which the part `p` of the sorted numbers lies. */
export function percentile(sorted, p) {
  return sorted[Math.min(Math.ceil(p * sorted.length), sorted.length) - 1] ?? Number.NaN;
}
