/**
 * The published multiserver as a listener and as a dialer, on loopback or a socket file, one suite each.
 *
 * Closing a listener cuts what is still open first: the original's own close waits for that. It never hides
 * what the original reports: failed handshakes are in `errors`, and closing it tells of a failure.
 */

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createRequire } from "node:module";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import MultiServer from "multiserver";
import net from "multiserver/plugins/net.js";
import noauth from "multiserver/plugins/noauth.js";
import shs from "multiserver/plugins/shs.js";
import ws from "multiserver/plugins/ws.js";
import type { Kind } from "../kinds.ts";
import { within } from "../within.ts";

type Plugin = MultiServer.Plugin;
type Raw = MultiServer.PullStream;

export interface OriginalOptions {
  readonly keys: MultiServer.Keys;
  readonly appKey: Buffer;
  /** Only for a listener. Default: everybody is let in, with `auth` true. */
  readonly authenticate?: Parameters<typeof shs>[0]["authenticate"];
  /** For a single read of the handshake, in milliseconds. Default: the original's own, 5 s. */
  readonly timeoutMs?: number;
  /** Only for a listener on `net` or `unix`: whether it may answer a dialer that has ended. Default: the original's own, no. */
  readonly allowHalfOpen?: boolean;
}

/** Dials one address with the suites of `kinds`. Rejects with what the original says. */
export function dialWithOriginal(
  address: string,
  kinds: readonly Kind[],
  options: OriginalOptions,
): Promise<Raw> {
  const suites = kinds.map((kind) => [
    kind.transport === "ws" ? ws() : clientPlugin(kind),
    transform(kind, options),
  ]);
  const dialled = new Promise<Raw>((resolve, reject) => {
    MultiServer(suites).client(address, (error, stream) => {
      if (stream === undefined || error)
        reject(error ?? new Error("neither a stream nor an error"));
      else resolve(stream);
    });
  });
  return within(`the original dialling ${address}`, dialled);
}

export class OriginalListener {
  /** As the original prints it for its own device. */
  readonly address: string;
  /** Handshakes that failed, as the original tells of them. */
  readonly errors: readonly Error[];
  readonly #close: () => Promise<void>;
  #closed: Promise<void> | undefined;

  private constructor(address: string, errors: readonly Error[], close: () => Promise<void>) {
    this.address = address;
    this.errors = errors;
    this.#close = close;
  }

  static async open(
    kind: Kind,
    options: OriginalOptions,
    onStream: (stream: Raw) => void,
  ): Promise<OriginalListener> {
    const place = await placeFor(kind, options.allowHalfOpen ?? false);
    const raw: Raw[] = [];
    const errors: Error[] = [];
    const multi = MultiServer([[place.plugin, transform(kind, options)]], (stream) => {
      raw.push(stream);
      return stream;
    });
    const started = new Promise<() => Promise<void>>((resolve, reject) => {
      const close = multi.server(
        onStream,
        (error) => errors.push(error),
        // Not at once: on a failure it may be called before `close` is there.
        (error) => setImmediate(() => (error ? reject(error) : resolve(() => closing(close)))),
      );
    });
    const close = await within(`the original listening on ${kind.transport}`, started);
    return new OriginalListener(multi.stringify(), errors, async () => {
      const closed = close();
      place.cut(raw);
      await within("the original closing", closed);
      await place.release();
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }
}

function closing(close: (done: MultiServer.Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    close((error) => (error ? reject(error) : resolve()));
  });
}

function transform({ transform: name }: Kind, options: OriginalOptions): Plugin {
  const { keys, appKey, timeoutMs: timeout } = options;
  if (name === "noauth") return noauth({ keys });
  const { authenticate = (_id, answer) => answer(null, true) } = options;
  return shs({ keys, appKey, authenticate, ...(timeout === undefined ? {} : { timeout }) });
}

function clientPlugin({ transport }: Kind): Plugin {
  // The path is not used to dial; without one it would make a folder.
  return transport === "unix" ? freshUnix()({ path: tmpdir() }) : net({});
}

interface Place {
  readonly plugin: Plugin;
  /** Cuts what is still connected. */
  cut(raw: readonly Raw[]): void;
  release(): Promise<void>;
}

async function placeFor({ transport }: Kind, allowHalfOpen: boolean): Promise<Place> {
  if (transport === "ws") return httpPlace();
  if (transport === "unix") return unixPlace(allowHalfOpen);
  const port = await freePort();
  return {
    plugin: net({ host: "127.0.0.1", port, allowHalfOpen }),
    cut: cutAll,
    release: async () => {},
  };
}

async function unixPlace(allowHalfOpen: boolean): Promise<Place> {
  const path = await mkdtemp(join(tmpdir(), "testudo-original-"));
  return {
    plugin: freshUnix()({ path, allowHalfOpen }),
    cut: cutAll,
    release: () => rm(path, { recursive: true }),
  };
}

/** With a server of our own: the original throws where nobody can catch it when it cannot bind one. */
async function httpPlace(): Promise<Place> {
  const server = createHttpServer();
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    plugin: ws({ host: "127.0.0.1", server }),
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    release: async () => {},
  };
}

function cutAll(raw: readonly Raw[]): void {
  for (const { source } of raw) source(new Error("the test is over"), () => {});
}

/**
 * A copy of the plugin of its own: it serves once in the life of a process, and looks again only when it
 * is loaded again.
 */
function freshUnix(): (options: Readonly<Record<string, unknown>>) => Plugin {
  const require = createRequire(import.meta.url);
  const name = "multiserver/plugins/unix-socket.js";
  delete require.cache[require.resolve(name)];
  return require(name) as (options: Readonly<Record<string, unknown>>) => Plugin;
}

/** The original asks for a number and does not say which it got. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
