/**
 * Sybils: nodes of one mind, with the plugin `gossip` and a hand between it and the network.
 *
 * All take part in the membership as everybody does, so that they get into the views. What a band does besides, once it
 * is `on`, is its deed:
 *   behave    nothing
 *   swallow   takes what is pushed, hands nothing on, answers no question
 *   pretend   the same, but answers questions, as one that has nothing
 *   delay     hands on late
 *   promise   announces what it gets, and has nothing for whoever asks
 *   garbage   what is not signed, what breaks its form, and ids of nothing, to all its peers every second
 * Where a band has victims, its sybils ask them to be neighbours again and again, with urgency.
 */

import { createHash } from "node:crypto";
import { OPCODE_BLOCKS } from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";

const { gossip: BLOCK } = OPCODE_BLOCKS;
const [MEMBERSHIP, PUSH, ANNOUNCE] = [BLOCK + 1, BLOCK + 2, BLOCK + 3];
/** Announces, grafts, questions of a census, of a reconciliation, and items: without them nothing travels. */
const CARRYING = new Set([2, 3, 4, 5, 6, 8, 10, 11].map((number) => BLOCK + number));
/** Of a reconciliation. */
const QUESTIONS = new Set([BLOCK + 8, BLOCK + 10]);
const DELAY_MS = 4_000;
const PRESS_MS = 2_000;
const GARBAGE_MS = 1_000;
const JOIN = { opcode: MEMBERSHIP, body: Uint8Array.of(0, 0, 0, 0) };
const ITEM_BYTES = 120;
const ID_BYTES = 16;
const ANNOUNCED = 256;

export class Sybil {
  node;
  #band;
  #inner = gossip({ reconcileMs: 86_400_000 });

  constructor(band, name) {
    this.#band = band;
    this.node = band.world.add({ name, plugins: [this.#plugin()] });
    this.#again();
  }

  #plugin() {
    const inner = this.#inner;
    return {
      name: "sybil",
      startup: ({ network }) =>
        inner.startup({ network: this.#between(network), deliver: () => {} }),
      nodeAdded: (context) => inner.nodeAdded(context),
      nodeDeleted: (context) => inner.nodeDeleted(context),
      close: () => inner.close(),
      newMessage: (context) => {
        if (!this.#takes(context)) return;
        inner.newMessage(context);
      },
    };
  }

  #does(deed) {
    return this.#band.on && this.#band.deed === deed;
  }

  #takes({ message, peer, network }) {
    const carries = CARRYING.has(message.opcode);
    if (this.#does("promise") && message.opcode === PUSH) {
      const body = new Uint8Array(2 + ID_BYTES + 1);
      body.set([1, 0]);
      body.set(idOf(message.body.subarray(1)), 2);
      for (const other of network.peers.values()) {
        if (other !== peer) other.send({ opcode: ANNOUNCE, body }).catch(() => {});
      }
    }
    const asks = QUESTIONS.has(message.opcode);
    if (this.#does("pretend")) return !carries || asks;
    return !(carries && (this.#does("swallow") || this.#does("promise")));
  }

  /** The network as gossip sees it: pushes go through our hands. */
  #between(network) {
    const broadcast = (message, ...peers) => {
      if (this.#does("delay") && message.opcode === PUSH) {
        const body = message.body.slice();
        const later = () => network.broadcast({ ...message, body }, ...peers.filter(isThere));
        network.runtime.setTimer(later, DELAY_MS);
        return { queued: peers.length, report: async () => ({ sent: peers, failed: [] }) };
      }
      return network.broadcast(message, ...peers);
    };
    return new Proxy(network, {
      get(target, key) {
        if (key === "broadcast") return broadcast;
        const value = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** What it does from time to time. */
  #again() {
    const { network } = this.node;
    const { victims } = this.#band;
    const press = victims.length > 0;
    network.runtime.setTimer(
      () => {
        if (press) {
          for (const { node } of victims) {
            network.peers
              .get(node.network.id.text)
              ?.send(JOIN)
              .catch(() => {});
          }
        } else if (this.#does("garbage")) {
          for (const peer of network.peers.values()) this.#litter(peer, network.runtime);
        }
        this.#again();
      },
      press ? PRESS_MS : GARBAGE_MS,
    );
  }

  #litter(peer, runtime) {
    const item = runtime.randomBytes(1 + ITEM_BYTES + 64);
    // A time that is none too late, and no sooner than its epoch.
    item.fill(0, 1 + 96, 1 + 116);
    const now = BigInt(Math.floor(runtime.wallClock()));
    const view = new DataView(item.buffer, item.byteOffset);
    view.setBigUint64(1 + 96, now, true);
    view.setUint32(1 + 104, 1, true);
    view.setBigUint64(1 + 108, now, true);
    const ids = new Uint8Array(2 + ANNOUNCED * (ID_BYTES + 1));
    ids.set(runtime.randomBytes(ids.length - 2), 2);
    new DataView(ids.buffer).setUint16(0, ANNOUNCED, true);
    for (const message of [
      { opcode: PUSH, body: item },
      { opcode: ANNOUNCE, body: ids },
    ]) {
      peer.send(message).catch(() => {});
    }
  }
}

function isThere(peer) {
  return peer.connected === true;
}

/** As gossip makes it of an item: of origin, epoch and seq. */
function idOf(item) {
  return createHash("sha256").update(item.subarray(64, 108)).digest().subarray(0, ID_BYTES);
}
