/**
 * Stack: one transport and its transforms, as one way to reach a node (multiserver's compose).
 *
 * Dials and accepts, runs the handshakes under one deadline, and gives a `Link`: a connection with its
 * session. It knows nothing of messages or peers, and never dials a weaker form of an address.
 */

import { makeRoute, type Route, type Section, sectionKey, shownRoute } from "./address.ts";
import { equal } from "./bytes.ts";
import {
  type Connection,
  type DatagramPipe,
  type Listener,
  type Side,
  Wire,
} from "./connection.ts";
import {
  aboutAddress,
  asError,
  asNetworkError,
  NetworkError,
  networkError,
  type Stage,
} from "./errors.ts";
import type { Identity } from "./identity.ts";
import { Deadline, type Runtime } from "./runtime.ts";
import type { Scope } from "./scope.ts";
import { composeSessions, SealedConnection } from "./session.ts";
import type { Session, Transform } from "./transform.ts";
import type { Transport } from "./transport.ts";

/** A transport, then the transforms next to it first: `[net(), noise()]` speaks `net:…~noise:…`. */
export type StackParts = readonly [Transport, ...Transform[]];

/** A connection whose handshakes are done. */
export interface Link {
  readonly connection: Connection;
  readonly session: Session;
  /** Of the connection, started; absent where the transport has none, or the stack no key to seal them with. */
  readonly datagrams?: DatagramPipe;
  /** Plaintext that arrived right behind the handshake. */
  readonly opened: readonly Uint8Array[];
  readonly side: Side;
  /** `runtime.now()` when the transport was there and the handshakes began. */
  readonly connectedAt: number;
  /** The dialled route; on a listener, where the connection came from and the transforms' names. */
  readonly address: string;
}

/** What every dial and every accepted connection needs to know of its owner. */
export interface StackOptions {
  readonly identity: Identity;
  /** 32 bytes. */
  readonly networkId: Uint8Array;
  readonly runtime: Runtime;
  readonly dialTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** Given every connection before the transforms see it; what it returns goes on in its place. A throw refuses it. */
  readonly wrap?: Wrap;
}

export type Wrap = (connection: Connection, side: Side) => Connection;

/** A dial's own: what ends it, and who is told how far it got. */
export interface StackDialOptions extends StackOptions {
  readonly signal?: AbortSignal;
  readonly stage?: (stage: Stage) => void;
}

const NO_TRANSFORM: Session = {
  remoteKey: undefined,
  boxBytes: Number.POSITIVE_INFINITY,
  seal: (plain) => plain.map((piece) => new Uint8Array(piece)),
  open: (chunk) => [chunk],
  ended: true,
};

export class Stack {
  readonly transport: Transport;
  readonly transforms: readonly Transform[];
  /** `net~noise`. */
  readonly name: string;
  /** The transforms' names joined by `~`: both ends must mean the same chain. */
  readonly chain: string;
  /** Whether a link of this stack has a proved key. */
  readonly authenticates: boolean;

  constructor(parts: StackParts) {
    if (!Array.isArray(parts)) {
      throw new TypeError(
        "a stack is a list, such as [net(), noise()], and stacks a list of those",
      );
    }
    const [transport, ...transforms]: StackParts = parts;
    if (typeof transport?.dial !== "function") {
      throw new TypeError("a stack starts with a transport, such as net()");
    }
    for (const transform of transforms) {
      if (typeof transform?.handshake !== "function") {
        throw new TypeError(
          `stack ${transport.name}: what follows the transport must be transforms, such as noise()`,
        );
      }
    }
    this.transport = transport;
    this.transforms = transforms;
    this.chain = transforms.map((transform) => transform.name).join("~");
    this.name = [transport.name, ...transforms.map((transform) => transform.name)].join("~");
    this.authenticates = transforms.some((transform) => transform.authenticates);
  }

  /** Whether the route names exactly this transport and these transforms. */
  speaks(route: Route): boolean {
    const [first, ...rest] = route.sections.map((section) => section.name);
    const { name, names = [name] } = this.transport;
    return first !== undefined && names.includes(first) && rest.join("~") === this.chain;
  }

  /** Throws `AddressError` when the route can never be used by that side. */
  check(route: Route, side: Side): void {
    const [section, ...sections] = route.sections;
    if (section === undefined) throw new TypeError("route has no sections");
    try {
      this.transport.check?.(section, side);
      for (const [index, transform] of this.transforms.entries()) {
        const own = sections[index];
        if (own !== undefined) transform.check?.(own, side);
      }
      this.expectedKey(route);
    } catch (error) {
      throw error instanceof NetworkError ? aboutAddress(error, shownRoute(route)) : error;
    }
  }

  /** Whose key a link of this stack proves: that of the outermost transform that proves one, its own or the given one. */
  identity(given: Identity): Identity {
    return this.transforms.findLast(({ authenticates }) => authenticates)?.identity ?? given;
  }

  /** The key the route promises, if it names one. Throws `AddressError` when a key cannot be read. */
  expectedKey(route: Route): Uint8Array | undefined {
    let key: Uint8Array | undefined;
    for (const [index, transform] of this.transforms.entries()) {
      const section = route.sections[index + 1];
      if (transform.authenticates && section !== undefined) key = sectionKey(section) ?? key;
    }
    return key;
  }

  /**
   * Connects and shakes hands. Rejects with the error of the stage that failed, carrying the route's
   * text as `address`, or with the signal's reason; nothing is left open then.
   */
  async dial(route: Route, options: StackDialOptions): Promise<Link> {
    const [section] = route.sections;
    if (section === undefined) throw new TypeError("route has no sections");
    this.check(route, "dialer");
    options.stage?.("connect");
    const address = shownRoute(route);
    const dialTimeoutMs = Math.max(options.dialTimeoutMs, this.transport.dialTimeoutMs ?? 0);
    const limit = new Deadline(
      options.runtime,
      dialTimeoutMs,
      () =>
        networkError("DIAL_TIMEOUT", `no answer from ${section.text} in ${dialTimeoutMs} ms`, {
          address,
        }),
      options.signal,
    );
    let connection: Connection;
    try {
      limit.signal.throwIfAborted();
      const dialling = this.transport.dial(section, {
        signal: limit.signal,
        ...(options.stage === undefined ? {} : { stage: options.stage }),
      });
      connection = await orOver(dialling, limit, (late) => late.abort(asError(limit.reason)));
    } catch (error) {
      if (limit.over) throw limit.reason;
      const why = `cannot connect to ${section.text}`;
      throw aboutAddress(asNetworkError(error, "DIAL_REFUSED", why), address);
    } finally {
      limit.clear();
    }
    options.stage?.("handshake");
    return this.#shake(connection, "dialer", options, route, options.signal);
  }

  /**
   * The listener's half: shakes hands on an accepted connection; on any failure the connection is aborted.
   * Rejects with the signal's reason when that fires first.
   */
  accept(connection: Connection, options: StackOptions, signal?: AbortSignal): Promise<Link> {
    return this.#shake(connection, "listener", options, undefined, signal);
  }

  /** Listens on the transport section alone; what arrives goes to `accept` above. */
  async listen(
    section: Section,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    if (this.transport.listen === undefined) {
      throw networkError("LISTEN_FAILED", `${this.transport.name} cannot listen; dial with it`, {
        address: section.text,
      });
    }
    return this.transport.listen(section, onConnection, { authenticated: this.authenticates });
  }

  /** Why a listener of this stack must not stay open, if it must not: others than this machine reach it, and nobody proves anything. */
  strangersAt(listener: Listener): NetworkError | undefined {
    if (this.authenticates || listener.local) return undefined;
    const { text } = listener.section;
    return networkError(
      "LISTEN_FAILED",
      `${text} without noise or shs would let anybody in unproved; listen on loopback, or allow it (allowPublicNoauth)`,
      { address: text },
    );
  }

  /** What others dial to reach a listener of this stack. */
  addressOf(listener: Listener, identity: Identity): string {
    return this.#routeTo(listener.section, identity).text;
  }

  /** What others within `scope` dial to reach a listener bound at `bound`; nothing when it does not serve that scope. */
  advertised(bound: Section, scope: Scope, identity: Identity): string[] {
    const sections = this.transport.advertised?.(bound, scope) ?? [bound];
    return sections.map((section) => this.#routeTo(section, identity).text);
  }

  #routeTo(section: Section, identity: Identity): Route {
    const sections = this.transforms.map((transform) =>
      transform.section(transform.identity ?? identity),
    );
    return makeRoute([section, ...sections]);
  }

  /** A listener knows where a connection came from, not where its node listens: the text is for people. */
  #seenFrom(connection: Connection): string {
    return [connection.remote.text, ...this.transforms.map((transform) => transform.name)].join(
      "~",
    );
  }

  /** A stack that proves keys has no datagrams that anybody could forge: without a key for them it has none. */
  #startDatagrams({ datagrams }: Connection, session: Session): DatagramPipe | undefined {
    if (session.exportKey !== undefined) datagrams?.start(session.exportKey("datagrams"));
    else if (this.authenticates) return undefined;
    else datagrams?.start();
    return datagrams;
  }

  async #shake(
    raw: Connection,
    side: Side,
    options: StackOptions,
    route: Route | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Link> {
    const address = route === undefined ? raw.remote.text : shownRoute(route);
    const hint = side === "dialer" ? `; it may not speak ${this.chain}` : "";
    const connectedAt = options.runtime.now();
    const limit = new Deadline(
      options.runtime,
      options.handshakeTimeoutMs,
      () =>
        networkError(
          "HANDSHAKE_TIMEOUT",
          `${address} did not finish the handshake in ${options.handshakeTimeoutMs} ms${hint}`,
          { address },
        ),
      signal,
      (reason) => raw.abort(asError(reason)),
    );
    try {
      const connection = options.wrap === undefined ? raw : options.wrap(raw, side);
      let session: Session = NO_TRANSFORM;
      const opened: Uint8Array[] = [];
      let pipe: Connection | SealedConnection = connection;
      for (const [index, transform] of this.transforms.entries()) {
        const wire = new Wire(pipe);
        const section = route?.sections[index + 1];
        const shaking = transform.handshake(wire, {
          side,
          identity: transform.identity ?? options.identity,
          chain: this.chain,
          networkId: options.networkId,
          get signal() {
            return limit.signal;
          },
          ...(section === undefined ? {} : { section }),
        });
        const next = await orOver(shaking, limit);
        const expected = section === undefined ? undefined : expectedOf(transform, section);
        if (
          expected !== undefined &&
          (next.remoteKey === undefined || !equal(expected, next.remoteKey))
        ) {
          throw networkError("PEER_UNEXPECTED", `${address} is not the node its address names`, {
            address,
          });
        }
        session = index === 0 ? next : composeSessions(session, next);
        if (index + 1 < this.transforms.length) {
          pipe = new SealedConnection(pipe, next, [], wire.rest());
        } else {
          const behind = pipe instanceof SealedConnection ? pipe.leftover() : [];
          for (const chunk of [wire.rest(), ...behind]) {
            if (chunk.length > 0) opened.push(...next.open(chunk));
          }
        }
      }
      if (limit.over) throw limit.reason;
      const datagrams = this.#startDatagrams(connection, session);
      return {
        connection,
        session,
        ...(datagrams === undefined ? {} : { datagrams }),
        opened,
        side,
        connectedAt,
        address: route === undefined ? this.#seenFrom(connection) : address,
      };
    } catch (error) {
      const why = `handshake with ${address} failed`;
      const reason: unknown = limit.over
        ? limit.reason
        : aboutAddress(asNetworkError(error, "HANDSHAKE_FAILED", why), address);
      raw.abort(asError(reason));
      throw reason;
    } finally {
      limit.clear();
    }
  }
}

function expectedOf(transform: Transform, section: Section): Uint8Array | undefined {
  return transform.authenticates ? sectionKey(section) : undefined;
}

/**
 * What `work` comes to, or a rejection as soon as the limit is over: one that does not heed its signal must
 * not hold anybody up. What it still brings is given back.
 */
function orOver<T>(
  work: Promise<T>,
  limit: Deadline,
  discard: (late: T) => void = () => {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    const { signal } = limit;
    const onOver = (): void => reject(limit.reason);
    const settle = (): void => signal.removeEventListener("abort", onOver);
    signal.addEventListener("abort", onOver, { once: true });
    work.then((done) => (limit.over ? discard(done) : resolve(done)), reject).then(settle, settle);
    if (limit.over) onOver();
  });
}
