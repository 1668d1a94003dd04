/**
 * Links: who speaks gossip, and to whom messages go. HyParView with connections.
 *
 * Two peers say hello to each other once, with their records. In the mode `tree` the links are HyParView's active
 * view: neighbours are dialled by the addresses of their records, met in passing, and held as long as they are neighbours. In
 * the other modes every peer that speaks gossip is a link, and HyParView only finds more of them for `delegation`.
 */

import { type Network, type Peer, PeerId, randomInteger, type Timer } from "@testudo/core";
import { subnetOfAddress } from "../source.ts";
import { Alarm } from "./alarm.ts";
import type { Conduct } from "./conduct.ts";
import type { Directory } from "./directory.ts";
import { HyParView, type MembershipMessage } from "./hyparview.ts";
import { type Hello, HelloMessage, type Membership, MembershipType } from "./messages.ts";
import type { GossipOverlay } from "./overlay.ts";

export interface LinksOptions {
  readonly network: Network;
  readonly directory: Directory;
  readonly conduct: Conduct;
  /** Whether the links are HyParView's view; else all who speak gossip. */
  readonly viewed: boolean;
  readonly active: number;
  readonly passive: number;
  /** At most one neighbour of a subnet, and half of the places for those that this node picked itself. */
  readonly diverse: boolean;
  readonly shuffleMs: number;
  readonly overlay: GossipOverlay | undefined;
  /** The latest epoch known of a node. */
  readonly epochOf: (peer: PeerId) => number;
  readonly up: (peer: Peer) => void;
  readonly down: (peer: string) => void;
  readonly greeted: (peer: Peer, hello: Hello) => void;
}

/** How long whoever did not answer is no neighbour. */
const SILENT_MS = 300_000;
/** Who is alone looks for others: soon, then twice as long after each time, at most so much of a shuffle period. */
const ALONE_MS = 500;
const ALONE_PART = 4;
/** For who said hello long ago. */
const UNSAID: Hello = { epoch: 0, record: new Uint8Array(0) };

export class Links {
  readonly #options: LinksOptions;
  readonly #network: Network;
  readonly #view: HyParView;
  readonly #alarm: Alarm;
  /** Who said hello. */
  readonly #speakers = new Map<string, Peer>();
  readonly #greeted = new Set<Peer>();
  /** Who did not answer a question, and when. */
  readonly #silent = new WeakMap<Peer, number>();
  /** Said hello, and may not have our messages. */
  readonly #unworthy = new Map<Peer, Hello>();
  readonly #holds = new Map<string, () => void>();
  readonly #dials = new Set<AbortController>();
  readonly #closed = new AbortController();
  #timer: Timer | undefined;
  /** Until who is alone looks for others again. */
  #aloneMs = ALONE_MS;
  #looking = false;

  constructor(options: LinksOptions) {
    this.#options = options;
    const { network, active, passive, diverse } = options;
    this.#network = network;
    this.#view = new HyParView({
      self: network.id.text,
      random: (bound) => randomInteger(network.runtime, bound),
      active,
      passive,
      ...(diverse && {
        group: (peer: string) => this.#subnetOf(peer),
        chosenAtLeast: Math.floor(active / 2),
        // Whoever came is not one that we picked, even if it was us who asked.
        isOurs: (peer: string) => network.peers.get(peer)?.side !== "listener",
      }),
      out: {
        send: (to, message) => this.#send(to, message),
        dial: (to) => this.#dial(to),
        release: (to) => this.#release(to),
        up: (to) => this.#up(to),
        down: (to) => {
          if (options.viewed) options.down(to);
        },
        penalise: (to) => {
          const peer = network.peers.get(to);
          if (peer !== undefined) options.conduct.blame(peer, "more than its budget");
        },
      },
    });
    this.#alarm = new Alarm(network.runtime, (now) => this.#view.poll(now));
    this.#schedule(this.#wait());
  }

  /** Peers that speak gossip. */
  get speakers(): ReadonlyMap<string, Peer> {
    return this.#speakers;
  }

  get active(): ReadonlySet<string> {
    return this.#view.active;
  }

  get passive(): ReadonlySet<string> {
    return this.#view.passive;
  }

  /** Somebody who speaks gossip, and answers, if there is one; all equally likely. */
  any(): Peer | undefined {
    const all = [...this.#speakers.values()].filter(({ worthy }) => worthy);
    const answering = all.filter((peer) => !this.#isSilent(peer));
    const peers = answering.length === 0 ? all : answering;
    return peers[randomInteger(this.#network.runtime, Math.max(1, peers.length))];
  }

  added(peer: Peer): void {
    // Who is here in passing may have come for something else: he says hello first.
    if (!peer.passing && !this.#options.conduct.isBanned(peer.id.text)) this.#greet(peer);
  }

  left(peer: Peer): void {
    const id = peer.id.text;
    this.#greeted.delete(peer);
    this.#unworthy.delete(peer);
    this.#holds.delete(id);
    if (this.#speakers.delete(id) && !this.#options.viewed) this.#options.down(id);
    this.#view.disconnected(id, this.#network.runtime.now());
    this.#look();
  }

  hello(peer: Peer, hello: Hello): void {
    this.#greet(peer);
    // Broadcasts do not go to it. That may change: it is looked at again with the next shuffle.
    if (!peer.worthy) {
      this.#unworthy.set(peer, hello);
      return;
    }
    this.#unworthy.delete(peer);
    if (!this.#learn(peer, hello.record.length > 0 ? [hello.record] : [])) return;
    const id = peer.id.text;
    if (peer.side === "dialer") this.#options.directory.reached(peer);
    const known = this.#speakers.has(id);
    this.#speakers.set(id, peer);
    this.#options.greeted(peer, hello);
    if (known) return;
    if (!this.#options.viewed) this.#options.up(peer);
    if (this.#view.active.has(id)) return;
    const now = this.#network.runtime.now();
    // Whom we dialled to be with, or the first whom we meet; the others are an address book.
    const wanted = peer.side === "dialer" && !peer.passing;
    if (wanted || this.#view.active.size === 0) this.#view.join(id, now);
    else this.#view.remember([id], now);
    this.#look();
  }

  membership(peer: Peer, { message, records }: Membership): void {
    if (!this.#learn(peer, records)) return;
    const asks = message.kind === "join" || message.kind === "neighbor";
    if (asks && this.#isSilent(peer)) {
      this.#send(peer.id.text, { kind: "neighbor-reply", accepted: false });
      return;
    }
    this.#view.receive(peer.id.text, message, this.#network.runtime.now());
    this.#look();
  }

  /** Says goodbye to the neighbours. Holds no timer and no peer afterwards. */
  close(): void {
    const reason = new Error("gossip is closing");
    this.#closed.abort(reason);
    for (const dial of this.#dials) dial.abort(reason);
    this.#view.leave();
    this.#timer?.cancel();
    this.#alarm.stop();
    for (const release of this.#holds.values()) release();
    this.#holds.clear();
    this.#speakers.clear();
    this.#unworthy.clear();
    this.#greeted.clear();
  }

  /** Who takes what it gets, and answers no question, is not one to depend on. */
  answered(peer: Peer, did: boolean): void {
    if (did) {
      this.#silent.delete(peer);
      return;
    }
    const now = this.#network.runtime.now();
    this.#silent.set(peer, now);
    if (!this.#options.viewed) return;
    this.#view.dismiss(peer.id.text, now);
    this.#look();
  }

  #learn(peer: Peer, records: readonly Uint8Array[]): boolean {
    const { directory, conduct } = this.#options;
    if (directory.learn(peer, records)) return true;
    conduct.blame(peer, "more than its budget");
    return false;
  }

  #isSilent(peer: Peer): boolean {
    const since = this.#silent.get(peer);
    return since !== undefined && this.#network.runtime.now() - since < SILENT_MS;
  }

  #greet(peer: Peer): void {
    if (this.#greeted.has(peer) || !peer.connected) return;
    this.#greeted.add(peer);
    const { epochOf, directory } = this.#options;
    const record = this.#network.addresses.length === 0 ? new Uint8Array(0) : directory.own;
    const epoch = peer.id.proved ? epochOf(peer.id) : 0;
    ignore(peer.send(HelloMessage.of({ epoch, record })));
  }

  #send(to: string, message: MembershipMessage): void {
    const peer = this.#network.peers.get(to);
    if (peer === undefined) return;
    this.#greet(peer);
    const records = namedIn(message)
      .map((name) =>
        name === this.#network.id.text && this.#network.addresses.length === 0
          ? undefined
          : this.#options.directory.recordOf(name),
      )
      .filter((record) => record !== undefined);
    ignore(peer.send(MembershipType.of({ message, records })));
  }

  #dial(to: string): void {
    const now = this.#network.runtime.now();
    const { directory, conduct } = this.#options;
    const there = this.#network.peers.get(to);
    if (there !== undefined) {
      if (this.#isSilent(there) || !there.worthy) this.#view.unreachable(to, now);
      else this.#view.connected(to, now);
      return;
    }
    if (conduct.isBanned(to) || this.#closed.signal.aborted) {
      this.#view.unreachable(to, now);
      return;
    }
    const target = directory.addressOf(to) ?? idOf(to);
    if (target === undefined) this.#view.unreachable(to, now);
    else void this.#reach(to, target);
  }

  async #reach(to: string, target: string | PeerId): Promise<void> {
    // A signal of its own for each: many listeners of one would be taken for a leak.
    const dial = new AbortController();
    this.#dials.add(dial);
    let peer: Peer | undefined;
    try {
      peer = await this.#network.add(target, { passing: true, signal: dial.signal });
    } catch (error) {
      this.#network.logger.debug({ peer: to, error }, "a neighbour of gossip was not reached");
    } finally {
      this.#dials.delete(dial);
    }
    if (this.#closed.signal.aborted) return;
    const now = this.#network.runtime.now();
    if (peer?.connected === true && peer.worthy && peer.id.text === to) {
      this.#hold(peer);
      this.#view.connected(to, now);
    } else this.#view.unreachable(to, now);
    this.#look();
  }

  #hold(peer: Peer): void {
    const id = peer.id.text;
    if (!this.#holds.has(id)) this.#holds.set(id, peer.hold());
  }

  #release(to: string): void {
    this.#holds.get(to)?.();
    this.#holds.delete(to);
  }

  #up(to: string): void {
    const peer = this.#network.peers.get(to);
    if (peer === undefined) return;
    this.#hold(peer);
    this.#greet(peer);
    if (this.#options.viewed) this.#options.up(peer);
  }

  #look(): void {
    this.#alarm.want(this.#view.poll(this.#network.runtime.now()));
  }

  /** After `everyMs` on average: not all nodes of a network in one moment. */
  #schedule(everyMs: number): void {
    const { runtime } = this.#network;
    const inMs = everyMs / 2 + randomInteger(runtime, Math.floor(everyMs) + 1);
    this.#timer = runtime.setTimer(() => {
      this.#tend();
      this.#schedule(this.#wait());
    }, inMs);
  }

  /** Places for those whom this node picks itself, and has not picked yet. */
  get #lacking(): number {
    const { overlay, viewed, diverse, active } = this.#options;
    const picks = viewed && diverse && overlay?.sample !== undefined;
    return picks ? Math.max(0, Math.floor(active / 2) - this.#view.chosen.size) : 0;
  }

  #wait(): number {
    const { shuffleMs } = this.#options;
    if (this.#view.active.size > 0 && this.#lacking === 0) {
      this.#aloneMs = ALONE_MS;
      return shuffleMs;
    }
    const wait = Math.min(this.#aloneMs, shuffleMs / ALONE_PART);
    this.#aloneMs = 2 * wait;
    return wait;
  }

  #tend(): void {
    const now = this.#network.runtime.now();
    for (const [peer, hello] of this.#unworthy) if (peer.worthy) this.hello(peer, hello);
    for (const peer of this.#speakers.values()) if (!peer.worthy) this.#part(peer, now);
    this.#view.shuffle(now);
    if (this.#view.active.size === 0) {
      const contact = this.any();
      if (contact !== undefined) this.#view.join(contact.id.text, now);
      else void this.#search();
    }
    // Strangers come by themselves, and name their friends: whom to pick, the overlay knows better.
    const picked = this.#options.overlay?.sample?.(this.#lacking) ?? [];
    for (const { id } of picked) this.#view.join(id.text, now);
    this.#look();
  }

  /** The application allows it no more: no link, until it does again. */
  #part(peer: Peer, now: number): void {
    const id = peer.id.text;
    this.#speakers.delete(id);
    this.#unworthy.set(peer, UNSAID);
    if (!this.#options.viewed) this.#options.down(id);
    this.#view.dismiss(id, now);
  }

  /** Where a node is counted: by its connection, and before there is one, by its record. */
  #subnetOf(name: string): string | undefined {
    const known = this.#network.peers.get(name)?.address;
    const address = known ?? this.#options.directory.addressOf(name);
    return address === undefined ? undefined : subnetOfAddress(address);
  }

  /** Nobody left: random nodes of the overlay. */
  async #search(): Promise<void> {
    const { overlay } = this.#options;
    if (overlay === undefined || this.#looking) return;
    this.#looking = true;
    const { signal } = this.#closed;
    try {
      const found = await overlay.lookup(this.#network.runtime.randomBytes(32), { signal });
      for (const { id } of found.slice(0, this.#options.active)) {
        if (!signal.aborted) this.#view.join(id.text, this.#network.runtime.now());
      }
      this.#look();
    } catch (error) {
      this.#network.logger.debug({ error }, "the overlay found nobody for gossip");
    } finally {
      this.#looking = false;
    }
  }
}

/** Whoever is gone has been told: `nodeDeleted` follows. */
function ignore(sent: Promise<void>): void {
  sent.catch(() => {});
}

function idOf(text: string): PeerId | undefined {
  try {
    return PeerId.from(text);
  } catch {
    return undefined;
  }
}

function namedIn(message: MembershipMessage): readonly string[] {
  if (message.kind === "forward-join") return [message.peer];
  if (message.kind === "shuffle" || message.kind === "shuffle-reply")
    return [message.origin, ...message.peers];
  return [];
}
