/**
 * Proxies: where they are, reaching one of several, and having it make a connection.
 *
 * The next proxy is tried only when one cannot be reached. What a proxy that answers will not do is not asked of another.
 */

import type { Socket } from "node:net";
import {
  asError,
  type Connection,
  type DialOptions,
  hostAndPort,
  networkError,
  type Section,
  section,
} from "@testudo/core";
import { SocketConnection } from "../net/connection.ts";
import { connectTcp } from "../net/dial.ts";
import { meaningOf } from "../net/host.ts";
import { connectUnix, unixMeaningOf } from "../unix/dial.ts";
import { pathOf, systemPath, unixSection } from "../unix/path.ts";
import type { Socks5 } from "./socks5.ts";

export interface Proxy {
  /** As it was given. */
  readonly text: string;
  connect(options: DialOptions): Promise<Socket>;
  /** What a failed `connect` means. */
  meaning(error: unknown): string;
}

/** `127.0.0.1:9050`, `[::1]:9050`, `unix:/run/tor/socks`. Throws `TypeError`. */
export function parseProxy(text: string): Proxy {
  try {
    if (text.startsWith("unix:")) {
      const path = systemPath(pathOf(unixSection(text.slice(5))));
      return { text, connect: (options) => connectUnix(path, options), meaning: unixMeaningOf };
    }
    const target = hostAndPort(section("net", ...text.split(":")));
    if (target.port === 0) throw new Error("port 0 is for listening");
    return { text, connect: (options) => connectTcp(target, options), meaning: meaningOf };
  } catch (cause) {
    throw new TypeError(
      `proxy must be HOST:PORT or unix:PATH, not ${JSON.stringify(text)}: ${asError(cause).message}`,
      { cause },
    );
  }
}

/** The first that can be reached, in their order. Rejects `DIAL_REFUSED`, or with the signal's reason. */
export async function reachOne(
  proxies: readonly Proxy[],
  signal: AbortSignal,
): Promise<{ proxy: Proxy; socket: Socket }> {
  const failures: { proxy: Proxy; error: unknown }[] = [];
  for (const proxy of proxies) {
    try {
      return { proxy, socket: await proxy.connect({ signal }) };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      failures.push({ proxy, error });
    }
  }
  const places = failures.map(({ proxy, error }) => `${proxy.text} (${proxy.meaning(error)})`);
  throw networkError(
    "DIAL_REFUSED",
    `no Tor at ${places.join(" or ")}; start tor, or name its SOCKS port (proxy)`,
    { cause: new AggregateError(failures.map(({ error }) => error)) },
  );
}

/**
 * Has the proxy at the other end of `socket` connect it through. Rejects `DIAL_REFUSED`, or with the signal's
 * reason; the socket is destroyed then.
 */
export function connectThrough(
  socket: Socket,
  machine: Socks5,
  remote: Section,
  signal: AbortSignal,
): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const letGo = (): void => {
      signal.removeEventListener("abort", onAbort);
      socket.off("data", onData).off("end", onEnd).off("error", onLost).off("close", onEnd);
    };
    const fail = (reason: unknown): void => {
      letGo();
      socket.destroy();
      reject(reason);
    };
    const onAbort = (): void => fail(signal.reason);
    const onEnd = (): void => fail(networkError("DIAL_REFUSED", "the proxy hung up"));
    const onLost = (cause: Error): void =>
      fail(networkError("DIAL_REFUSED", `the proxy was lost: ${meaningOf(cause)}`, { cause }));
    const onData = (chunk: Uint8Array): void => {
      try {
        const answer = machine.receive(chunk);
        if (answer.length > 0) socket.write(answer);
      } catch (error) {
        fail(error);
        return;
      }
      if (!machine.done) return;
      letGo();
      // In one go, so that nothing arrives while nobody listens.
      const connection = new SocketConnection(socket, remote, false);
      if (machine.rest.length > 0) socket.unshift(machine.rest);
      resolve(connection);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    // Stays: an error may follow the one that ends it here; nobody is left to hear of it.
    socket.on("error", () => {});
    socket.on("data", onData).on("end", onEnd).on("error", onLost).on("close", onEnd);
    socket.write(machine.greeting);
  });
}
