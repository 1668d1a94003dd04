/** A man in the middle of a TCP connection: counts what passes, and cuts when told. */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Bytes in a row in one direction; `up` is from the dialer. */
export interface Run {
  readonly up: boolean;
  readonly bytes: number;
}

export class Relay {
  readonly port: number;
  readonly #runs: { up: boolean; bytes: number }[];
  readonly #sockets: ReadonlySet<Socket>;
  readonly #close: () => Promise<void>;

  private constructor(
    port: number,
    runs: { up: boolean; bytes: number }[],
    sockets: ReadonlySet<Socket>,
    close: () => Promise<void>,
  ) {
    this.port = port;
    this.#runs = runs;
    this.#sockets = sockets;
    this.#close = close;
  }

  /** In front of a listener on loopback. */
  static async before(port: number): Promise<Relay> {
    const runs: { up: boolean; bytes: number }[] = [];
    const sockets = new Set<Socket>();
    const count = (up: boolean, bytes: number): void => {
      const last = runs.at(-1);
      if (last?.up === up) last.bytes += bytes;
      else runs.push({ up, bytes });
    };
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
      const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      for (const [from, to, up] of [
        [near, far, true],
        [far, near, false],
      ] as const) {
        sockets.add(from);
        from.on("data", (chunk: Buffer) => count(up, chunk.length));
        from.pipe(to);
        // The test sees at its ends what a cut does.
        from.on("error", () => to.destroy());
        from.on("close", () => sockets.delete(from));
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Relay((server.address() as AddressInfo).port, runs, sockets, async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    });
  }

  get runs(): readonly Run[] {
    return this.#runs.map((run) => ({ ...run }));
  }

  /** Resets both ends, as a machine that lost its power does when it is back. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): Promise<void> {
    return this.#close();
  }
}
