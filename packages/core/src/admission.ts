/**
 * Admission: how many may come in, counted before a handshake costs anything.
 *
 * Peers are counted with what is on its way to become one. A flood of half-open handshakes cannot keep
 * honest nodes out: when there are too many, the oldest of the host that holds most is cut.
 */

import type { Connection } from "./connection.ts";
import { networkError } from "./errors.ts";
import type { Limits } from "./limits.ts";

/** One place, from before the handshake until the peer has left. */
export interface Ticket {
  /** The handshake is over: it can no longer be cut to make room. */
  settle(): void;
  /** Gives the place back. Idempotent. */
  leave(): void;
}

interface HalfOpen {
  readonly host: string;
  readonly cut: (reason: Error) => void;
}

export class Admission {
  readonly #limits: Readonly<Limits>;
  #places = 0;
  #halfOpen = 0;
  readonly #perHost = new Map<string, number>();
  readonly #handshakes = new Map<string, Set<HalfOpen>>();

  constructor(limits: Readonly<Limits>) {
    this.#limits = limits;
  }

  get places(): number {
    return this.#places;
  }

  get halfOpen(): number {
    return this.#halfOpen;
  }

  /** A place for a dial. Throws `TOO_MANY_PEERS`. */
  dial(): Ticket {
    if (this.#places >= this.#limits.maxPeers) throw this.#full();
    this.#places++;
    let here = true;
    return {
      settle: () => {},
      leave: () => {
        if (here) this.#places--;
        here = false;
      },
    };
  }

  /** A place for an arrival. Throws `TOO_MANY_PEERS`; may cut an older half-open one to make room. */
  arrive(connection: Connection, cut: (reason: Error) => void): Ticket {
    const host = hostOf(connection);
    const counted = !connection.local;
    if (counted && (this.#perHost.get(host) ?? 0) >= this.#limits.maxPeersPerAddress) {
      if (!this.#cutOldest(host)) {
        throw networkError(
          "TOO_MANY_PEERS",
          `${host} already holds limits.maxPeersPerAddress (${this.#limits.maxPeersPerAddress}) places`,
        );
      }
    }
    if ((this.#handshakes.get(host)?.size ?? 0) >= this.#limits.maxHandshakesPerAddress)
      this.#cutOldest(host);
    if (this.#halfOpen >= this.#limits.maxHandshakes) this.#cutOldest(this.#busiest());
    if (this.#places >= this.#limits.maxPeers && !this.#cutOldest(this.#busiest()))
      throw this.#full();
    return this.#seat(host, counted, cut);
  }

  #seat(host: string, counted: boolean, cut: (reason: Error) => void): Ticket {
    let here = true;
    let shaking = true;
    const settle = (): void => {
      if (shaking) this.#unshake(entry);
      shaking = false;
    };
    const leave = (): void => {
      settle();
      if (!here) return;
      here = false;
      this.#places--;
      if (counted) this.#count(host, -1);
    };
    const entry: HalfOpen = {
      host,
      cut: (reason) => {
        leave();
        cut(reason);
      },
    };
    this.#places++;
    if (counted) this.#count(host, 1);
    this.#halfOpen++;
    const shakers = this.#handshakes.get(host) ?? new Set();
    this.#handshakes.set(host, shakers.add(entry));
    return { settle, leave };
  }

  #count(host: string, by: number): void {
    const count = (this.#perHost.get(host) ?? 0) + by;
    if (count === 0) this.#perHost.delete(host);
    else this.#perHost.set(host, count);
  }

  #unshake(entry: HalfOpen): void {
    const shakers = this.#handshakes.get(entry.host);
    if (shakers?.delete(entry) !== true) return;
    this.#halfOpen--;
    if (shakers.size === 0) this.#handshakes.delete(entry.host);
  }

  #cutOldest(host: string | undefined): boolean {
    const shakers = host === undefined ? undefined : this.#handshakes.get(host);
    for (const oldest of shakers ?? []) {
      oldest.cut(
        networkError("TOO_MANY_PEERS", "too many handshakes at once; the oldest made room"),
      );
      return true;
    }
    return false;
  }

  #busiest(): string | undefined {
    let busiest: string | undefined;
    let most = 0;
    for (const [host, shakers] of this.#handshakes) {
      if (shakers.size > most) {
        most = shakers.size;
        busiest = host;
      }
    }
    return busiest;
  }

  #full(): Error {
    return networkError(
      "TOO_MANY_PEERS",
      `limits.maxPeers (${this.#limits.maxPeers}) reached; delete a peer or raise it`,
    );
  }
}

/** The remote host: the section without its port. */
function hostOf(connection: Connection): string {
  const { name, args } = connection.remote;
  return args.length < 2 ? connection.remote.text : `${name}:${args.slice(0, -1).join(":")}`;
}
