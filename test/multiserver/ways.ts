/**
 * Ways: the transports that are attacked, and how a stranger comes in by each of them, or plays a listener.
 *
 * A further transport is one line in `WAYS`. A stranger has the bare socket (of `ws`, the messages): no
 * handshake is done for it, no error of it is unhandled, and it knows when it is over.
 */

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Connection,
  concat,
  deferred,
  type Route,
  type Section,
  type Transport,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { unix } from "@testudo/transports/unix";
import { ws } from "@testudo/transports/ws";
// Through the package that depends on it: what lies beside this folder is the published multiserver's.
import { WebSocket } from "../../packages/transports/test/ws/support.ts";

/** The end of a line in a test's hand. */
export interface Stranger {
  /** All that the other side said. */
  readonly heard: Uint8Array;
  readonly over: boolean;
  /** Settles when the line is gone, whoever ended it. */
  readonly closed: Promise<void>;
  say(bytes: Uint8Array): void;
  /** A reset where there is one. */
  cut(): void;
}

export interface Way {
  readonly name: string;
  /** Listens where its options say: on loopback, or in that folder. */
  listening(folder: string): Transport;
  dialling(): Transport;
  stranger(to: Section): Promise<Stranger>;
}

const LOOPBACK = { host: "127.0.0.1", port: 0 };

export const NET: Way = {
  name: "net",
  listening: () => net(LOOPBACK),
  dialling: () => net(),
  stranger: (to) => socketTo({ host: "127.0.0.1", port: Number(to.args.at(-1)) }),
};

export const UNIX: Way = {
  name: "unix",
  listening: (path) => unix({ path }),
  dialling: () => unix(),
  stranger: (to) => socketTo({ path: to.args.join(":") }),
};

export const WS: Way = {
  name: "ws",
  listening: () => ws(LOOPBACK),
  dialling: () => ws(),
  stranger: async (to) => {
    const socket = new WebSocket(to.text);
    const stranger = new WebStranger(socket);
    await Promise.race([once(socket, "open"), stranger.closed]);
    return stranger;
  },
};

export const WAYS: readonly Way[] = [NET, WS, UNIX];

/** Somebody who listens by that way, and is no node: `play` has whoever dials. */
export class Impostor implements AsyncDisposable {
  /** The transport's section of the address to dial. */
  readonly section: string;
  readonly #end: () => Promise<void>;

  private constructor(section: string, end: () => Promise<void>) {
    this.section = section;
    this.#end = end;
  }

  static async start(way: Way, play: (connection: Connection) => void): Promise<Impostor> {
    const place = await folder();
    const transport = way.listening(place.path);
    const open = new Set<Connection>();
    const at = transport.place;
    const listener =
      at &&
      (await transport.listen?.(at, (connection) => {
        open.add(connection);
        play(connection);
      }));
    if (listener === undefined) throw new Error(`${way.name} cannot listen`);
    return new Impostor(listener.section.text, async () => {
      for (const connection of open) connection.abort(new Error("the test is over"));
      await listener.close();
      await place[Symbol.asyncDispose]();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end();
  }
}

/** A folder of its own for as long as the test wants it. */
export async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "testudo-ways-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export function transportOf(route: Route | undefined): Section {
  const [section] = route?.sections ?? [];
  if (section === undefined) throw new Error("no such route");
  return section;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function socketTo(to: { host: string; port: number } | { path: string }): Promise<Stranger> {
  const socket = connect({ ...to, allowHalfOpen: true });
  const stranger = new SocketStranger(socket);
  await Promise.race([once(socket, "connect").catch(() => {}), stranger.closed]);
  return stranger;
}

class SocketStranger implements Stranger {
  readonly closed: Promise<void>;
  over = false;
  readonly #socket: Socket;
  readonly #heard: Uint8Array[] = [];

  constructor(socket: Socket) {
    const closed = deferred<void>();
    this.closed = closed.promise;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", (chunk) => this.#heard.push(chunk));
    socket.on("end", () => socket.destroy());
    socket.on("close", () => {
      this.over = true;
      closed.resolve();
    });
  }

  get heard(): Uint8Array {
    return concat(...this.#heard);
  }

  say(bytes: Uint8Array): void {
    if (!this.over) this.#socket.write(bytes);
  }

  cut(): void {
    if (this.#socket.remoteFamily === undefined) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }
}

export class WebStranger implements Stranger {
  readonly closed: Promise<void>;
  over = false;
  readonly socket: WebSocket;
  readonly #heard: Uint8Array[] = [];

  constructor(socket: WebSocket) {
    const closed = deferred<void>();
    this.closed = closed.promise;
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("message", (data: Uint8Array) => this.#heard.push(new Uint8Array(data)));
    socket.on("close", () => {
      this.over = true;
      closed.resolve();
    });
  }

  get heard(): Uint8Array {
    return concat(...this.#heard);
  }

  say(bytes: Uint8Array | string): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }

  cut(): void {
    this.socket.terminate();
  }
}
