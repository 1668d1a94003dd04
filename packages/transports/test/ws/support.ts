/**
 * What the tests of `ws` share: everything they open is closed after each test, and a stranger's WebSocket
 * or HTTP client at the other end.
 */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  type Connection,
  deferred,
  type Listener,
  type ListenOptions,
  parseAddress,
  type Section,
  type Transport,
} from "@testudo/core";
import { type ClientOptions, WebSocket } from "ws";
import { type WsOptions, ws } from "../../src/ws/index.ts";

export { WebSocket, WebSocketServer } from "ws";

export function at(text: string): Section {
  const section = parseAddress(text).routes[0]?.sections[0];
  if (section === undefined) throw new Error(`${text} has no section`);
  return section;
}

export function portOf({ section }: Listener): number {
  return Number(new URL(section.text).port);
}

/** What one test opened; all of it is gone after `close()`. */
export class World {
  readonly accepted: Connection[] = [];
  readonly #closing: (() => unknown)[] = [];

  /** To be done when the test is over, last first. */
  later(close: () => unknown): void {
    this.#closing.push(close);
  }

  async listen(
    place: string,
    options: WsOptions = {},
    how: ListenOptions & { accept?: (connection: Connection) => void } = {},
  ): Promise<Listener> {
    return this.listenBy(ws(options), place, how);
  }

  async listenBy(
    transport: Transport,
    place: string,
    {
      accept = () => {},
      ...how
    }: ListenOptions & { accept?: (connection: Connection) => void } = {},
  ): Promise<Listener> {
    const take = (connection: Connection): void => {
      this.accepted.push(connection);
      this.later(() => connection.abort(new Error("the test is over")));
      accept(connection);
    };
    const listener = await transport.listen?.(at(place), take, how);
    if (listener === undefined) throw new Error("it cannot listen");
    this.later(() => listener.close());
    return listener;
  }

  async dial(to: string | Section, options: WsOptions = {}): Promise<Connection> {
    const section = typeof to === "string" ? at(to) : to;
    const connection = await ws(options).dial(section, { signal: new AbortController().signal });
    this.later(() => connection.abort(new Error("the test is over")));
    return connection;
  }

  /** Both ends of one connection. */
  async pair(options: WsOptions = {}): Promise<{ dialer: Connection; accepted: Connection }> {
    const arrived = deferred<Connection>();
    const { section } = await this.listen("ws://127.0.0.1:0", options, { accept: arrived.resolve });
    return { dialer: await this.dial(section, options), accepted: await arrived.promise };
  }

  /** An accepted connection, and the package's own WebSocket at its other end. */
  async withStranger(
    options: WsOptions = {},
  ): Promise<{ connection: Connection; stranger: WebSocket }> {
    const arrived = deferred<Connection>();
    const { section } = await this.listen("ws://127.0.0.1:0", options, { accept: arrived.resolve });
    const stranger = this.stranger(section);
    await once(stranger, "open");
    return { connection: await arrived.promise, stranger };
  }

  /** The same with a bare socket that never hangs up by itself. */
  async withSocket(): Promise<{ connection: Connection; socket: Socket }> {
    const arrived = deferred<Connection>();
    const listener = await this.listen("ws://127.0.0.1:0", {}, { accept: arrived.resolve });
    const socket = connect({ port: portOf(listener), host: "127.0.0.1", allowHalfOpen: true });
    this.later(() => socket.destroy());
    socket.on("error", () => {});
    socket.write(request());
    await once(socket, "data");
    return { connection: await arrived.promise, socket };
  }

  stranger(to: Section, options: ClientOptions = {}): WebSocket {
    const stranger = new WebSocket(to.text, options);
    stranger.on("error", () => {});
    this.later(() => stranger.terminate());
    return stranger;
  }

  /** A TCP connection to a listener, to say what no WebSocket would. */
  async socket(listener: Listener): Promise<Socket> {
    const socket = connect(portOf(listener), "127.0.0.1");
    socket.on("error", () => {});
    this.later(() => socket.destroy());
    await once(socket, "connect");
    return socket;
  }

  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
    this.accepted.length = 0;
  }
}

/** Everything the other side says until it hangs up. */
export async function heard(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

/** A request for a WebSocket, as text. */
export function request(lines: Readonly<Record<string, string>> = {}, path: string = "/"): string {
  const headers = {
    Host: "127.0.0.1",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...lines,
  };
  const text = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${text.join("")}\r\n`;
}

/** The socket below a stranger's WebSocket, for what the package never does by itself. */
export function below(stranger: WebSocket): Socket {
  return (stranger as unknown as { _socket: Socket })._socket;
}

/** When a socket is closed, by an error or without one. */
export function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    // What is left to read would hold it open.
    socket.resume();
  });
}
