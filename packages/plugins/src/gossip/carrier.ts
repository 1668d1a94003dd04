/**
 * Carrier: takes items in, hands on what is new, and keeps it for those who missed it.
 *
 * In this order, so that an item costs least where it is worth least: the peer's budget, the marks of its origin, the
 * peer's budget of new origins, and only then the signature. What is new goes on along the links and then to the plugins of this node.
 */

import {
  APPLICATION_START,
  type Delivery,
  type DeliveryReport,
  type Message,
  type Network,
  type Peer,
  type PeerId,
  type Reach,
} from "@testudo/core";
import type { Census } from "./census.ts";
import type { Conduct } from "./conduct.ts";
import { BEACON_OPCODE, type Brought, PushMessage } from "./messages.ts";
import { type Author, binary, type Item, readItem } from "./origin.ts";
import type { Seen } from "./seen.ts";
import type { Spreading } from "./spreading.ts";
import type { Window } from "./window.ts";

/** What travels through a machine: the item, and whether it was brought late. */
export interface Load {
  readonly item: Item;
  readonly late: boolean;
  readonly ageMs: number;
}

export interface CarrierOptions {
  readonly network: Network;
  readonly author: Author;
  readonly seen: Seen;
  readonly window: Window;
  readonly conduct: Conduct;
  readonly census: Census;
  readonly censusMs: number;
  /** Hands a message to this node's plugins. */
  readonly deliver: (message: Message, origin: PeerId, via: Peer) => void;
  /** Something new travels, ours or another's. */
  readonly heard: (item: Item) => void;
  /** Something was asked of a machine: it may want to be called. */
  readonly stirred: () => void;
}

/** Pushes of one item that go to several peers in one turn of a machine are encoded once. */
interface Pushing {
  readonly load: Load;
  readonly hops: number;
  readonly peers: Peer[];
}

export class Carrier {
  spreading: Spreading<Load> | undefined;
  readonly #options: CarrierOptions;
  readonly #ownKey: string;
  #pushing: Pushing | undefined;
  /** Of what is being published just now. */
  #deliveries: Delivery[] | undefined;
  /** While a duplicate is shown to the machine, which may have forgotten it. */
  #duplicate: string | undefined;

  constructor(options: CarrierOptions) {
    this.#options = options;
    const { bytes } = options.network.id;
    this.#ownKey = binary(bytes, 0, bytes.length);
  }

  /** For the machines: what they need not remember themselves. */
  readonly isSeen = (id: string): boolean => id === this.#duplicate || this.#options.window.has(id);

  /** For the machines' `out`. */
  readonly push = (to: string, _id: string, load: Load, hops: number): void => {
    const peer = this.#options.network.peers.get(to);
    if (peer?.worthy !== true) return;
    const pushing = this.#pushing;
    if (pushing !== undefined && pushing.load === load && pushing.hops === hops) {
      pushing.peers.push(peer);
      return;
    }
    this.flush();
    this.#pushing = { load, hops, peers: [peer] };
  };

  /** For the machines' `out`. */
  readonly deliver = (_id: string, { item, ageMs }: Load, from: string): void => {
    this.flush();
    const { network, window, heard } = this.#options;
    heard(item);
    if (item.opcode === BEACON_OPCODE) return;
    window.add(item, network.runtime.now(), ageMs);
    const via = network.peers.get(from);
    if (via === undefined) return;
    this.#options.deliver({ opcode: item.opcode, body: item.body }, item.origin, via);
  };

  /** Sends what was pushed. To be called when a machine returns. */
  flush(): void {
    const pushing = this.#pushing;
    if (pushing === undefined) return;
    this.#pushing = undefined;
    const { load, hops, peers } = pushing;
    const message = PushMessage.of({ hops: load.late ? 0 : hops, item: load.item.bytes });
    const delivery = this.#options.network.broadcast(message, ...peers);
    if (load.item.originKey === this.#ownKey) this.#deliveries?.push(delivery);
  }

  /** Says something. */
  publish(message: Message): Delivery {
    const { network, author, window, seen } = this.#options;
    const now = network.runtime.now();
    const item = author.next(message, now);
    seen.take(item, network.runtime.wallClock());
    const deliveries: Delivery[] = [];
    this.#deliveries = deliveries;
    this.spreading?.broadcast(item.id, { item, late: false, ageMs: 0 }, now);
    this.flush();
    // What is grafted of it later is nobody's news.
    this.#deliveries = undefined;
    this.#options.heard(item);
    // Behind it: to the machine what the window has is a duplicate.
    if (item.opcode !== BEACON_OPCODE) window.add(item, now);
    this.#options.stirred();
    return new Publication(deliveries, () => this.#count(item.id));
  }

  /** A push from a peer. */
  receive(peer: Peer, bytes: Uint8Array, hops: number): void {
    if (this.#options.conduct.mayBring(peer, 1, bytes.length)) {
      const item = this.#read(peer, bytes);
      if (item !== undefined) this.#take(peer, item, hops, 0);
    }
    this.#options.stirred();
  }

  /** Items that a peer brings late: as many as its budget lets through, those of one origin in its order. */
  receiveLate(peer: Peer, brought: readonly Brought[]): void {
    const { conduct, stirred } = this.#options;
    const late: { readonly item: Item; readonly ageMs: number }[] = [];
    for (const { item: bytes, ageMs } of brought) {
      const item = this.#read(peer, bytes);
      if (item !== undefined) late.push({ item, ageMs });
    }
    // Else what is missing in between would be more than is remembered (seen.ts).
    late.sort(({ item: a }, { item: b }) => a.epoch - b.epoch || a.seq - b.seq);
    for (const { item, ageMs } of late) {
      if (!conduct.mayBring(peer, 1, item.bytes.length, true)) break;
      this.#take(peer, item, 0, ageMs);
    }
    stirred();
  }

  #read(peer: Peer, bytes: Uint8Array): Item | undefined {
    const item = peer.connected ? readTravelling(bytes) : undefined;
    if (item === undefined && peer.connected) this.#options.conduct.blame(peer, "a broken body");
    return item;
  }

  #take(peer: Peer, item: Item, hops: number, ageMs: number): void {
    const { network, seen, conduct } = this.#options;
    if (!peer.connected) return;
    const { runtime, networkId } = network;
    const wallClock = runtime.wallClock();
    const own = item.originKey === this.#ownKey;
    const verdict = own ? "seen" : seen.judge(item, wallClock);
    if (verdict === "seen") {
      this.spreading?.refuse?.(item.id);
      if (hops > 0) this.#again(peer, item, hops);
      else this.#keep(peer, item, ageMs);
      return;
    }
    const taken = verdict === "new" && conduct.mayIntroduce(peer, seen.price(item, wallClock));
    // Whom we asked for it has kept his word, if it is what he was asked for.
    if (!taken && this.spreading?.awaits?.(item.id) !== true) return;
    if (!item.isAuthentic(networkId)) {
      conduct.blame(peer, "a bad signature");
      return;
    }
    if (!taken) {
      this.spreading?.refuse?.(item.id);
      return;
    }
    seen.take(item, wallClock);
    const load = { item: item.copy(), late: hops === 0, ageMs };
    this.spreading?.receivePush(peer.id.text, item.id, load, Math.max(1, hops), runtime.now());
    this.flush();
  }

  /**
   * Taken in an earlier life, of which the marks are here and the window is not: kept again for those who missed it,
   * and not wanted from everybody again. What its origin said long ago nobody needs, whoever digs it out.
   */
  #keep(peer: Peer, item: Item, ageMs: number): void {
    const { network, window, conduct } = this.#options;
    const { runtime, networkId } = network;
    if (window.has(item.id) || item.opcode === BEACON_OPCODE) return;
    if (item.time < runtime.wallClock() - window.keepMs) return;
    if (item.isAuthentic(networkId)) window.add(item.copy(), runtime.now(), ageMs);
    else conduct.blame(peer, "a bad signature");
  }

  /** A duplicate over the tree says that there is a link too many; what was brought late says nothing. */
  #again(peer: Peer, item: Item, hops: number): void {
    this.#duplicate = item.id;
    const now = this.#options.network.runtime.now();
    this.spreading?.receivePush(peer.id.text, item.id, { item, late: false, ageMs: 0 }, hops, now);
    this.#duplicate = undefined;
    this.flush();
  }

  #count(id: string): Promise<Reach> {
    const { census, network, censusMs, stirred } = this.#options;
    const links = this.spreading?.eager ?? [];
    return new Promise((resolve) => {
      census.begin(id, links, censusMs, network.runtime.now(), (nodes, complete) =>
        resolve({ nodes, complete }),
      );
      stirred();
    });
  }
}

/** What nobody here sends is not carried: gossip's own beacon is empty, and other types of the protocol go to neighbours. */
function readTravelling(bytes: Uint8Array): Item | undefined {
  try {
    const item = readItem(bytes);
    const beacon = item.opcode === BEACON_OPCODE && item.body.length === 0;
    return beacon || item.opcode >= APPLICATION_START ? item : undefined;
  } catch {
    return undefined;
  }
}

/** What was said to a network: whom it was pushed to, and, when somebody asks, how far it went. */
class Publication implements Delivery {
  readonly #deliveries: readonly Delivery[];
  readonly #count: () => Promise<Reach>;
  #reach: Promise<Reach> | undefined;

  constructor(deliveries: readonly Delivery[], count: () => Promise<Reach>) {
    this.#deliveries = deliveries;
    this.#count = count;
  }

  get queued(): number {
    return this.#deliveries.reduce((sum, { queued }) => sum + queued, 0);
  }

  async report(): Promise<DeliveryReport> {
    const reports = await Promise.all(this.#deliveries.map((delivery) => delivery.report()));
    this.#reach ??= this.#count();
    return {
      sent: reports.flatMap(({ sent }) => sent),
      failed: reports.flatMap(({ failed }) => failed),
      reach: await this.#reach,
    };
  }
}
