/**
 * Plugin `gossip`: a broadcast that reaches the whole network, each node once.
 *
 *     const News = defineMessage({ name: "news", opcode: 1030, codec: text, reach: "network" });
 *     await network.registerPlugin(gossip());
 *     const { reach } = await network.broadcast(News.of("hello, everybody")).report();
 *
 * Types that opt in, by `reach: "network"` or by the option `types`, go along a tree over the peers that have this
 * plugin, are signed by their origin, and are given to the other plugins as from it. All else goes to the neighbours as
 * ever, and so does what is sent to named peers or to random ones. The parts: `links.ts` knows whom, the machine
 * of the mode knows which way, `carrier.ts` takes and checks, `sync.ts` brings what was missed. docs/gossip.md has
 * the picture.
 */

import {
  APPLICATION_START,
  type Delivery,
  type Message,
  type MessageContext,
  type MessageType,
  type NetworkContext,
  networkError,
  type Peer,
  type PeerContext,
  type PeerId,
  type Plugin,
} from "@testudo/core";
import { numberFrom } from "../options.ts";
import type { Storage } from "../storage.ts";
import { Marks } from "./marks.ts";
import { Seen } from "./seen.ts";
import { Session, type SessionOptions } from "./session.ts";

export type { Storage } from "../storage.ts";
export type { ConductOptions } from "./conduct.ts";
export type { GossipOverlay } from "./overlay.ts";

/** `tree`: HyParView and Plumtree. `flood`: every peer tells every other. `delegation`: by the buckets of S/Kademlia. */
export type GossipMode = "tree" | "flood" | "delegation";

export interface GossipOptions extends Partial<SessionOptions> {
  /**
   * The types that travel, as types or opcodes: these and no others are carried and taken. Default: what is made
   * with `reach: "network"` is carried, and whatever application's message arrives is taken.
   */
  types?: readonly (MessageType<never> | MessageType<unknown> | number)[];
  /**
   * Keeps the marks of what was taken over restarts, as `fileStorage(path)` does; a file of its own. What
   * was taken more than five seconds before the process is killed is not taken again. At most 131,072 `maxOrigins`.
   * Excludes `saved`. Default: a restarted node has again what its peers still keep.
   */
  storage?: Storage;
}

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function gossip(options: GossipOptions = {}): Gossip {
  return new Gossip(options);
}

/** How a node's gossip is doing; plain, for people. */
export interface GossipState {
  readonly mode: GossipMode;
  /** Peers that have the plugin. */
  readonly speakers: number;
  /** Links that messages are pushed over. */
  readonly eager: number;
  readonly active: number;
  readonly passive: number;
  /** Messages kept for those who missed them, and their bytes. */
  readonly kept: number;
  readonly keptBytes: number;
  /** Origins whose marks are known. */
  readonly origins: number;
}

export class Gossip implements Plugin {
  readonly name: string = "gossip";
  readonly #options: SessionOptions;
  readonly #storage: Storage | undefined;
  #types: Set<number> | undefined;
  #session: Session | undefined;
  #marks: Marks | undefined;
  #starting = false;

  constructor({ types, storage, ...options }: GossipOptions = {}) {
    this.#options = checked(options);
    this.#storage = storageFrom(storage, this.#options);
    if (types !== undefined) {
      this.#types = new Set();
      for (const type of types) this.carries(type);
    }
  }

  /** One more type that travels; see the option `types`. */
  carries(type: MessageType<never> | MessageType<unknown> | number): void {
    const opcode = typeof type === "number" ? type : type?.opcode;
    if (!Number.isInteger(opcode)) throw new TypeError("type must be a message type or an opcode");
    // The others would refuse it, and close us for it.
    if (opcode < APPLICATION_START) {
      throw new RangeError(`type must be an application's: an opcode from ${APPLICATION_START}`);
    }
    this.#types ??= new Set();
    this.#types.add(opcode);
  }

  /** A promise only where there is something to load. */
  startup(context: NetworkContext): void | Promise<void> {
    if (this.#session !== undefined || this.#starting)
      throw new TypeError("this plugin already serves a network");
    if (this.#storage === undefined) this.#begin(context);
    else return this.#load(context, this.#storage);
  }

  /** No hook is called meanwhile: nothing is taken or said before the marks are here. */
  async #load(context: NetworkContext, storage: Storage): Promise<void> {
    const { network } = context;
    this.#starting = true;
    try {
      const marks = await Marks.load(network, storage, this.#options);
      // The network does not wait for ever, and calls nothing that would stop what is begun now.
      if (!network.networkState().plugins.some(({ status }) => status === "starting")) {
        throw networkError("NETWORK_CLOSED", "the network did not wait for it to start");
      }
      this.#begin(context, marks);
    } finally {
      this.#starting = false;
    }
  }

  #begin({ network, deliver }: NetworkContext, marks?: Marks): void {
    const take = (message: Message, origin: PeerId, via: Peer): void => {
      if (this.#takes(message.opcode)) deliver(message, origin, via);
    };
    this.#session = new Session(network, this.#options, take, marks?.seen);
    this.#marks = marks;
  }

  disseminate(message: Message): Delivery | undefined {
    const session = this.#session;
    if (session === undefined || !this.#carried(message) || !session.canCarry(message))
      return undefined;
    return session.publish(message);
  }

  nodeAdded({ peer }: PeerContext): void {
    this.#session?.added(peer);
  }

  newMessage(context: MessageContext): void {
    this.#session?.receive(context);
  }

  nodeDeleted({ peer }: PeerContext): void {
    this.#session?.left(peer);
  }

  /** A promise only where there is something to save. */
  close(): void | Promise<void> {
    const marks = this.#marks;
    this.#session?.close();
    this.#session = undefined;
    this.#marks = undefined;
    return marks?.close();
  }

  /**
   * The marks of what was taken, for the option `saved` of the next life; with `storage` nobody needs to ask. Throws
   * `TypeError` while no network is served: ask before it is closed.
   */
  save(): Uint8Array {
    if (this.#session === undefined)
      throw new TypeError("register this plugin with a network first");
    return this.#session.save();
  }

  /** `undefined` when no network is served. */
  get state(): GossipState | undefined {
    return this.#session?.state;
  }

  #takes(opcode: number): boolean {
    return this.#types === undefined ? opcode >= APPLICATION_START : this.#types.has(opcode);
  }

  #carried(message: Message): boolean {
    const asked =
      this.#types === undefined ? message.reach === "network" : this.#types.has(message.opcode);
    return asked && this.#takes(message.opcode);
  }
}

function checked(given: Partial<SessionOptions>): SessionOptions {
  const mode = given.mode ?? "tree";
  if (!["tree", "flood", "delegation"].includes(mode)) {
    throw new TypeError("mode must be tree, flood or delegation");
  }
  const { overlay } = given;
  if (overlay !== undefined && typeof overlay?.lookup !== "function") {
    throw new TypeError("overlay must have lookup(); kademlia() has");
  }
  const { diverse = true } = given;
  if (typeof diverse !== "boolean") throw new TypeError("diverse must be true or false");
  const number = (name: keyof typeof DEFAULTS, least: number): number =>
    numberFrom(least, given[name] ?? DEFAULTS[name], name);
  const whole = (name: keyof typeof DEFAULTS, least: number): number => {
    const value = number(name, least);
    if (!Number.isInteger(value)) throw new RangeError(`${name} must be a whole number`);
    return value;
  };
  const { epoch, addresses, conduct = {} } = given;
  if (epoch !== undefined) numberFrom(1, epoch, "epoch", 2 ** 48 - 1);
  if (addresses !== undefined && typeof addresses !== "function") {
    throw new TypeError("addresses must be a function that gives a list of them");
  }
  for (const [name, value] of Object.entries(conduct)) {
    if (value !== undefined) numberFrom(1, value, `conduct.${name}`);
  }
  return {
    mode,
    overlay,
    active: whole("active", 1),
    passive: whole("passive", 1),
    diverse,
    eagerLinks: whole("eagerLinks", 1),
    copies: whole("copies", 1),
    graftAfterMs: number("graftAfterMs", 1),
    graftTimeoutMs: number("graftTimeoutMs", 1),
    announceEveryMs: number("announceEveryMs", 0),
    pruneEveryMs: number("pruneEveryMs", 1),
    shuffleMs: number("shuffleMs", 100),
    reconcileMs: number("reconcileMs", 100),
    censusMs: number("censusMs", 50),
    windowMs: number("windowMs", 1_000),
    maxItems: whole("maxItems", 1),
    maxBytes: whole("maxBytes", 1_024),
    maxOrigins: whole("maxOrigins", 16),
    maxSkewMs: number("maxSkewMs", 0),
    conduct: given.conduct,
    epoch,
    saved: savedFrom(given.saved),
    addresses,
  };
}

function storageFrom(
  storage: Storage | undefined,
  { saved, maxOrigins }: SessionOptions,
): Storage | undefined {
  if (storage === undefined) return undefined;
  if (typeof storage?.load !== "function" || typeof storage.save !== "function") {
    throw new TypeError("storage must have load() and save(), as fileStorage(path) has");
  }
  if (saved !== undefined) throw new TypeError("storage and saved exclude each other");
  // They are written as one, every few seconds.
  numberFrom(16, maxOrigins, "maxOrigins", 131_072);
  return storage;
}

/** Read once now, so that what is none is refused at once. */
function savedFrom(saved: Uint8Array | undefined): Uint8Array | undefined {
  if (saved !== undefined && !(saved instanceof Uint8Array)) {
    throw new TypeError("saved must be the bytes that save() gave");
  }
  new Seen({ saved });
  return saved;
}

const DEFAULTS = {
  active: 5,
  passive: 30,
  eagerLinks: 1,
  copies: 2,
  graftAfterMs: 1_000,
  graftTimeoutMs: 500,
  announceEveryMs: 200,
  pruneEveryMs: 1_000,
  shuffleMs: 60_000,
  reconcileMs: 30_000,
  censusMs: 2_000,
  windowMs: 1_200_000,
  maxItems: 65_536,
  maxBytes: 33_554_432,
  maxOrigins: 16_384,
  maxSkewMs: 176_400_000,
} as const;
