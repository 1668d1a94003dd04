/**
 * Network: the façade. Everything a user calls, read top to bottom.
 *
 * A network owns its stacks, one route table and one plugin host. Peers are keyed by the key their
 * handshake proved; a peer is in the table exactly while it has its one live stream.
 */

import { parseAddress, shownAddress } from "./address.ts";
import { AddressBook, isIdText } from "./address-book.ts";
import type { Channel } from "./channel.ts";
import { Connector } from "./connector.ts";
import type { Delivery } from "./delivery.ts";
import type { Choice } from "./dialer.ts";
import type { Target } from "./dials.ts";
import { type NetworkError, networkError } from "./errors.ts";
import { FanOut, type PeerName } from "./fan-out.ts";
import { Identity, networkIdOf, PeerId } from "./identity.ts";
import { type Limits, withDefaults } from "./limits.ts";
import type { Authorize } from "./lobby.ts";
import { harmless, type Logger, silent } from "./logger.ts";
import { checkMessage, type Message, type SignedMessage, signedBytes } from "./message.ts";
import { MultiServer } from "./multiserver.ts";
import { PassingPeers } from "./passing-peers.ts";
import type { LivePeer, Peer } from "./peer.ts";
import type { AnyPlugin } from "./plugin.ts";
import { sheltered } from "./plugin-context.ts";
import { PluginHost } from "./plugin-host.ts";
import { RouteTable } from "./route-table.ts";
import { type Runtime, systemRuntime } from "./runtime.ts";
import type { StackParts } from "./stack.ts";
import { type Counters, type NetworkState, snapshot } from "./state.ts";
import { addTraffic } from "./traffic.ts";

export interface NetworkOptions extends Choice {
  /** Default: a fresh one. */
  identity?: Identity;
  /** `[[net(), noise()]]`: what this node can dial and listen on. Default: none. */
  stacks?: readonly StackParts[];
  /** 32 bytes, or a text of which the SHA-256 is taken. Nodes of different networks never connect, except over `noauth`, which proves nothing. Default: `testudo`. */
  networkId?: Uint8Array | string;
  /** May broadcasts go to this peer? False: connected, not writable. Throwing: closed with `PEER_REFUSED`. */
  authorize?: Authorize;
  /** Allows `noauth` on a listener that others than this machine can reach. Default: false. */
  allowPublicNoauth?: boolean;
  /** Time, timers, randomness. Default: the system's. */
  runtime?: Runtime;
  /** Default: silent. A pino logger fits. */
  logger?: Logger;
  /** Changes to the defaults in `limits.ts`. */
  limits?: Partial<Limits>;
}

export interface AddOptions {
  readonly signal?: AbortSignal;
  /** Default false: a node that is a peer already stays on the stream it has. */
  readonly move?: boolean;
  /**
   * Only to ask something: a new peer is not writable, on neither side, is not kept up, and is closed when nobody
   * uses it for `limits.passingIdleMs`; see `Peer.passing`. One that is here to stay is left as it is. Default false.
   */
  readonly passing?: boolean;
}

/** Takes a channel that a peer opened; see `network.handleChannel`. */
export type ChannelHandler = (channel: Channel, peer: Peer) => void | Promise<void>;

export class Network implements AsyncDisposable {
  readonly identity: Identity;
  /** 32 bytes. */
  readonly networkId: Uint8Array;
  readonly limits: Readonly<Limits>;
  /** For plugins and for whoever else needs time: what throws in one of its timers is logged. */
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly #table = new RouteTable();
  readonly #plugins: PluginHost;
  readonly #connector: Connector;
  readonly #channelHandlers = new Map<string, ChannelHandler>();
  readonly #passing: PassingPeers;
  readonly #book: AddressBook;
  readonly #fanOut: FanOut;
  readonly #counters: Counters = {
    messagesIn: 0,
    messagesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    added: 0,
    deleted: 0,
  };
  #nonce = 0;
  #closed: Promise<void> | undefined;
  /** The plugins have said their goodbyes: nothing is sent any more. */
  #mute = false;

  constructor(options: NetworkOptions = {}) {
    this.networkId = networkIdOf(options.networkId ?? "testudo");
    this.limits = withDefaults(options.limits);
    this.logger = options.logger === undefined ? silent : harmless(options.logger);
    const runtime = options.runtime ?? systemRuntime;
    this.runtime = sheltered(runtime, (error) =>
      this.logger.error({ error }, "a timer's callback failed"),
    );
    this.identity =
      options.identity ?? Identity.generate((length) => this.runtime.randomBytes(length));
    this.#plugins = new PluginHost({
      network: this,
      networkId: this.networkId,
      limits: this.limits,
      runtime,
      logger: this.logger,
      peers: () => this.#table.peers.values(),
      replyTo: (origin, via, message, to) => {
        const peer = this.#table.get(origin.text);
        return peer === undefined ? via.send(message) : peer.reply(message, to);
      },
    });
    const multi = new MultiServer(options.stacks ?? [], {
      identity: this.identity,
      networkId: this.networkId,
      limits: this.limits,
      runtime,
      allowPublicNoauth: options.allowPublicNoauth ?? false,
      prefer: options.prefer,
      allow: options.allow,
    });
    if (multi.identities.some((own) => own.id.text !== this.id.text)) {
      throw new TypeError("a transform's own identity must be the network's; leave it out there");
    }
    this.#connector = new Connector({
      multi,
      identity: this.identity,
      networkId: this.networkId,
      limits: this.limits,
      runtime,
      logger: this.logger,
      authorize: options.authorize,
      table: this.#table,
      owner: {
        networkId: this.networkId,
        limits: this.limits,
        runtime,
        nextNonce: () => this.#nextNonce(),
        received: (peer, message) => this.#plugins.newMessage(peer, message),
        left: (peer, reason) => this.#left(peer, reason),
        released: (peer) => this.#connector.lobby.released(peer),
        used: (peer) => this.#passing.used(peer),
        channelHandler: (name) => this.#channelHandlers.get(name),
      },
      added: (peer) => this.#added(peer),
    });
    this.#passing = new PassingPeers(runtime, this.limits.passingIdleMs);
    this.#book = new AddressBook({
      own: this.id,
      table: this.#table,
      connector: this.#connector,
      passing: this.#passing,
      limits: this.limits,
      runtime,
      logger: this.logger,
      finders: () => this.#plugins.finders,
      ready: async () => {
        await this.#plugins.started();
        this.#checkOpen();
      },
    });
    this.#fanOut = new FanOut({
      logger: this.logger,
      nextNonce: () => this.#nextNonce(),
      find: (name) => this.#book.find(name),
      dial: (address) => this.#book.reach(parseAddress(address)),
    });
  }

  /** This node's own id. */
  get id(): PeerId {
    return this.identity.id;
  }

  /** The peers alive now, by the text of their id. A live view. */
  get peers(): ReadonlyMap<string, Peer> {
    return this.#table.peers;
  }

  /** Addresses of listeners, as others can dial them. */
  get addresses(): readonly string[] {
    return this.#connector.addresses;
  }

  /**
   * Addresses, or ids, that `add` reached and `delete` did not take back, each with the text of the id it led to
   * last: what a redialling plugin keeps up. A live view.
   */
  get wanted(): ReadonlyMap<string, string> {
    return this.#book.wanted;
  }

  /**
   * Adds a plugin and awaits its `startup`; peers already here are shown to it by `nodeAdded`. Throws
   * `TypeError` or `PLUGIN_DUPLICATE`, rejects `PLUGIN_FAILED`. Without `await`, `listen` and `add` wait.
   */
  registerPlugin<P extends AnyPlugin>(plugin: P): Promise<P> {
    this.#checkOpen();
    const registered = this.#plugins.register(plugin).then(() => plugin);
    // One that nobody awaits must not end the process; `listen` and `add` go on without it.
    registered.catch((error: unknown) =>
      this.logger.error({ error }, "a plugin was not registered"),
    );
    return registered;
  }

  /** Calls the plugin's `close` and shows it nothing more. Rejects `TypeError` for one that is not registered. */
  unregisterPlugin(plugin: AnyPlugin): Promise<void> {
    return this.#plugins.unregister(plugin);
  }

  /**
   * Listens on an address such as `net:0.0.0.0:9000~noise` (port 0 picks one; several with `;`). Resolves
   * with the address others can use. Rejects `AddressError` or `DialError` `LISTEN_FAILED`.
   */
  async listen(address: string): Promise<string> {
    const parsed = parseAddress(address);
    this.#checkOpen();
    await this.#plugins.started();
    return this.#connector.listen(parsed);
  }

  /** Stops listening on what `listen` resolved with, or on one of its alternatives; peers live on. Rejects `TypeError` when nothing listens there. */
  async unlisten(address: string): Promise<void> {
    if (!(await this.#connector.unlisten(address))) {
      throw new TypeError(
        `nothing listens on ${shownAddress(address)}; network.addresses has what does`,
      );
    }
  }

  /**
   * The peer at an address, or with an id, which a plugin's `findPeer` then finds: the one we have, or a new one
   * once its handshake is done and `nodeAdded` has fired. Concurrent calls for one share one dial. With `move`, a
   * peer that we have over another stream goes over to this address: the same peer, and nothing that was accepted
   * is lost. Rejects `AddressError`, `DialError` (`PEER_NOT_FOUND`), `HandshakeError` or the signal's reason.
   */
  async add(peer: string | PeerId, options: AddOptions = {}): Promise<Peer> {
    const target = this.#targetOf(peer);
    this.#checkOpen();
    options.signal?.throwIfAborted();
    if (options.move === true && options.passing === true) {
      throw new TypeError("move and passing exclude each other: who moves a peer wants it to stay");
    }
    return this.#book.add(target, options);
  }

  /** Closes a peer (or stops a dial) and takes its address back: nothing redials it. Resolves when its bytes are wound down. */
  async delete(peer: PeerName): Promise<void> {
    const live = this.#book.find(peer);
    this.#book.takeBack(peer, live);
    if (live === undefined) return;
    live.close({ code: "STREAM_CLOSED", text: "deleted" });
    await live.stream.released;
  }

  /**
   * To every writable peer, or to exactly those named by peer, id or address; an address not connected is
   * dialled. Never waits; `report()` tells what became of it. Throws `TypeError`, `RangeError` or
   * `AddressError` for arguments that can never work.
   */
  broadcast(message: Message, ...peers: readonly PeerName[]): Delivery {
    checkMessage(message, this.limits);
    this.#checkOpen(this.#mute);
    if (peers.length > 0) return this.#fanOut.toNamed(message, peers);
    return (
      this.#plugins.disseminate(message) ?? this.#fanOut.toPeers(message, this.#table.writable())
    );
  }

  /** To min(n, writable) distinct writable peers, each set of them equally likely. */
  broadcastRandomly(message: Message, n: number): Delivery {
    checkMessage(message, this.limits);
    this.#checkOpen(this.#mute);
    if (typeof n !== "number" || Number.isNaN(n)) throw new TypeError("n must be a number");
    return this.#fanOut.toPeers(message, this.#table.sample(Math.floor(n), this.runtime));
  }

  /** The message with our key and a signature over network id, opcode, nonce and body. */
  sign(message: Message): SignedMessage {
    checkMessage(message, this.limits);
    const nonce = this.#nextNonce();
    const signature = this.identity.sign(
      signedBytes(this.networkId, message.opcode, nonce, message.body),
    );
    return { ...message, nonce, signer: this.id, signature };
  }

  /** Takes channels that peers open by this name. Returns how to stop. Throws `TypeError` when the name has a handler. */
  handleChannel(name: string, handler: ChannelHandler): () => void {
    if (typeof handler !== "function") throw new TypeError("handler must be a function");
    if (this.#channelHandlers.has(name))
      throw new TypeError(`channel ${JSON.stringify(name)} already has a handler`);
    this.#channelHandlers.set(name, handler);
    return () => {
      if (this.#channelHandlers.get(name) === handler) this.#channelHandlers.delete(name);
    };
  }

  /** A frozen, serialisable snapshot. */
  networkState(): NetworkState {
    return snapshot({
      id: this.id.text,
      addresses: this.addresses,
      peers: this.#table.peers.values(),
      counters: this.#counters,
      plugins: this.#plugins.states,
    });
  }

  /** Plugins' `close` hooks first (their goodbyes still travel), then streams, then listeners. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const reason = networkError("NETWORK_CLOSED", "the node is closing");
    this.#book.close(reason);
    await this.#plugins.close();
    this.#mute = true;
    await this.#connector.close(reason);
  }

  #checkOpen(closed: boolean = this.#closed !== undefined): void {
    if (closed) throw networkError("NETWORK_CLOSED", "the network is closed; make a new one");
  }

  #nextNonce(): number {
    this.#nonce = (this.#nonce + 1) >>> 0;
    return this.#nonce;
  }

  #targetOf(peer: string | PeerId): Target {
    if (peer instanceof PeerId) return peer;
    const known = this.#table.get(peer);
    if (known !== undefined) return known.id;
    return typeof peer === "string" && isIdText(peer) ? PeerId.from(peer) : parseAddress(peer);
  }

  #added(peer: LivePeer): void {
    this.#counters.added++;
    // It came to ask something, or we did; but it is one that we look for.
    if (peer.passing && this.#book.wants(peer)) peer.stay();
    this.#passing.used(peer);
    this.#plugins.nodeAdded(peer);
  }

  #left(peer: LivePeer, reason: NetworkError): void {
    if (!this.#table.delete(peer)) return;
    this.#passing.forget(peer);
    this.#counters.deleted++;
    addTraffic(this.#counters, peer.traffic);
    this.#plugins.nodeDeleted(peer, reason);
    this.#connector.lobby.left(peer);
  }
}
