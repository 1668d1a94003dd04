/**
 * Discovery: the plugins `kademlia` and `gossip` as one, loaded when its network starts.
 *
 *     const found = discovery({ bootstrap: ["net:198.51.100.7:9000~noise:…"] });
 *     const network = createNetwork({ discovery: found });
 *     const { kademlia } = await found.started();
 *
 * A network that is made without them loads nothing of them. Their hooks are handed on one by one, gossip's
 * before kademlia's: what gossip delivers to the others is not shown to this plugin again.
 */

import {
  type Deferred,
  type Delivery,
  deferred,
  type FindOptions,
  type Message,
  type MessageContext,
  type Network,
  type NetworkContext,
  networkError,
  type PeerContext,
  type PeerId,
  type Plugin,
  parseAddress,
} from "@testudo/core";
import type { Gossip, GossipOptions } from "@testudo/plugins/gossip";
import type { Kademlia, KademliaOptions } from "@testudo/plugins/kademlia";

export interface DiscoveryOptions extends KademliaOptions {
  /** Of the plugin gossip; `false`: messages with `reach: "network"` go no further than our own peers. Default: on. */
  readonly gossip?: GossipOptions | false;
}

/** What discovery consists of, while it serves a network. */
export interface Discovered {
  readonly kademlia: Kademlia;
  /** `undefined` with the option `gossip: false`. */
  readonly gossip: Gossip | undefined;
}

/** A plugin for one network. */
export interface Discovery extends Plugin {
  /**
   * Resolves when both plugins have started, which is not yet when others were met: for that there is
   * `kademlia.joined()`. Rejects with what kept them from it, `PLUGIN_FAILED`, and `NETWORK_CLOSED` once the
   * network is closed. Settles only after it was given to a network.
   */
  started(): Promise<Discovered>;
}

/**
 * Both plugins, for the option `discovery` of `createNetwork`. Throws `TypeError` for options that are not what they must
 * be, and `AddressError` for a bootstrap address that is none. Their numbers are checked by code that is not
 * loaded yet: what is wrong with one keeps the plugin from starting, and `started` says it.
 */
export function discovery(options: DiscoveryOptions = {}): Discovery {
  return new DiscoveryPlugin(options);
}

/** What `discovery` makes. */
export class DiscoveryPlugin implements Discovery {
  readonly name: string = "discovery";
  readonly #options: DiscoveryOptions;
  readonly #outcome: Deferred<Discovered> = deferred();
  /** Of its network, if somebody handed it in. */
  #registration: Promise<unknown> | undefined;
  #parts: readonly Plugin[] = [];
  /** A network has it, or had. */
  #used = false;
  #closed = false;

  constructor(options: DiscoveryOptions) {
    this.#options = checked(options);
  }

  async started(): Promise<Discovered> {
    const found = await this.#outcome.promise;
    // Not before its hooks are called.
    await this.#registration;
    if (this.#closed) throw networkError("NETWORK_CLOSED", "the network of discovery is closed");
    return found;
  }

  /** Throws `TypeError` for one that a network has, or had. */
  checkUnused(): void {
    if (this.#used) throw new TypeError("a discovery is for one network; make another");
  }

  /** Registers it; then `started` waits for no longer than the network itself. Never rejects. */
  async register(network: Network): Promise<void> {
    this.#registration = network.registerPlugin(this);
    try {
      await this.#registration;
    } catch (error) {
      // In the log it is already.
      this.#outcome.reject(error);
    }
  }

  async startup(context: NetworkContext): Promise<void> {
    this.checkUnused();
    this.#used = true;
    try {
      const found = await this.#start(context);
      this.#parts = found.gossip === undefined ? [found.kademlia] : [found.gossip, found.kademlia];
      this.#outcome.resolve(found);
    } catch (error) {
      // The network tells it in its own words to who handed it in.
      if (this.#registration === undefined) this.#outcome.reject(error);
      throw error;
    }
  }

  newMessage(context: MessageContext): void | Promise<void> {
    return all(this.#parts.map((part) => part.newMessage?.(context)));
  }

  nodeAdded(context: PeerContext): void | Promise<void> {
    return all(this.#parts.map((part) => part.nodeAdded?.(context)));
  }

  nodeDeleted(context: PeerContext): void | Promise<void> {
    return all(this.#parts.map((part) => part.nodeDeleted?.(context)));
  }

  close(context: NetworkContext): void | Promise<void> {
    this.#closed = true;
    return all(this.#parts.map((part) => part.close?.(context)));
  }

  async findPeer(id: PeerId, asked: FindOptions): Promise<string | undefined> {
    for (const part of this.#parts) {
      const address = await part.findPeer?.(id, asked);
      if (address !== undefined) return address;
    }
    return undefined;
  }

  disseminate(message: Message): Delivery | undefined {
    for (const part of this.#parts) {
      const delivery = part.disseminate?.(message);
      if (delivery !== undefined) return delivery;
    }
    return undefined;
  }

  async #start(context: NetworkContext): Promise<Discovered> {
    const { network } = context;
    const { runtime, limits } = network;
    const { gossip: spread = {}, ...options } = this.#options;
    const lateAt = runtime.now() + limits.hookTimeoutMs;
    const { kademlia } = await import("@testudo/plugins/kademlia");
    const overlay = kademlia(options);
    let gossip: Gossip | undefined;
    if (spread !== false) {
      gossip = (await import("@testudo/plugins/gossip")).gossip({ overlay, ...spread });
    }
    await overlay.startup(context);
    try {
      await gossip?.startup(context);
      const awaited = network.networkState().plugins.some(({ status }) => status === "starting");
      // Nobody would close what is begun now.
      if (!awaited || runtime.now() >= lateAt) {
        throw networkError("NETWORK_CLOSED", "the network did not wait for it to start");
      }
    } catch (error) {
      await all([gossip?.close(), overlay.close()]);
      throw error;
    }
    return { kademlia: overlay, gossip };
  }
}

/** What can be checked without the plugins' code. */
function checked(options: DiscoveryOptions): DiscoveryOptions {
  if (typeof options !== "object" || options === null || "startup" in options) {
    throw new TypeError("discovery must be its options, or what discovery() made of them");
  }
  const { bootstrap = [], addresses, storage, gossip } = options;
  if (!Array.isArray(bootstrap)) throw new TypeError("bootstrap must be a list of addresses");
  for (const address of bootstrap) parseAddress(address);
  if (addresses !== undefined && typeof addresses !== "function") {
    throw new TypeError("addresses must be a function that gives a list of them");
  }
  checkStorage(storage, "storage");
  if (gossip === undefined || gossip === false) return { ...options, bootstrap: [...bootstrap] };
  if (typeof gossip !== "object" || gossip === null) {
    throw new TypeError("gossip must be its options, or false");
  }
  checkStorage(gossip.storage, "gossip.storage");
  if (gossip.storage !== undefined && gossip.storage === storage) {
    throw new TypeError("gossip.storage must be another than storage: each keeps one thing");
  }
  return { ...options, bootstrap: [...bootstrap], gossip: { ...gossip } };
}

function checkStorage(storage: KademliaOptions["storage"], name: string): void {
  if (storage === undefined) return;
  if (typeof storage?.load !== "function" || typeof storage.save !== "function") {
    throw new TypeError(`${name} must have load() and save(), as fileStorage(path) has`);
  }
}

/** Nothing to wait for where no hook has anything. */
function all(results: readonly (void | Promise<void>)[]): void | Promise<void> {
  const waiting = results.filter((result) => result !== undefined);
  return waiting.length === 0 ? undefined : Promise.all(waiting).then(() => {});
}
