/**
 * Listener for WebSockets, on an HTTP server of its own or a given one: from upgrades to connections.
 *
 * Looks at the Origin before it upgrades. What it refuses it answers with a status and a sentence.
 */

import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import {
  asError,
  type Connection,
  type Listener,
  NetworkError,
  networkError,
  type Section,
} from "@testudo/core";
import { WebSocketServer } from "ws";
import { isLoopback, isWildcard, meaningOf, plainIp } from "../net/host.ts";
import { NO_CLOSE_TIMEOUT } from "./dial.ts";
import {
  type AnyServer,
  addressOf,
  type Desk,
  deskOf,
  type OwnServerOptions,
  refuse,
  shareOwn,
} from "./http-server.ts";
import { hand, NodeConnection } from "./node-connection.ts";
import { foreignOrigin, type Origins } from "./origin.ts";
import type { Told } from "./told.ts";
import { remoteSection, sectionOf, type WsPlace } from "./url.ts";

export interface WsListenOptions extends OwnServerOptions {
  readonly server?: AnyServer | undefined;
  readonly origins?: Origins | undefined;
  readonly authenticated: boolean;
  readonly told: Told;
  readonly maxPayloadBytes: number;
}

/** Rejects `DialError` `LISTEN_FAILED`. */
export async function listenNode(
  asked: Section,
  place: WsPlace,
  accept: (connection: Connection) => void,
  options: WsListenOptions,
): Promise<Listener> {
  let release = (): void => {};
  try {
    let desk: Desk;
    if (options.server === undefined) {
      ({ desk, release } = await shareOwn(place.host, place.port, options));
    } else {
      desk = deskOf(options.server);
    }
    const { address, port } = tcpAddressOf(desk.server, place.port);
    const upgrades = new Upgrades(place, accept, options);
    desk.add(place.path, upgrades.take);
    let closed = false;
    return {
      section: sectionOf({ ...place, host: dialableHost(place, address, options), port }),
      bound: sectionOf({ ...place, port }),
      local: isLoopback(address),
      async close() {
        if (closed) return;
        closed = true;
        desk.remove(place.path);
        release();
      },
    };
  } catch (error) {
    release();
    if (error instanceof NetworkError) throw error;
    throw networkError("LISTEN_FAILED", `cannot listen on ${asked.text}: ${meaningOf(error)}`, {
      cause: error,
      address: asked.text,
    });
  }
}

function tcpAddressOf(server: AnyServer, port: number): { address: string; port: number } {
  const bound = addressOf(server);
  if (bound === undefined) {
    throw new Error(
      server.listening
        ? "the given server listens on a pipe, which no address can name"
        : "the given server does not listen yet; call its listen() first",
    );
  }
  if (port !== 0 && port !== bound.port) {
    throw new Error(`the given server listens on port ${bound.port}`);
  }
  return bound;
}

/** A name stays as it was given, since a certificate may be for it; but plain `localhost` is where it was bound. */
function dialableHost(place: WsPlace, address: string, { told }: WsListenOptions): string {
  if (isWildcard(place.host)) return told.hosts.widestHost(place.host);
  const plain = !place.secure && isIP(place.host) === 0 && isLoopback(address);
  return plain ? plainIp(address) : place.host;
}

/** What of one path's upgrades becomes a connection. */
class Upgrades {
  readonly #place: WsPlace;
  readonly #accept: (connection: Connection) => void;
  readonly #options: WsListenOptions;
  readonly #protocol: WebSocketServer;

  constructor(place: WsPlace, accept: (connection: Connection) => void, options: WsListenOptions) {
    this.#place = place;
    this.#accept = accept;
    this.#options = options;
    const protocol = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.maxPayloadBytes,
      ...NO_CLOSE_TIMEOUT,
    };
    this.#protocol = new WebSocketServer(protocol);
  }

  readonly take = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    let why: string | undefined;
    try {
      why = this.#foreign(request);
    } catch (error) {
      why = "this origin could not be judged";
      this.#options.onAcceptError(asError(error));
    }
    try {
      if (why === undefined) this.#upgrade(request, socket, head);
      else refuse(socket, 403, why);
    } catch (error) {
      // Somebody else on the given server has upgraded it before us, and owns it.
      this.#options.onAcceptError(asError(error));
    }
  };

  #foreign(request: IncomingMessage): string | undefined {
    const { origins, authenticated, told } = this.#options;
    const { secure, host } = this.#place;
    const hosts = [host, ...told.names];
    return foreignOrigin(request, { origins, authenticated, secure, hosts });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { remoteAddress, remotePort } = request.socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      // Reset since it asked: there is nobody to talk to.
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    const remote = remoteSection(this.#place.secure, plainIp(remoteAddress), remotePort);
    const local = isLoopback(remoteAddress);
    const { maxPayloadBytes } = this.#options;
    this.#protocol.handleUpgrade(request, socket, head, (ws) => {
      hand(new NodeConnection(ws, socket, { remote, local, maxPayloadBytes }), this.#accept);
    });
  }
}
