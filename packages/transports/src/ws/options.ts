/**
 * Options of `ws`, and what they are on every platform. Types of Node's stand here as types only.
 */

import type { Server as HttpServer, RequestListener } from "node:http";
import type { Server as HttpsServer } from "node:https";
import type { ConnectionOptions, TlsOptions } from "node:tls";
import type { Scope } from "@testudo/core";
import { MAX_PAYLOAD_BYTES, MAX_SENT_BYTES } from "./connection.ts";
import type { Origins } from "./origin.ts";

export type { Origins } from "./origin.ts";

export interface WsOptions {
  /** Where to listen when no address says so: on this port, 0 for a free one. Default: nowhere. */
  readonly port?: number;
  /** With `port` or `server`: the host to bind, or the name to tell. Default: this machine alone, unless `scope` says more. */
  readonly host?: string;
  /** With `port` or `server`: the path to listen on. Default `/`. No two may share one on the same server. */
  readonly path?: string;
  /**
   * An HTTP or HTTPS server to listen on, which listens already. It is neither closed nor changed; what is
   * dialled on its port at our path comes here. In place of `port` and `tls`.
   */
  readonly server?: HttpServer | HttpsServer;
  /** Listens with TLS, as `wss`: a certificate (`key` and `cert`, or `pfx`) and whatever else `tls.createServer` takes. */
  readonly tls?: TlsOptions;
  /** Dials `wss` with these: `ca`, `servername`, `rejectUnauthorized`, and whatever else `tls.connect` takes. */
  readonly dialTls?: ConnectionOptions;
  /** Which scopes a listener serves; see `net`. Default: what its host says. */
  readonly scope?: Scope | readonly Scope[];
  /**
   * The host or hosts that others on the internet dial in place of where it is bound. Or whole URLs, such as
   * `wss://example.org/node`, where a proxy with another port or path stands in front.
   */
  readonly external?: string | readonly string[];
  /**
   * Web pages that may dial a listener: `any`, origins such as `https://example.org`, or a function. Default:
   * any where keys are proved; over `noauth`, only those served from here, by an address, by `localhost`, by
   * `host` or `external`, or with a certificate. Who sends no Origin is no browser and is not asked.
   */
  readonly origins?: Origins;
  /** Answers plain HTTP on a server of our own. Default: 426, with a word about WebSockets. */
  readonly handler?: RequestListener;
  /**
   * The longest message taken, in bytes; a longer one closes its connection, `FRAME_TOO_LARGE`. At least
   * 256 KiB, the longest sent. Default: 1 MiB.
   */
  readonly maxPayloadBytes?: number;
  /** Connections the kernel keeps for a listener that is busy. Default 511; the system may cap it. */
  readonly backlog?: number;
  /**
   * Told when a connection could not be accepted, for example because too many files are open. The
   * listener goes on. Must not throw. Default: nobody is told.
   */
  readonly onAcceptError?: (error: Error) => void;
}

export const NAMES: {
  readonly name: "ws";
  readonly names: readonly string[];
  readonly halfClose: false;
} = { name: "ws", names: ["ws", "wss"], halfClose: false };

/** Throws `RangeError`. */
export function readMaxPayload(given: number = MAX_PAYLOAD_BYTES): number {
  if (!Number.isInteger(given) || given < MAX_SENT_BYTES || given >= 2 ** 31) {
    throw new RangeError(`maxPayloadBytes must be a whole number from ${MAX_SENT_BYTES} to 2^31`);
  }
  return given;
}
