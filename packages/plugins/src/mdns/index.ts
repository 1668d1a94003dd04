/**
 * Plugin `mdns`: nodes of one network that are on the same link find each other, by multicast DNS (RFC 6762).
 *
 *     await network.registerPlugin(mdns());                  // adds who is found, in passing
 *     await network.registerPlugin(mdns({ to: discovery })); // or tells another plugin
 *
 * It says where this node listens to whoever is on the link: the private addresses, and those of this machine when
 * it speaks on loopback. The name under which nodes meet is a hash of the network id, so that others learn only that
 * there is some network. Nothing that is heard is believed: an address is dialled only for the key it names.
 *
 * It never answers for others, and never speaks beyond the link. Node only; IPv4 only.
 */

import {
  asError,
  type FindOptions,
  type Network,
  type NetworkContext,
  type PeerId,
  type Plugin,
  randomInteger,
  type Timer,
} from "@testudo/core";
import { numberFrom } from "../options.ts";
import { scopeOfHost } from "../record/host.ts";
import { answersOf, MAX_TEXTS, neighboursIn, serviceName } from "./answers.ts";
import { Budget } from "./budget.ts";
import type { Multicast, OpenMulticast } from "./link.ts";
import { Neighbours } from "./neighbours.ts";

export type { Multicast, MulticastEvents, MulticastOptions, OpenMulticast } from "./link.ts";

/** Who is told of addresses that were found: another plugin, or anything else. */
export interface Found {
  /** An address on this link, of one route that names its key. */
  found(address: string): void;
}

export interface MdnsOptions {
  /** Default: the network itself, which adds them in passing, eight at a time. */
  to?: Found;
  /** Where others reach this node. Default: `network.addresses`. Only what is on the link is told. */
  addresses?: () => readonly string[];
  /** How often it asks, once it has asked a few times at the start. Default 60,000. */
  intervalMs?: number;
  /** The IPv4 address of the interface to speak on. Default: the system's; it listens on all. */
  interface?: string | undefined;
  /** Default 5353. */
  port?: number;
  /** Packets taken a second; what exceeds them is dropped before it is decoded. Default 100. */
  maxPacketsPerSecond?: number;
  /** Nodes remembered. Default 1,024. */
  maxNodes?: number;
  /** Another way to the link than a socket of Node's. */
  open?: OpenMulticast;
}

const FIRST_ASK_MS = 1_000;
/** An answer waits a little, so that the answers of many do not meet (RFC 6762, 6). */
const LEAST_WAIT_MS = 20;
const MOST_WAIT_MS = 120;
/** An answer to all is good for all who ask within this time (RFC 6762, 6). */
const QUIET_MS = 1_000;
const AGAIN_MS = 60_000;
const MEMORY_MS = 600_000;
/** Dials of what was found that are under way at a time. */
const MAX_DIALS = 8;
/** A neighbour that makes addresses up must not make us knock at every door of the link. */
const MAX_FOUND_PER_SECOND = 16;

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function mdns(options: MdnsOptions = {}): Mdns {
  return new Mdns(options);
}

export class Mdns implements Plugin {
  readonly name: string = "mdns";
  readonly #options: MdnsOptions;
  readonly #intervalMs: number;
  readonly #port: number;
  readonly #maxPackets: number;
  readonly #neighbours: Neighbours;
  readonly #dials = new AbortController();
  #dialling = 0;
  #finds: Budget | undefined;
  #network: Network | undefined;
  #service = "";
  #link: Multicast | undefined;
  #asking: Timer | undefined;
  #telling: Timer | undefined;
  #toldAt: number = Number.NEGATIVE_INFINITY;
  /** What was told last: others keep it, until it changes. */
  #said = "";

  constructor(options: MdnsOptions) {
    const {
      intervalMs = 60_000,
      port = 5_353,
      maxPacketsPerSecond = 100,
      maxNodes = 1_024,
    } = options;
    this.#options = { ...options };
    this.#intervalMs = numberFrom(FIRST_ASK_MS, intervalMs, "intervalMs");
    this.#port = Math.floor(numberFrom(1, port, "port", 65_535));
    this.#maxPackets = numberFrom(1, maxPacketsPerSecond, "maxPacketsPerSecond");
    this.#neighbours = new Neighbours({
      maxNodes: Math.floor(numberFrom(1, maxNodes, "maxNodes")),
      maxAddresses: MAX_TEXTS,
      againMs: AGAIN_MS,
      memoryMs: MEMORY_MS,
    });
  }

  /** Nodes remembered. */
  get size(): number {
    return this.#neighbours.size;
  }

  /** Rejects when the port cannot be had, or there is no multicast on this platform. */
  async startup({ network }: NetworkContext): Promise<void> {
    if (this.#network !== undefined) throw new TypeError("this plugin already serves a network");
    this.#network = network;
    this.#service = serviceName(network.networkId);
    const { runtime, logger } = network;
    const packets = new Budget(this.#maxPackets, runtime.now());
    const open = this.#options.open ?? (await import("./multicast.ts")).openMulticast;
    this.#finds = new Budget(MAX_FOUND_PER_SECOND, runtime.now());
    this.#link = await open(
      {
        asked: (name) => this.#asked(name),
        told: (name, texts, from) => this.#told(name, texts, from),
        warned: (error) => logger.debug({ error }, "multicast DNS"),
      },
      {
        interface: this.#options.interface,
        port: this.#port,
        admit: () => packets.take(runtime.now()),
      },
    );
    try {
      this.#ask(FIRST_ASK_MS);
    } catch (error) {
      // An address of the caller's that is none: nobody would call `close`.
      await this.close();
      throw error;
    }
  }

  /** What was heard of this node on the link in the last ten minutes. */
  async findPeer(id: PeerId, { signal }: FindOptions): Promise<string | undefined> {
    signal.throwIfAborted();
    if (this.#network === undefined) return undefined;
    const addresses = this.#neighbours.addresses(id.text, this.#network.runtime.now());
    return addresses.length === 0 ? undefined : addresses.join(";");
  }

  async close(): Promise<void> {
    this.#asking?.cancel();
    this.#telling?.cancel();
    this.#dials.abort(new Error("mdns was closed"));
    const link = this.#link;
    this.#link = undefined;
    await link?.close();
  }

  /** Asks now, and again after a wait that doubles up to the interval. */
  #ask(nextMs: number): void {
    const { runtime } = this.#network ?? {};
    if (this.#link === undefined || runtime === undefined) return;
    const wait = Math.min(nextMs, this.#intervalMs);
    this.#asking = runtime.setTimer(() => this.#ask(2 * wait), wait);
    this.#link.ask(this.#service);
    // There may be new addresses since: who is here already will not ask for them.
    if (this.#answers().join() !== this.#said) this.#tellSoon();
  }

  #asked(name: string): void {
    if (name === this.#service) this.#tellSoon();
  }

  #tellSoon(): void {
    const { runtime } = this.#network ?? {};
    if (runtime === undefined || this.#telling !== undefined || this.#link === undefined) return;
    const quiet = this.#toldAt + QUIET_MS - runtime.now();
    const wait = LEAST_WAIT_MS + randomInteger(runtime, MOST_WAIT_MS - LEAST_WAIT_MS + 1);
    this.#telling = runtime.setTimer(
      () => {
        this.#telling = undefined;
        this.#tell(runtime.now());
      },
      Math.max(quiet, wait),
    );
  }

  #tell(now: number): void {
    const answers = this.#answers();
    this.#said = answers.join();
    if (answers.length === 0) return;
    this.#toldAt = now;
    this.#link?.tell(this.#service, answers);
  }

  #answers(): string[] {
    const network = this.#network;
    if (network === undefined) return [];
    const addresses = this.#options.addresses?.() ?? network.addresses;
    const { interface: spoken } = this.#options;
    const device = spoken !== undefined && scopeOfHost(spoken) === "device";
    return answersOf(addresses, network.id, { device });
  }

  #told(name: string, texts: readonly Uint8Array[], from: string): void {
    const network = this.#network;
    if (name !== this.#service || network === undefined || this.#link === undefined) return;
    for (const neighbour of neighboursIn(texts, from, network.id)) {
      const now = network.runtime.now();
      if (!this.#neighbours.heard(neighbour, now) || this.#finds?.take(now) !== true) continue;
      this.#found(network, neighbour.address);
    }
  }

  #found(network: Network, address: string): void {
    if (this.#options.to === undefined) {
      if (this.#dialling < MAX_DIALS) void this.#dial(network, address);
      return;
    }
    try {
      this.#options.to.found(address);
    } catch (error) {
      network.logger.warn({ error: asError(error) }, "who is told of addresses failed");
    }
  }

  async #dial(network: Network, address: string): Promise<void> {
    this.#dialling++;
    try {
      await network.add(address, { passing: true, signal: this.#dials.signal });
    } catch (error) {
      network.logger.debug({ error: asError(error) }, "a neighbour was not reached");
    } finally {
      this.#dialling--;
    }
  }
}
