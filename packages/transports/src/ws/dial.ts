/**
 * Dialling a WebSocket on Node: TCP as `net` does it, TLS for `wss`, then the HTTP upgrade (RFC 6455,
 * section 4.1). Under one signal in all three; no timeout of its own, no redirects, no compression.
 */

import { isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { DialOptions, Section } from "@testudo/core";
import { type ClientOptions, WebSocket } from "ws";
import { SOCKET_HIGH_WATER_BYTES } from "../net/connection.ts";
import { connectTcp } from "../net/dial.ts";
import { isLoopback, meaningOf } from "../net/host.ts";
import { NodeConnection, printable } from "./node-connection.ts";
import { urlOf, type WsPlace } from "./url.ts";

export interface NodeDialOptions {
  readonly maxPayloadBytes: number;
  /** For `wss`: `ca`, `servername`, `rejectUnauthorized`, and the rest of `tls.connect`. */
  readonly dialTls: ConnectionOptions;
}

/** As long as the owner waits: `ws` would cut after half a minute, with bytes still on their way. */
export const NO_CLOSE_TIMEOUT: { readonly closeTimeout: number } = { closeTimeout: 2 ** 31 - 1 };

/** What a refusal's body may say in our error, in characters. */
const SHOWN = 200;

/** Rejects with what the system or the other side said, or with the signal's reason; nothing is left open then. */
export async function dialNode(
  place: WsPlace,
  section: Section,
  dial: DialOptions,
  options: NodeDialOptions,
): Promise<NodeConnection> {
  const tcp = await connectTcp(place, dial);
  const local = isLoopback(tcp.remoteAddress ?? "");
  const socket = place.secure ? await secured(tcp, place, dial.signal, options.dialTls) : tcp;
  return upgraded(socket, place, dial.signal, options.maxPayloadBytes, (ws) => {
    const { maxPayloadBytes } = options;
    return new NodeConnection(ws, socket, { remote: section, local, maxPayloadBytes });
  });
}

function secured(
  tcp: Socket,
  { host }: WsPlace,
  signal: AbortSignal,
  options: ConnectionOptions,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const how: ConnectionOptions & { readonly highWaterMark: number } = {
      ALPNProtocols: ["http/1.1"],
      // A name for the server to choose its certificate by; an address cannot be one, and is only compared.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      highWaterMark: SOCKET_HIGH_WATER_BYTES,
      ...options,
      host,
      socket: tcp,
    };
    const socket = connectTls(how);
    // Stays: an error may follow the one that ends it here, or come before the new owner listens.
    socket.on("error", () => {});
    const fail = (error: unknown): void => {
      forget();
      socket.destroy();
      tcp.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason);
    const onClose = (): void => fail(new Error("it hung up during the TLS handshake"));
    const forget = (): void => {
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("error", fail);
      socket.removeListener("close", onClose);
    };
    socket.once("error", fail);
    socket.once("close", onClose);
    socket.once("secureConnect", () => {
      forget();
      resolve(socket);
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** `take` is called in the turn in which the WebSocket opened, so that none of its events finds nobody. */
function upgraded(
  socket: Socket,
  place: WsPlace,
  signal: AbortSignal,
  maxPayload: number,
  take: (ws: WebSocket) => NodeConnection,
): Promise<NodeConnection> {
  return new Promise((resolve, reject) => {
    if (signal.aborted || socket.destroyed) {
      socket.destroy();
      reject(signal.aborted ? signal.reason : new Error("it hung up at once"));
      return;
    }
    const options: ClientOptions & typeof NO_CLOSE_TIMEOUT = {
      createConnection: () => socket,
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload,
      ...NO_CLOSE_TIMEOUT,
    };
    const ws = new WebSocket(urlOf(place), options);
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", onAbort);
      ws.removeListener("open", onOpen);
      ws.terminate();
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason);
    const onOpen = (): void => {
      signal.removeEventListener("abort", onAbort);
      ws.removeListener("error", fail);
      resolve(take(ws));
    };
    // Stays, as above: terminating is an error to the package.
    ws.on("error", () => {});
    ws.once("error", fail);
    ws.once("open", onOpen);
    ws.on("unexpected-response", (_request, response) => {
      const { statusCode = 0, statusMessage = "" } = response;
      const answered = (body: string): void => {
        const said = printable(body).slice(0, SHOWN);
        const what = `it answered HTTP ${statusCode} ${printable(statusMessage)}`.trim();
        fail(new Error(said === "" ? `${what}, no WebSocket` : `${what}: ${said}`));
      };
      const isText = /^text\/plain\b/i.test(response.headers["content-type"] ?? "");
      response.once("data", (chunk: Buffer) => answered(isText ? chunk.toString() : ""));
      response.once("end", () => answered(""));
      response.once("error", () => answered(""));
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

const MEANINGS: Readonly<Record<string, string>> = {
  ECONNRESET: "it hung up during the handshake",
  EPROTO: "what listens there does not speak TLS as we do; ws:// if it speaks none",
  DEPTH_ZERO_SELF_SIGNED_CERT:
    "its certificate is self-signed; trust it by ws({ dialTls: { ca: CERTIFICATE } })",
  SELF_SIGNED_CERT_IN_CHAIN:
    "its certificate is signed by an authority unknown here; trust it by ws({ dialTls: { ca: CERTIFICATE } })",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "its certificate is signed by an authority unknown here; trust it by ws({ dialTls: { ca: CERTIFICATE } })",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another host",
};

/** What a failed dial means to a person. */
export function wsMeaningOf(error: unknown): string {
  const code =
    typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  if (code.startsWith("HPE_")) {
    return `what listens there does not speak HTTP, or only behind TLS (${code})`;
  }
  if (code.startsWith("ERR_SSL_")) return `${MEANINGS["EPROTO"]} (${code})`;
  const meaning = MEANINGS[code];
  return meaning === undefined ? meaningOf(error) : `${meaning} (${code})`;
}
