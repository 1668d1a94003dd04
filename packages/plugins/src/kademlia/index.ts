/**
 * Plugin `kademlia`: nodes find each other, and keep small values for each other (S/Kademlia, Baumgart and
 * Mies 2007).
 *
 *     const overlay = kademlia({ bootstrap: ["net:198.51.100.7:9000~noise:…"] });
 *     await network.registerPlugin(overlay);
 *     await network.add(PeerId.from("…"));          // finds its addresses by itself
 *     await overlay.put(toUtf8("hello"));
 *
 * A node's place is the hash of its key. Lookups go over d disjoint paths, so that an adversary has to stand
 * on every one; addresses are signed by whom they lead to; peers met on the way get no broadcasts and are
 * closed when idle. Values are no database: at most 1 KiB each, and gone after a day unless put again.
 */

import {
  deferred,
  type MessageContext,
  type Network,
  type NetworkContext,
  networkError,
  type PeerContext,
  PeerId,
  type Plugin,
  parseAddress,
} from "@testudo/core";
import { numberFrom } from "../options.ts";
import type { ContactRecord } from "../record/record.ts";
import type { Storage } from "../storage.ts";
import type { NodeContact, PuzzleBits } from "./contacts.ts";
import { find } from "./find.ts";
import { Keeper, loadSnapshot } from "./keeper.ts";
import { nodeIdOf } from "./node-id.ts";
import { Overlay } from "./overlay.ts";
import { DynamicSolver, staticBits } from "./puzzle.ts";
import { Server } from "./server.ts";
import { spread } from "./spread.ts";
import { Store } from "./store.ts";
import {
  contentValue,
  MAX_SALT_BYTES,
  signedKey,
  signedValue,
  VALUE_LIFE_MS,
  type Value,
} from "./value.ts";
import { type PutResult, Values } from "./values.ts";

export type { ContactRecord } from "../record/record.ts";
export type { Storage } from "../storage.ts";
export type { PuzzleBits } from "./contacts.ts";
export { contentKey, type SignedValue, signedKey, type Value } from "./value.ts";
export type { PutResult } from "./values.ts";

export interface KademliaOptions {
  /** Addresses to join through. One is enough. Default: none; then peers that `network.add` brings, or `found`. */
  bootstrap?: readonly string[];
  /** Where others reach this node. Default: `network.addresses`. */
  addresses?: () => readonly string[];
  /** Keeps the table over restarts. Default: it is forgotten. */
  storage?: Storage;
  /** Members of a bucket. Default 16. */
  k?: number;
  /** Nodes that keep a value, and that a lookup finds. Default 16. */
  s?: number;
  /** Disjoint paths of a lookup. Default 8. */
  d?: number;
  /** Questions under way on one path. Default 1. */
  alpha?: number;
  /** Work that an id must have cost, the same in the whole network (`testudo key new --puzzle`). Default: none. */
  puzzle?: PuzzleBits;
  /** For a dial and an answer together. Default 1,000. */
  queryTimeoutMs?: number;
  /** After so long a path goes on beside a node that has not answered. Default 500. */
  patienceMs?: number;
  /** For one lookup as a whole. Default 20,000. */
  lookupTimeoutMs?: number;
  /** A node not heard of for so long is asked whether it lives. Default 300,000. */
  checkMs?: number;
  /** A bucket that nobody looked into for so long is looked into. Default 300,000. */
  refreshMs?: number;
  /** Values are put again after so long. Default 3,600,000. */
  republishMs?: number;
  /** Values kept for others. Default 4,096, and 4 MiB together. */
  maxValues?: number;
}

export interface PutOptions {
  /** Signed with this node's key, and replaceable by it: `true`, or a salt that tells several such values apart. Default: kept by its content's hash. */
  readonly signed?: boolean | Uint8Array;
  /** Number of a signed value's version; of signed ones only. Default: unix ms. */
  readonly seq?: number;
  /** How long a signed value is good for; of signed ones only. Default, and at most: a day. */
  readonly lifeMs?: number;
  readonly signal?: AbortSignal;
}

/** A node of the overlay. */
export interface OverlayNode {
  readonly id: PeerId;
  /** 32 bytes: its place. */
  readonly nodeId: Uint8Array;
  /** Where it can be dialled from here. */
  readonly address: string;
  readonly record: ContactRecord;
}

/** Parts that exist while the plugin serves a network. */
interface Parts {
  readonly overlay: Overlay;
  readonly server: Server;
  readonly values: Values;
  readonly keeper: Keeper;
}

type Settings = Readonly<Required<Omit<KademliaOptions, "storage" | "addresses">>> & {
  readonly storage: Storage | undefined;
  readonly addresses: (() => readonly string[]) | undefined;
};

export class Kademlia implements Plugin {
  readonly name = "kademlia";
  readonly #options: Settings;
  #parts: Parts | undefined;
  #starting = false;

  /** See `kademlia`. */
  constructor(options: KademliaOptions = {}) {
    const { bootstrap = [], puzzle = { staticBits: 0, dynamicBits: 0 } } = options;
    const whole = (name: keyof KademliaOptions, fallback: number, most: number): number => {
      const value = numberFrom(1, (options[name] as number | undefined) ?? fallback, name, most);
      if (!Number.isInteger(value)) throw new RangeError(`${name} must be a whole number`);
      return value;
    };
    const A_DAY_MS = 86_400_000;
    if (!Array.isArray(bootstrap)) throw new TypeError("bootstrap must be a list of addresses");
    // One that cannot be read would never be reached, and nobody would hear of it.
    for (const address of bootstrap) parseAddress(address);
    if (options.addresses !== undefined && typeof options.addresses !== "function") {
      throw new TypeError("addresses must be a function that gives a list of them");
    }
    if (options.storage !== undefined && typeof options.storage?.save !== "function") {
      throw new TypeError("storage must have load() and save(), as fileStorage(path) has");
    }
    this.#options = {
      bootstrap: [...bootstrap],
      addresses: options.addresses,
      storage: options.storage,
      puzzle: {
        staticBits: numberFrom(0, puzzle.staticBits, "puzzle.staticBits", 32),
        dynamicBits: numberFrom(0, puzzle.dynamicBits, "puzzle.dynamicBits", 32),
      },
      k: whole("k", 16, 32),
      s: whole("s", 16, 32),
      d: whole("d", 8, 32),
      alpha: whole("alpha", 1, 8),
      queryTimeoutMs: whole("queryTimeoutMs", 1_000, 60_000),
      patienceMs: whole("patienceMs", 500, 60_000),
      lookupTimeoutMs: whole("lookupTimeoutMs", 20_000, 600_000),
      checkMs: whole("checkMs", 300_000, A_DAY_MS),
      refreshMs: whole("refreshMs", 300_000, A_DAY_MS),
      republishMs: whole("republishMs", 3_600_000, A_DAY_MS),
      maxValues: whole("maxValues", 4_096, 1_000_000),
    };
  }

  async startup({ network }: NetworkContext): Promise<void> {
    if (this.#starting || this.#parts !== undefined) {
      throw new TypeError("this plugin already serves a network");
    }
    this.#starting = true;
    try {
      await this.#start(network);
    } finally {
      this.#starting = false;
    }
  }

  async #start(network: Network): Promise<void> {
    const { storage, puzzle, addresses, ...options } = this.#options;
    const awaited = (): boolean =>
      network.networkState().plugins.some(({ status }) => status === "starting");
    const solution = await solve(network, puzzle, awaited);
    const snapshot = await loadSnapshot(network, storage);
    // The network does not wait for ever, and calls nothing that would stop what is begun now.
    if (!awaited()) throw tooLate();
    const overlay = new Overlay(network, {
      ...options,
      puzzle,
      solution,
      addresses,
      seq: snapshot?.seq ?? 0,
      maxRecords: 4_096,
    });
    const store = new Store({ self: overlay.self.nodeId, maxValues: options.maxValues });
    const values = new Values(overlay, store);
    const keeper = new Keeper(overlay, store, values, {
      ...options,
      storage,
      snapshot,
      saveMs: 600_000,
    });
    this.#parts = { overlay, server: new Server(overlay, store), values, keeper };
    keeper.start();
  }

  newMessage(context: MessageContext): Promise<void> | undefined {
    return this.#parts?.server.receive(context);
  }

  nodeAdded({ peer }: PeerContext): void {
    this.#parts?.keeper.greet(peer);
  }

  nodeDeleted({ peer }: PeerContext): void {
    this.#parts?.server.left(peer);
  }

  async close(): Promise<void> {
    const parts = this.#parts;
    this.#parts = undefined;
    parts?.overlay.close(networkError("NETWORK_CLOSED", "the node leaves the overlay"));
    await parts?.keeper.stop();
  }

  /** `network.add(id)` asks this. */
  async findPeer(id: PeerId, { signal }: { signal: AbortSignal }): Promise<string | undefined> {
    if (this.#parts === undefined) return undefined;
    const contact = await find(this.#parts.overlay, id, signal);
    return contact?.address;
  }

  /**
   * Resolves when this node has found its place: the first time that others answered. Rejects `NETWORK_CLOSED`, the
   * signal's reason, or, where nobody is known and no bootstrap address can ever be dialled, what is wrong with them.
   */
  async joined(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { joined } = this.#serving().keeper;
    const { signal } = options;
    if (signal === undefined) return joined;
    signal.throwIfAborted();
    const ended = deferred<never>();
    const onAbort = (): void => ended.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([joined, ended.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Somebody's address, for example from `mdns`: dialled in its turn, at most 64 wait. */
  found(address: string): void {
    this.#parts?.keeper.found(address);
  }

  /** The nodes nearest to an id, asked over the network; those that answered, nearest first. */
  async lookup(
    target: PeerId | Uint8Array,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<OverlayNode[]> {
    const found = await this.#serving().overlay.lookup(placeOf(target), {
      signal: options.signal,
    });
    return found.map(nodeOf);
  }

  /** The nodes nearest to an id that this node knows of, without asking. Default: 16 of them. */
  closest(target: PeerId | Uint8Array, n = 16): OverlayNode[] {
    if (!Number.isInteger(n) || n < 0) throw new RangeError("n must be a whole number from 0");
    return this.#serving().overlay.table.closest(placeOf(target), n).map(nodeOf);
  }

  /**
   * Some of the nodes that this node knows of, without asking: for whoever wants lasting links. Over as many subnets as
   * there are, each equally likely, so that many keys in few subnets are few.
   */
  sample(n: number): OverlayNode[] {
    if (!Number.isInteger(n) || n < 0) throw new RangeError("n must be a whole number from 0");
    const { overlay } = this.#serving();
    const { table, self } = overlay;
    const all = table.closest(self.nodeId, table.size);
    return spread(all, n, (bound) => overlay.random(bound)).map(nodeOf);
  }

  /** Keeps at most 1,024 bytes on the nodes nearest to their key, and puts them again every hour. */
  put(content: Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    const { overlay, values } = this.#serving();
    return values.publish(makeValue(overlay.network, content, options), options.signal);
  }

  /** Puts a value no more. False when this node did not publish it. */
  withdraw(key: Uint8Array): boolean {
    return this.#serving().values.withdraw(checkedPlace(key));
  }

  /** The value under a key (`contentKey`, `signedKey`, or what `put` said), proved by its hash or its signature. */
  get(
    key: Uint8Array,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<Value | undefined> {
    return this.#serving().values.get(checkedPlace(key), options.signal);
  }

  /** Nodes in the table. */
  get size(): number {
    return this.#parts?.overlay.table.size ?? 0;
  }

  /** This node's own contact record, as others are told it. */
  get record(): ContactRecord {
    return this.#serving().overlay.record.current();
  }

  #serving(): Parts {
    if (this.#parts === undefined) {
      throw networkError("NETWORK_CLOSED", "kademlia serves no network; register it first");
    }
    return this.#parts;
  }
}

/** Throws `TypeError` or `RangeError` for options that make no sense, `AddressError` for a bootstrap address that is none. */
export function kademlia(options: KademliaOptions = {}): Kademlia {
  return new Kademlia(options);
}

/** The key under which `put(content, { signed })` of that node keeps a value. */
export function keyOf(owner: PeerId, salt: Uint8Array = new Uint8Array(0)): Uint8Array {
  return signedKey(owner, salt);
}

function makeValue(network: Network, content: Uint8Array, options: PutOptions): Value {
  const { signed = false, seq, lifeMs = VALUE_LIFE_MS } = options;
  if (signed === false) {
    for (const name of ["seq", "lifeMs"] as const) {
      if (options[name] !== undefined) {
        throw new TypeError(`${name} is for signed values only; say signed, too`);
      }
    }
    return contentValue(content);
  }
  if (signed !== true && !(signed instanceof Uint8Array)) {
    throw new TypeError("signed must be true, false or a salt");
  }
  const now = Math.floor(network.runtime.wallClock());
  const salt = signed === true ? new Uint8Array(0) : signed;
  if (salt.length > MAX_SALT_BYTES) {
    throw new RangeError(`signed must be a salt of at most ${MAX_SALT_BYTES} bytes`);
  }
  return signedValue(network.identity, {
    networkId: network.networkId,
    content,
    salt,
    seq: seq ?? now,
    expiresAt: now + Math.floor(numberFrom(1, lifeMs, "lifeMs", VALUE_LIFE_MS)),
  });
}

/** The solution of the dynamic puzzle, found in slices. Throws for an identity that can never be let in. */
async function solve(
  network: Network,
  puzzle: PuzzleBits,
  awaited: () => boolean,
): Promise<Uint8Array | undefined> {
  const { publicKey } = network.identity;
  if (staticBits(publicKey) < puzzle.staticBits) {
    throw new TypeError(
      `this network wants ids that cost ${puzzle.staticBits} bits of work; make one with testudo key new --puzzle`,
    );
  }
  if (puzzle.dynamicBits === 0) return undefined;
  const start = network.runtime.randomBytes(8);
  const solver = new DynamicSolver({ publicKey, dynamicBits: puzzle.dynamicBits, start });
  for (;;) {
    const solution = solver.run(5_000);
    if (solution !== undefined) return solution;
    await new Promise<void>((resolve) => network.runtime.setTimer(resolve, 1));
    if (!awaited()) throw tooLate();
  }
}

function tooLate(): Error {
  return networkError("NETWORK_CLOSED", "the network did not wait for it to start");
}

function nodeOf({ record, nodeId, address }: NodeContact): OverlayNode {
  return { id: record.id, nodeId, address, record };
}

function placeOf(target: PeerId | Uint8Array): Uint8Array {
  return target instanceof PeerId ? nodeIdOf(target.bytes) : checkedPlace(target);
}

function checkedPlace(key: Uint8Array): Uint8Array {
  if (!(key instanceof Uint8Array) || key.length !== 32) {
    throw new TypeError("target must be a PeerId or 32 bytes");
  }
  return key;
}
