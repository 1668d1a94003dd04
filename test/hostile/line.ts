/**
 * Line: a relay between a dialer and a listener on this machine, in the hand of whoever sits there. It writes
 * down all that passes and may change, hold, double or cut it.
 */

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { concat } from "@testudo/core";
import type { Meddler } from "../support/pipes.ts";

export interface LineOptions {
  /** What becomes of the dialer's bytes; default: they pass. */
  readonly up?: Meddler;
  /** What becomes of the listener's. */
  readonly down?: Meddler;
  /** A cut is a reset, not an end. */
  readonly reset?: boolean;
}

export class Line {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  readonly #idle: (() => void)[] = [];
  options: LineOptions;
  /** Everything the dialer said on the last connection, and the listener. */
  up: Uint8Array[] = [];
  down: Uint8Array[] = [];

  private constructor(server: Server, target: number, options: LineOptions) {
    this.#server = server;
    this.#target = target;
    this.options = options;
    server.on("connection", (socket) => this.#join(socket));
  }

  static async open(target: number, options: LineOptions = {}): Promise<Line> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const line = new Line(server, target, options);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return line;
  }

  /** The same address through this line. */
  through(address: string): string {
    const { port } = this.#server.address() as AddressInfo;
    return address.replace(/:\d+~/, `:${port}~`);
  }

  /** Resolves when no connection is left on it. */
  async idle(): Promise<void> {
    while (this.#sockets.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  get said(): { up: Uint8Array; down: Uint8Array } {
    return { up: concat(...this.up), down: concat(...this.down) };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket): void {
    const far = connect({
      port: this.#target,
      host: "127.0.0.1",
      noDelay: true,
      allowHalfOpen: true,
    });
    const { options } = this;
    const [up, down]: [Uint8Array[], Uint8Array[]] = [[], []];
    [this.up, this.down] = [up, down];
    const cut = (): void => {
      for (const socket of [near, far]) {
        if (options.reset && !socket.connecting) socket.resetAndDestroy();
        else socket.end();
      }
    };
    this.#carry(near, far, up, options.up, cut);
    this.#carry(far, near, down, options.down, cut);
  }

  #carry(
    from: Socket,
    to: Socket,
    log: Uint8Array[],
    meddle: Meddler | undefined,
    cut: () => void,
  ): void {
    this.#sockets.add(from);
    let offset = 0;
    let over = false;
    from.on("error", () => {});
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
      for (const resolve of this.#idle.splice(0)) resolve();
    });
    from.on("end", () => to.end());
    from.on("data", (chunk: Buffer) => {
      const bytes = new Uint8Array(chunk);
      log.push(bytes);
      if (over) return;
      for (const piece of meddle?.(bytes, offset) ?? [bytes]) {
        if (over) continue;
        if (piece === undefined) {
          over = true;
          cut();
        } else if (piece.length > 0 && to.writable) to.write(piece);
      }
      offset += bytes.length;
    });
  }
}
