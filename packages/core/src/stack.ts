/**
 * Stack: one transport and its transforms, as one way to reach a node (multiserver's compose).
 *
 * Dials and accepts, runs the handshakes under one deadline, and gives a `Link`: a connection with its
 * session. It knows nothing of messages or peers, and never dials a weaker form of an address.
 */

import { makeRoute, type Route, type Section, sectionKey, shownRoute } from "./address.ts";
import { equal } from "./bytes.ts";
import { type Connection, type Listener, type Side, Wire } from "./connection.ts";
import {
  aboutAddress,
  asError,
  asNetworkError,
  type NetworkError,
  networkError,
} from "./errors.ts";
import type { Identity } from "./identity.ts";
import { Deadline, type Runtime } from "./runtime.ts";
import { composeSessions, SealedConnection } from "./session.ts";
import type { Session, Transform } from "./transform.ts";
import type { Transport } from "./transport.ts";

/** A transport, then the transforms next to it first: `[net(), noise()]` speaks `net:…~noise:…`. */
export type StackParts = readonly [Transport, ...Transform[]];

/** A connection whose handshakes are done. */
export interface Link {
  readonly connection: Connection;
  readonly session: Session;
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
    const [transport, ...transforms] = parts;
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
    return route.sections.map((section) => section.name).join("~") === this.name;
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
   * text as `address`, or with the signal's reason; nothing is left open then. `connected` is told when
   * the transport is there and the handshake begins.
   */
  async dial(
    route: Route,
    options: StackOptions & { signal?: AbortSignal; connected?: () => void },
  ): Promise<Link> {
    const [section] = route.sections;
    if (section === undefined) throw new TypeError("route has no sections");
    this.expectedKey(route);
    const address = shownRoute(route);
    const limit = new Deadline(
      options.runtime,
      options.dialTimeoutMs,
      () =>
        networkError(
          "DIAL_TIMEOUT",
          `no answer from ${section.text} in ${options.dialTimeoutMs} ms`,
          {
            address,
          },
        ),
      options.signal,
    );
    let connection: Connection;
    try {
      limit.signal.throwIfAborted();
      connection = await this.transport.dial(section, { signal: limit.signal });
    } catch (error) {
      if (limit.over) throw limit.reason;
      const why = `cannot connect to ${section.text}`;
      throw aboutAddress(asNetworkError(error, "DIAL_REFUSED", why), address);
    } finally {
      limit.clear();
    }
    options.connected?.();
    return this.#shake(connection, "dialer", options, route, options.signal);
  }

  /** The listener's half: shakes hands on an accepted connection; on any failure the connection is aborted. */
  accept(connection: Connection, options: StackOptions): Promise<Link> {
    return this.#shake(connection, "listener", options, undefined, undefined);
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
    return this.transport.listen(section, onConnection);
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

  #routeTo(section: Section, identity: Identity): Route {
    return makeRoute([section, ...this.transforms.map((transform) => transform.section(identity))]);
  }

  /** A listener knows where a connection came from, not where its node listens: the text is for people. */
  #seenFrom(connection: Connection): string {
    return [connection.remote.text, ...this.transforms.map((transform) => transform.name)].join(
      "~",
    );
  }

  async #shake(
    connection: Connection,
    side: Side,
    options: StackOptions,
    route: Route | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Link> {
    const address = route === undefined ? connection.remote.text : shownRoute(route);
    const connectedAt = options.runtime.now();
    const limit = new Deadline(
      options.runtime,
      options.handshakeTimeoutMs,
      () =>
        networkError(
          "HANDSHAKE_TIMEOUT",
          `${address} did not finish the handshake in ${options.handshakeTimeoutMs} ms`,
          { address },
        ),
      signal,
      (reason) => connection.abort(asError(reason)),
    );
    try {
      let session: Session = NO_TRANSFORM;
      const opened: Uint8Array[] = [];
      let pipe: Connection | SealedConnection = connection;
      for (const [index, transform] of this.transforms.entries()) {
        const wire = new Wire(pipe);
        const section = route?.sections[index + 1];
        const next = await transform.handshake(wire, {
          side,
          identity: options.identity,
          chain: this.chain,
          networkId: options.networkId,
          get signal() {
            return limit.signal;
          },
          ...(section === undefined ? {} : { section }),
        });
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
      return {
        connection,
        session,
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
      connection.abort(asError(reason));
      throw reason;
    } finally {
      limit.clear();
    }
  }
}

function expectedOf(transform: Transform, section: Section): Uint8Array | undefined {
  return transform.authenticates ? sectionKey(section) : undefined;
}
