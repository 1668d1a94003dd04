/**
 * Address book: from what a caller names to a peer. Which address led to whom, which are wanted, which dials
 * are under way, and who is asked when only an id is known.
 *
 * Decides whether a peer is here in passing or to stay; the lobby tells the other side.
 */

import { type Address, parseAddress, shownAddress } from "./address.ts";
import { fromBase64 } from "./bytes.ts";
import type { Connector } from "./connector.ts";
import { Dials, type DialTerms, type Target } from "./dials.ts";
import { asNetworkError, NetworkError, networkError } from "./errors.ts";
import { idOf, type PeerName } from "./fan-out.ts";
import { type Finder, search } from "./finder.ts";
import { PeerId } from "./identity.ts";
import type { Limits } from "./limits.ts";
import { selfDial } from "./lobby.ts";
import type { Logger } from "./logger.ts";
import type { PassingPeers } from "./passing-peers.ts";
import { LivePeer } from "./peer.ts";
import type { RouteTable } from "./route-table.ts";
import type { Runtime } from "./runtime.ts";

export interface AddressBookOptions {
  readonly own: PeerId;
  readonly table: RouteTable;
  readonly connector: Connector;
  readonly passing: PassingPeers;
  readonly limits: Readonly<Limits>;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Resolves when dials may begin; rejects when there are to be none any more. */
  readonly ready: () => Promise<void>;
  readonly finders: () => readonly Finder[];
}

export interface ReachOptions {
  readonly signal?: AbortSignal | undefined;
  readonly move?: boolean | undefined;
  readonly passing?: boolean | undefined;
}

export class AddressBook {
  readonly #options: AddressBookOptions;
  readonly #wanted = new Map<string, string>();
  readonly #dials: Dials;

  constructor(options: AddressBookOptions) {
    this.#options = options;
    this.#dials = new Dials((target, terms) => this.#start(target, terms));
  }

  /** Addresses and ids that `add` reached and `takeBack` did not end, and the id each led to. */
  get wanted(): ReadonlyMap<string, string> {
    return this.#wanted;
  }

  /** Whether a peer is to be kept, whoever dialled it and for what. */
  wants({ id }: LivePeer): boolean {
    for (const ledTo of this.#wanted.values()) if (ledTo === id.text) return true;
    return false;
  }

  /** What `Network.add` says. */
  async add(target: Target, options: ReachOptions): Promise<LivePeer> {
    const { signal, move = false, passing = false } = options;
    const present = this.#present(target, move);
    if (present !== undefined) {
      this.#options.passing.used(present);
      if (passing) return present;
      present.stay();
      present.writable = true;
      this.#want(target.text, present, move);
      return present;
    }
    const peer = await this.#dials.join(target, { signal, moves: move, passing });
    // Else it was deleted, or left, in the same turn.
    if (passing || !peer.connected) return peer;
    // It may have come about by another dial of this pair, which was only passing.
    peer.stay();
    this.#want(target.text, peer, move);
    return peer;
  }

  /** The peer at an address, which is not wanted for that. */
  reach(address: Address): Promise<LivePeer> {
    return this.#dials.join(address);
  }

  /** A live peer by object, id or address. */
  find(peer: PeerName): LivePeer | undefined {
    const { table } = this.#options;
    if (peer instanceof LivePeer) return table.get(peer.id.text) === peer ? peer : undefined;
    if (peer instanceof PeerId) return table.get(peer.text);
    if (typeof peer !== "string")
      throw new TypeError("peer must be a Peer, a PeerId, an id's text or an address");
    const byId = table.get(peer);
    if (byId !== undefined || isIdText(peer)) return byId;
    // The node at an address without a key may have come to us instead: then only `add` knows who it is.
    return this.#presentAt(parseAddress(peer)) ?? table.get(this.#wanted.get(peer) ?? "");
  }

  /** An address or id, and all that led to this peer, are wanted no more; dials of them stop. */
  takeBack(name: PeerName, live: LivePeer | undefined): void {
    const id = live?.id.text ?? idOf(name);
    const all = new Set([id, ...(typeof name === "string" ? [name] : [])]);
    for (const [wanted, ledTo] of this.#wanted) if (ledTo === id) all.add(wanted);
    for (const each of all) {
      this.#wanted.delete(each);
      this.#dials.cancel(each, () => {
        const details = isIdText(each) ? { peer: each } : { address: shownAddress(each) };
        return networkError("STREAM_CLOSED", "deleted while dialling", details);
      });
    }
  }

  close(reason: NetworkError): void {
    this.#dials.cancelAll(reason);
    this.#wanted.clear();
  }

  #present(target: Target, exactly: boolean): LivePeer | undefined {
    if (!(target instanceof PeerId)) return this.#presentAt(target, exactly);
    return exactly ? undefined : this.#options.table.get(target.text);
  }

  /** `exactly`: over a stream that leads to one of the alternatives, whoever else is the same node. */
  #presentAt(address: Address, exactly: boolean = false): LivePeer | undefined {
    const { table, connector } = this.#options;
    for (const route of exactly ? [] : address.routes) {
      const key = connector.keyOf(route);
      const peer = key === undefined ? undefined : table.get(key);
      if (peer !== undefined) return peer;
    }
    const routes = new Set(address.routes.map((route) => route.text));
    for (const peer of table.peers.values()) {
      if (peer.side === "dialer" && routes.has(peer.address)) return peer;
    }
    return undefined;
  }

  /** `only`: the place a peer moved to is where to find it from now on. */
  #want(name: string, { id }: LivePeer, only: boolean): void {
    if (only)
      for (const [old, ledTo] of this.#wanted) if (ledTo === id.text) this.#wanted.delete(old);
    this.#wanted.set(name, id.text);
  }

  async #start(target: Target, terms: DialTerms): Promise<LivePeer> {
    await this.#options.ready();
    if (!(target instanceof PeerId)) return this.#options.connector.dial(target, terms);
    return this.#seek(target, terms);
  }

  /** Dials what the plugins find, until one of their addresses works. */
  async #seek(id: PeerId, terms: DialTerms): Promise<LivePeer> {
    const { own, table, connector, finders, limits, runtime, logger } = this.#options;
    if (id.equals(own)) throw selfDial(id.text);
    const { signal, moves } = terms;
    const keyOf = connector.keyOf.bind(connector);
    const timeoutMs = limits.hookTimeoutMs;
    let failure: NetworkError | undefined;
    for await (const found of search(id, finders(), {
      runtime,
      timeoutMs,
      logger,
      signal,
      keyOf,
    })) {
      // It may have come to us meanwhile.
      const present = moves ? undefined : table.get(id.text);
      if (present !== undefined) return present;
      try {
        if (found instanceof NetworkError) throw found;
        return this.#presentAt(found, true) ?? (await connector.dial(found, terms));
      } catch (error) {
        signal.throwIfAborted();
        const reason = asNetworkError(error, "DIAL_REFUSED", "not reached", { peer: id.text });
        logger.debug({ peer: id.text, error: reason }, "an address that was found did not work");
        failure ??= reason;
      }
    }
    throw failure ?? notFound(id);
  }
}

/** Whether a text is an id's, and so no address. */
export function isIdText(text: string): boolean {
  return fromBase64(text)?.length === 32;
}

function notFound(id: PeerId): NetworkError {
  return networkError("PEER_NOT_FOUND", `no plugin found an address of peer ${id.short}`, {
    peer: id.text,
  });
}
