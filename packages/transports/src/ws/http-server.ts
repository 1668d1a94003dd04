/**
 * HTTP servers that several networks share, each by its path: one of our own for each host and port, or one
 * that was given. Nobody's path is answered 404. A server of ours bounds what has not become a WebSocket yet,
 * in number and in time; the oldest makes room.
 */

import {
  createServer as createHttp,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
  STATUS_CODES,
} from "node:http";
import { createServer as createHttps, type Server as HttpsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TlsOptions } from "node:tls";
import { SOCKET_HIGH_WATER_BYTES } from "../net/connection.ts";

export type AnyServer = HttpServer | HttpsServer;
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export interface OwnServerOptions {
  readonly tls?: TlsOptions | undefined;
  readonly handler?: RequestListener | undefined;
  readonly backlog: number;
  readonly onAcceptError: (error: Error) => void;
  /** How long a connection may take to ask for a WebSocket, in milliseconds. Default 10,000. */
  readonly headersTimeoutMs?: number;
  /** Connections that have not become WebSockets. Reached: the oldest is cut. Default 256. */
  readonly maxWaiting?: number;
}

/** How often deadlines are looked at. */
const CHECK_MS = 1_000;

/** One server and who listens on it. */
export class Desk {
  readonly server: AnyServer;
  readonly #given: boolean;
  readonly #upgrades = new Map<string, Upgrade>();

  constructor(server: AnyServer, given: boolean) {
    this.server = server;
    this.#given = given;
  }

  /** Throws when somebody listens on that path. */
  add(path: string, upgrade: Upgrade): void {
    if (this.#upgrades.has(path)) {
      throw new Error(`another network listens on path ${path} of this server`);
    }
    if (this.#upgrades.size === 0) this.server.on("upgrade", this.#onUpgrade);
    this.#upgrades.set(path, upgrade);
  }

  remove(path: string): void {
    this.#upgrades.delete(path);
    if (this.#upgrades.size === 0) this.server.removeListener("upgrade", this.#onUpgrade);
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const [path = ""] = (request.url ?? "").split("?");
    const upgrade = this.#upgrades.get(path);
    if (upgrade !== undefined) upgrade(request, socket, head);
    // On a given server, what is not for us may be for somebody else.
    else if (!this.#given || this.server.listenerCount("upgrade") === 1) {
      refuse(socket, 404, "nobody listens on this path");
    }
  };
}

/** Answers instead of upgrading, and hangs up. */
export function refuse(socket: Duplex, status: number, why: string): void {
  const body = `${why}\n`;
  socket.on("error", () => {});
  socket.resume();
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "Connection: close",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ];
  socket.end(lines.join("\r\n"), () => socket.destroy());
}

const givenDesks = new WeakMap<AnyServer, Desk>();

export function deskOf(server: AnyServer): Desk {
  const desk = givenDesks.get(server) ?? new Desk(server, true);
  givenDesks.set(server, desk);
  return desk;
}

/** A place on a server of our own, until it is given back. */
export interface Share {
  readonly desk: Desk;
  /** Closes the server with the last share. Idempotent. */
  release(): void;
}

interface OwnServer {
  readonly host: string;
  /** What `host` turned out to be. */
  address: string;
  /** As asked, until it is bound. */
  port: number;
  readonly waiting: ReadonlyMap<string, Socket>;
  readonly options: OwnServerOptions;
  readonly desk: Desk;
  readonly bound: Promise<void>;
  shares: number;
}

const ownServers = new Set<OwnServer>();

/**
 * A share in the server of ours at this host and port, which is opened when there is none. One that is there
 * is shared only by who wants the same of it: certificate, backlog and handler. Rejects with the system's error.
 */
export async function shareOwn(
  host: string,
  port: number,
  options: OwnServerOptions,
): Promise<Share> {
  const there = [...ownServers].find(
    (own) =>
      own.port !== 0 &&
      own.port === port &&
      (own.host === host || own.address === host) &&
      agree(own.options, options),
  );
  const own = there ?? open(host, port, options);
  own.shares++;
  let released = false;
  const release = (): void => {
    if (released) return;
    released = true;
    own.shares--;
    if (own.shares > 0) return;
    ownServers.delete(own);
    own.desk.server.close();
    // What has become a WebSocket lives on.
    for (const socket of own.waiting.values()) socket.destroy();
  };
  try {
    await own.bound;
  } catch (error) {
    release();
    throw error;
  }
  return { desk: own.desk, release };
}

function agree(one: OwnServerOptions, other: OwnServerOptions): boolean {
  return (
    one.tls === other.tls &&
    one.backlog === other.backlog &&
    (other.handler === undefined || one.handler === other.handler)
  );
}

function open(host: string, port: number, options: OwnServerOptions): OwnServer {
  const waiting = new Map<string, Socket>();
  const server = createServer(options, waiting);
  const bound = new Promise<void>((resolve, reject) => {
    server.on("error", (error) => {
      if (server.listening) options.onAcceptError(error);
      else reject(error);
    });
    server.listen({ host, port, backlog: options.backlog }, () => {
      Object.assign(own, addressOf(server));
      resolve();
    });
  });
  const desk = new Desk(server, false);
  const own: OwnServer = { host, address: host, port, options, waiting, desk, bound, shares: 0 };
  ownServers.add(own);
  return own;
}

/** Where a server that listens on TCP is bound. */
export function addressOf(server: AnyServer): { address: string; port: number } | undefined {
  const address = server.address();
  return address === null || typeof address === "string"
    ? undefined
    : { address: address.address, port: address.port };
}

function createServer(options: OwnServerOptions, waiting: Map<string, Socket>): AnyServer {
  const { tls, handler = onlyUpgrades, headersTimeoutMs = 10_000, maxWaiting = 256 } = options;
  const common = {
    noDelay: true,
    highWaterMark: SOCKET_HIGH_WATER_BYTES,
    headersTimeout: headersTimeoutMs,
    connectionsCheckingInterval: Math.min(CHECK_MS, headersTimeoutMs),
  };
  const server =
    tls === undefined
      ? createHttp(common, handler)
      : createHttps({ handshakeTimeout: headersTimeoutMs, ...common, ...tls }, handler);
  server.on("connection", (socket: Socket) => {
    const name = nameOf(socket);
    waiting.set(name, socket);
    socket.once("close", () => {
      if (waiting.get(name) === socket) waiting.delete(name);
    });
    for (const [first, oldest] of waiting) {
      if (waiting.size <= maxWaiting) break;
      waiting.delete(first);
      oldest.destroy();
    }
  });
  server.on("upgrade", (request: IncomingMessage) => waiting.delete(nameOf(request.socket)));
  return server;
}

/** With TLS, what is upgraded is not the socket that arrived, but has its other end. */
function nameOf({ remoteAddress = "", remotePort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

const onlyUpgrades: RequestListener = (_request, response) => {
  const body = "a node listens here, for WebSockets only\n";
  response.writeHead(426, {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": Buffer.byteLength(body),
    Connection: "close",
    Upgrade: "websocket",
  });
  response.end(body);
};
