/**
 * `ws` on Node: dials and listens with the package `ws`.
 *
 * The import condition `#websocket` picks this file, or `socket-browser.ts` where there is no Node.
 */

import { Server as TlsServer } from "node:tls";
import { asError, networkError, type Section, type Side, type Transport } from "@testudo/core";
import { dialNode, wsMeaningOf } from "./dial.ts";
import { type AnyServer, addressOf } from "./http-server.ts";
import { listenNode } from "./listener.ts";
import { NAMES, readMaxPayload, type WsOptions } from "./options.ts";
import { readOrigins } from "./origin.ts";
import { Told } from "./told.ts";
import { placeOf, readPath, sectionOf, type WsPlace } from "./url.ts";

/** Throws `TypeError`, `RangeError` or `AddressError` for options that make no sense. */
export function platform(options: WsOptions): Transport {
  checkOptions(options);
  const { port, server, tls, handler, dialTls = {}, backlog = 511 } = options;
  const { onAcceptError = () => {} } = options;
  const maxPayloadBytes = readMaxPayload(options.maxPayloadBytes);
  const origins = options.origins === undefined ? undefined : readOrigins(options.origins);
  const told = new Told(options);
  const secure = server === undefined ? tls !== undefined : server instanceof TlsServer;

  const listensAt = (section: Section): WsPlace => {
    const place = placeOf(section, "listener");
    if (place.secure !== secure) throw wrongName(section, server);
    return place;
  };
  const transport: Transport = {
    ...NAMES,
    check(section: Section, side: Side) {
      if (side === "listener") listensAt(section);
      else placeOf(section, side);
    },
    async dial(section, dial) {
      const place = placeOf(section, "dialer");
      dial.signal.throwIfAborted();
      try {
        return await dialNode(place, section, dial, { maxPayloadBytes, dialTls });
      } catch (error) {
        if (dial.signal.aborted) throw dial.signal.reason;
        const { text: address } = section;
        const message = `cannot reach ${address}: ${wsMeaningOf(error)}`;
        throw networkError("DIAL_REFUSED", message, { cause: error, address });
      }
    },
    async listen(section, accept, { authenticated = false } = {}) {
      return listenNode(section, listensAt(section), accept, {
        server,
        tls,
        handler,
        backlog,
        onAcceptError,
        origins,
        authenticated,
        told,
        maxPayloadBytes,
      });
    },
    advertised: (bound, scope) => told.sections(placeOf(bound, "listener"), scope),
  };
  if (server !== undefined) {
    return {
      ...transport,
      // Asked for anew each time: the server may begin to listen later.
      get place() {
        const bound = addressOf(server);
        return placeFrom(options, secure, bound?.address ?? told.hosts.bindHost, bound?.port ?? 0);
      },
    };
  }
  if (port === undefined) return transport;
  return { ...transport, place: placeFrom(options, secure, told.hosts.bindHost, port) };
}

function checkOptions({ port, host, path, server, tls, handler, ...rest }: WsOptions): void {
  const { backlog = 511, onAcceptError = () => {} } = rest;
  if (typeof onAcceptError !== "function") throw new TypeError("onAcceptError must be a function");
  if (!Number.isInteger(backlog) || backlog < 1) {
    throw new RangeError("backlog must be a positive integer");
  }
  if (handler !== undefined && typeof handler !== "function") {
    throw new TypeError("ws handler must be a function (request, response)");
  }
  if (port !== undefined && (!Number.isInteger(port) || port < 0 || port > 65_535)) {
    throw new RangeError("ws port must be a whole number from 0 to 65535");
  }
  if (server === undefined && port === undefined && (host !== undefined || path !== undefined)) {
    throw new TypeError("ws host and path need a port or a server beside them; port 0 picks one");
  }
  if (server !== undefined && (typeof server !== "object" || !("requestTimeout" in server))) {
    throw new TypeError("ws server must be an HTTP or HTTPS server of Node");
  }
  if (server !== undefined && [port, tls, handler].some((own) => own !== undefined)) {
    throw new TypeError("ws server has its own port, tls and handler; leave out either");
  }
  if (tls === undefined) return;
  const { cert, key, pfx, SNICallback } = tls;
  if ((cert === undefined || key === undefined) && (pfx ?? SNICallback) === undefined) {
    throw new TypeError("ws tls needs a certificate: key and cert, or pfx");
  }
}

function placeFrom(options: WsOptions, secure: boolean, bindHost: string, port: number): Section {
  const host = (options.host ?? bindHost).replace(/^\[(.*)\]$/, "$1");
  const path = readPath(options.path ?? "/", "ws path");
  try {
    // There and back, so that it stands as it will be read.
    return sectionOf(placeOf(sectionOf({ secure, host, port, path }), "listener"));
  } catch (cause) {
    throw new TypeError(`ws host cannot be used: ${asError(cause).message}`, { cause });
  }
}

function wrongName(section: Section, server: AnyServer | undefined): Error {
  const { name, text: address } = section;
  let why = "listening on wss needs a certificate, as in ws({ tls: { key, cert } })";
  if (name === "ws") why = "with tls it speaks wss only; ask for wss://";
  if (server !== undefined) {
    why = `the given server speaks ${name === "ws" ? "TLS; ask for wss" : "no TLS; ask for ws"}://`;
  }
  return networkError("ADDRESS_UNSUPPORTED", `cannot listen on ${address}: ${why}`, { address });
}
