/**
 * Session: gossip on one network, from the plugin's startup to its close. Makes the parts and joins them.
 */

import type {
  Delivery,
  Message,
  MessageContext,
  Network,
  Peer,
  PeerId,
  SignedMessage,
} from "@testudo/core";
import { EMPTY, randomInteger } from "@testudo/core";
import { nodeIdOf } from "../kademlia/node-id.ts";
import { Alarm } from "./alarm.ts";
import { Beacon } from "./beacon.ts";
import { Carrier, type Load } from "./carrier.ts";
import { Census } from "./census.ts";
import { Conduct, type ConductOptions } from "./conduct.ts";
import { Delegation } from "./delegation.ts";
import { Directory } from "./directory.ts";
import { Flood } from "./flood.ts";
import { Links } from "./links.ts";
import {
  AnnounceMessage,
  BEACON_OPCODE,
  CensusMessage,
  CensusReply,
  GraftMessage,
  HelloMessage,
  ItemsMessage,
  isGossip,
  MembershipType,
  PruneMessage,
  PushMessage,
  ReconcileMessage,
  ReconcileReply,
  WantMessage,
} from "./messages.ts";
import { Author, binary, ITEM_HEADER_BYTES } from "./origin.ts";
import type { GossipOverlay } from "./overlay.ts";
import { type Misdeed, Plumtree } from "./plumtree.ts";
import { answer } from "./reconcile.ts";
import { Seen } from "./seen.ts";
import type { Spreading } from "./spreading.ts";
import { Sync } from "./sync.ts";
import { Window } from "./window.ts";

export interface SessionOptions {
  /** Default `tree`. */
  mode: "tree" | "flood" | "delegation";
  /** Finds nodes when no peer knows any. Default: none; members are found through peers alone. */
  overlay: GossipOverlay | undefined;
  /** Neighbours in the tree. Default 5. */
  active: number;
  /** Names kept beside them. Default 30. */
  passive: number;
  /** At most one neighbour of a subnet, and half of the places for those that this node picked. Default true. */
  diverse: boolean;
  /** Links that push to this node: 2 for a network where some stay silent, at twice the bytes. Default 1. */
  eagerLinks: number;
  /** Delegates of one bucket, in the mode `delegation`. Default 2. */
  copies: number;
  /** How long an announced message may take to come by itself. Default 1,000. */
  graftAfterMs: number;
  /** How long one that was asked for it may take. Default 500. */
  graftTimeoutMs: number;
  /** How long announcements are collected. Default 200. */
  announceEveryMs: number;
  /** How often links that are too many are given up, at most. Default 1,000. */
  pruneEveryMs: number;
  /** How often views are mixed. Default 60,000. */
  shuffleMs: number;
  /** How often this node reconciles with another, on average. Default 30,000. */
  reconcileMs: number;
  /** How long `report()` waits for the network's answer. Default 2,000. */
  censusMs: number;
  /** How long messages are kept for those who missed them. Default 20 minutes. */
  windowMs: number;
  /** How many of them. Default 65,536. */
  maxItems: number;
  /** Their bytes. Default 32 MiB. */
  maxBytes: number;
  /** Origins whose marks are kept. Default 16,384. */
  maxOrigins: number;
  /** How far two clocks may be apart. Default 49 hours. */
  maxSkewMs: number;
  /** What one peer may do in a second. */
  conduct: ConductOptions | undefined;
  /** Must grow from life to life of one identity. Default: the wall clock at startup, unix ms. */
  epoch: number | undefined;
  /** What `save()` gave in this node's last life. Default: none. */
  saved: Uint8Array | undefined;
  /** Where others reach this node. Default: `network.addresses`. */
  addresses: (() => readonly string[]) | undefined;
}

const BLAMES = {
  promise: "promises that are not kept",
  flood: "more than its budget",
  unwanted: "pushing what is unwanted",
} as const satisfies Record<Misdeed, string>;
const QUESTION_MS = 5_000;

type Deliver = (message: Message, origin: PeerId, via: Peer) => void;

export class Session {
  readonly #network: Network;
  readonly #options: SessionOptions;
  readonly #seen: Seen;
  readonly #author: Author;
  readonly #window: Window;
  readonly #conduct: Conduct;
  readonly #census: Census;
  readonly #carrier: Carrier;
  readonly #spreading: Spreading<Load>;
  readonly #links: Links;
  readonly #sync: Sync;
  readonly #ownKey: string;
  readonly #beacon: Beacon;
  readonly #beaconAlarm: Alarm;
  readonly #alarm: Alarm;
  readonly #censusAlarm: Alarm;

  /** `seen`: marks that somebody keeps. Default: those that `options.saved` says. */
  constructor(
    network: Network,
    options: SessionOptions,
    deliver: Deliver,
    seen: Seen = new Seen(options),
  ) {
    const { runtime } = network;
    this.#network = network;
    this.#options = options;
    this.#seen = seen;
    const { identity, networkId } = network;
    this.#ownKey = binary(identity.publicKey, 0, identity.publicKey.length);
    const epoch = this.#firstEpoch();
    this.#author = new Author({ identity, networkId, epoch, now: runtime.now() });
    this.#window = new Window({ ...options, keepMs: options.windowMs });
    this.#conduct = new Conduct(network, options.conduct);
    this.#census = new Census({
      out: {
        ask: (to, id, leftMs) => this.#send(to, CensusMessage.of({ id, leftMs })),
        answer: (to, id, nodes, complete) =>
          this.#send(to, CensusReply.of({ id, nodes, complete })),
      },
    });
    this.#beacon = new Beacon(this.#ownKey);
    this.#beaconAlarm = new Alarm(runtime, (now) => {
      if (this.#beacon.poll(now) && this.#spreading.eager.size > 0)
        this.#carrier.publish({ opcode: BEACON_OPCODE, body: EMPTY });
      return this.#beacon.deadline;
    });
    this.#alarm = new Alarm(runtime, (now) => {
      const next = this.#spreading.poll(now);
      this.#carrier.flush();
      return next;
    });
    this.#censusAlarm = new Alarm(runtime, (now) => this.#census.poll(now));
    this.#carrier = new Carrier({
      network,
      author: this.#author,
      seen: this.#seen,
      window: this.#window,
      conduct: this.#conduct,
      census: this.#census,
      censusMs: options.censusMs,
      deliver,
      heard: ({ originKey, opcode }) => {
        const ours = originKey === this.#ownKey;
        if (options.mode !== "tree" || (ours && opcode === BEACON_OPCODE)) return;
        this.#beacon.heard(originKey, runtime.now());
        this.#beaconAlarm.want(this.#beacon.deadline);
      },
      stirred: () => this.#stirred(),
    });
    this.#spreading = this.#spreadingOf(options);
    this.#carrier.spreading = this.#spreading;
    this.#sync = new Sync({
      network,
      window: this.#window,
      everyMs: options.reconcileMs,
      questionMs: QUESTION_MS,
      patienceMs: Math.max(QUESTION_MS, options.reconcileMs),
      maxBytes: options.maxBytes,
      any: () => this.#links.any(),
      answered: (peer, did) => this.#links.answered(peer, did),
      take: (peer, brought) => this.#carrier.receiveLate(peer, brought),
    });
    this.#links = new Links({
      ...options,
      network,
      directory: new Directory(network, options.addresses),
      conduct: this.#conduct,
      viewed: options.mode === "tree",
      epochOf: ({ bytes }) => this.#seen.epochOf(binary(bytes, 0, bytes.length)) ?? 0,
      up: (peer) => {
        this.#spreading.up(peer.id.text);
        this.#sync.meet(peer);
      },
      down: (peer) => {
        this.#spreading.down(peer);
        this.#census.down(peer);
      },
      greeted: (_peer, hello) => this.#raise(hello.epoch),
    });
  }

  get state(): {
    mode: SessionOptions["mode"];
    speakers: number;
    eager: number;
    active: number;
    passive: number;
    kept: number;
    keptBytes: number;
    origins: number;
  } {
    return {
      mode: this.#options.mode,
      speakers: this.#links.speakers.size,
      eager: this.#spreading.eager.size,
      active: this.#links.active.size,
      passive: this.#links.passive.size,
      kept: this.#window.size,
      keptBytes: this.#window.bytes,
      origins: this.#seen.size,
    };
  }

  /** Not what somebody else signed, which would travel as ours; nor what leaves no room for our own signature. */
  canCarry(message: Message): boolean {
    const { limits, id } = this.#network;
    const { signer } = message as Partial<SignedMessage>;
    if (signer !== undefined && !signer.equals(id)) return false;
    return message.body.length <= limits.maxMessageBytes - ITEM_HEADER_BYTES - 1;
  }

  publish(message: Message): Delivery {
    return this.#carrier.publish(message);
  }

  save(): Uint8Array {
    return this.#seen.save();
  }

  added(peer: Peer): void {
    this.#links.added(peer);
  }

  left(peer: Peer): void {
    this.#links.left(peer);
    this.#sync.left(peer);
    this.#conduct.left(peer.id.text);
  }

  /** Says goodbye to the neighbours; nothing is under way afterwards. */
  close(): void {
    this.#sync.close();
    this.#links.close();
    this.#alarm.stop();
    this.#censusAlarm.stop();
    this.#beaconAlarm.stop();
    this.#census.poll(Number.POSITIVE_INFINITY);
    this.#window.clear();
  }

  receive({ peer, message, reply }: MessageContext): void {
    if (!isGossip(message.opcode) || this.#conduct.isBanned(peer.id.text)) return;
    const { opcode } = message;
    // No broadcasts for it, in no way: neither a link nor an answer.
    if (!peer.worthy && opcode !== HelloMessage.opcode) return;
    const from = peer.id.text;
    const now = this.#network.runtime.now();
    const push = message.as(PushMessage);
    if (push !== undefined) {
      this.#carrier.receive(peer, push.item, push.hops);
      return;
    }
    const announced = message.as(AnnounceMessage);
    if (announced !== undefined) this.#spreading.receiveAnnounce(from, announced, now);
    else if (opcode === PruneMessage.opcode) this.#spreading.receivePrune(from, now);
    else this.#rest({ peer, message, reply } as MessageContext, now);
    this.#carrier.flush();
    this.#stirred();
  }

  #rest({ peer, message, reply }: MessageContext, now: number): void {
    const from = peer.id.text;
    const graft = message.as(GraftMessage);
    if (graft !== undefined) this.#spreading.receiveGraft(from, graft.id, graft.hops, now);
    const hello = message.as(HelloMessage);
    // A record may stand in it, and its signature is verified.
    if (hello !== undefined && this.#conduct.mayAsk(peer)) this.#links.hello(peer, hello);
    const membership = message.as(MembershipType);
    if (membership !== undefined) this.#links.membership(peer, membership);
    const counted = message.as(CensusReply);
    if (counted !== undefined)
      this.#census.receiveAnswer(from, counted.id, counted.nodes, counted.complete);
    const question = message.as(CensusMessage);
    if (question !== undefined && this.#conduct.mayCount(peer)) {
      const { id, leftMs } = question;
      const has = this.#window.has(id);
      this.#census.receiveQuestion(from, id, leftMs, has, this.#spreading.eager, now);
    }
    const items = message.isReply ? undefined : message.as(ItemsMessage);
    if (items !== undefined) this.#carrier.receiveLate(peer, items);
    const ranges = message.as(ReconcileMessage);
    if (ranges !== undefined && this.#conduct.mayAsk(peer)) {
      this.#window.settle(now);
      reply(ReconcileReply.of(answer(this.#window.ids, ranges))).catch(() => {});
    }
    const wanted = message.as(WantMessage);
    if (wanted !== undefined && this.#conduct.mayAsk(peer)) {
      reply(ItemsMessage.of(this.#sync.answer(wanted))).catch(() => {});
    }
  }

  #spreadingOf(options: SessionOptions): Spreading<Load> {
    const { mode, copies, eagerLinks } = options;
    const { push, deliver, isSeen: seen } = this.#carrier;
    if (mode === "flood") return new Flood<Load>({ out: { push, deliver }, seen });
    const { runtime, id } = this.#network;
    if (mode === "delegation") {
      return new Delegation<Load>({
        out: { push, deliver },
        seen,
        copies,
        self: nodeIdOf(id.bytes),
        random: (bound) => randomInteger(runtime, bound),
        nodeIdOf: (peer) => {
          const known = this.#network.peers.get(peer)?.id;
          return known?.proved === true ? nodeIdOf(known.bytes) : undefined;
        },
      });
    }
    return new Plumtree<Load>({
      out: {
        push,
        deliver,
        announce: (to, entries) => this.#send(to, AnnounceMessage.of(entries)),
        prune: (to) => this.#send(to, PruneMessage.of(new Uint8Array(0))),
        graft: (to, wanted, hops) => this.#send(to, GraftMessage.of({ hops, id: wanted })),
        penalise: (to, why) => {
          const peer = this.#network.peers.get(to);
          if (peer !== undefined) this.#conduct.blame(peer, BLAMES[why]);
        },
      },
      seen,
      eagerLinks,
      timer1Ms: options.graftAfterMs,
      timer2Ms: options.graftTimeoutMs,
      batchMs: options.announceEveryMs,
      pruneEveryMs: options.pruneEveryMs,
      joinLazily: true,
      rootOf: ({ item }) => item.originKey,
      sizeOf: ({ item }) => item.bytes.length,
    });
  }

  /**
   * Others know a later epoch of ours. A claim; but one that our clock could have had, as far off as one clock may be: were
   * it as far as two may be apart, who lies could have us speak at times that all whose clocks are behind ours refuse.
   */
  #raise(epoch: number): void {
    if (epoch <= this.#author.epoch || epoch > this.#latest) return;
    this.#author.raise(epoch + 1, this.#network.runtime.now());
  }

  /** Behind that of the last life, if its marks are here: the clock may have been set back meanwhile. */
  #firstEpoch(): number {
    const { epoch = Math.floor(this.#network.runtime.wallClock()) } = this.#options;
    const last = this.#seen.epochOf(this.#ownKey) ?? 0;
    return last >= epoch && last <= this.#latest ? last + 1 : Math.max(1, epoch);
  }

  get #latest(): number {
    return this.#network.runtime.wallClock() + this.#options.maxSkewMs / 2;
  }

  #send(to: string, message: Message): void {
    // What was pushed before it arrives before it.
    this.#carrier.flush();
    const peer = this.#network.peers.get(to);
    if (peer?.worthy === true) peer.send(message).catch(() => {});
  }

  #stirred(): void {
    this.#alarm.want(this.#spreading.deadline);
    if (this.#census.size > 0)
      this.#censusAlarm.want(this.#census.poll(this.#network.runtime.now()));
  }
}
