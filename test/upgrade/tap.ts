/** A wire tap: a relay in front of a TCP port that writes down how each connection begins. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Bytes that one side sent in a row. */
export interface Run {
  readonly from: "dialer" | "listener";
  readonly bytes: Buffer;
}

/** More than any handshake has. */
const MOST_RUNS = 8;

export class Tap implements AsyncDisposable {
  readonly port: number;
  /** The first runs of each connection, in the order they came. */
  readonly calls: readonly Run[][];
  readonly #close: () => Promise<void>;

  private constructor(port: number, calls: Run[][], close: () => Promise<void>) {
    this.port = port;
    this.calls = calls;
    this.#close = close;
  }

  /** In front of a port of this machine. */
  static async before(port: number): Promise<Tap> {
    const calls: Run[][] = [];
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
      const runs: Run[] = [];
      calls.push(runs);
      const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      for (const [from, to, name] of [
        [near, far, "dialer"],
        [far, near, "listener"],
      ] as const) {
        sockets.add(from);
        from.on("data", (bytes: Buffer) => note(runs, name, bytes));
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => sockets.delete(from));
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Tap((server.address() as AddressInfo).port, calls, async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}

function note(runs: Run[], from: Run["from"], bytes: Buffer): void {
  const last = runs.at(-1);
  if (last?.from !== from) {
    if (runs.length < MOST_RUNS) runs.push({ from, bytes });
  } else if (runs.length < MOST_RUNS) {
    runs[runs.length - 1] = { from, bytes: Buffer.concat([last.bytes, bytes]) };
  }
}
