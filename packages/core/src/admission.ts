/**
 * Admission: how many may come in, counted before a handshake costs anything.
 *
 * Peers are counted with what is on its way to become one. A flood of half-open handshakes cannot keep
 * honest nodes out: when there are too many, the oldest of the host that holds most is cut.
 */

import type { Connection } from "./connection.ts";
import { networkError } from "./errors.ts";
import type { Limits } from "./limits.ts";

/** One place, from before the handshake until nothing of the peer's stream is left. */
export class Ticket {
  readonly #admission: Seats;
  /** The remote host, when it is counted. */
  readonly #host: string | undefined;
  #cut: ((reason: Error) => void) | undefined;
  #here = true;

  constructor(admission: Seats, host?: string, cut?: (reason: Error) => void) {
    this.#admission = admission;
    this.#host = host;
    this.#cut = cut;
  }

  /** The handshake is over: it can no longer be cut to make room. */
  settle(): void {
    if (this.#cut === undefined) return;
    this.#cut = undefined;
    this.#admission.shaken(this);
  }

  /** Gives the place back. Idempotent. */
  leave(): void {
    this.settle();
    if (!this.#here) return;
    this.#here = false;
    this.#admission.left(this.#host);
  }

  /** Gives the place back and cuts the handshake. */
  evict(reason: Error): void {
    const cut = this.#cut;
    this.leave();
    cut?.(reason);
  }
}

/** What a ticket tells its admission. */
interface Seats {
  shaken(ticket: Ticket): void;
  left(host: string | undefined): void;
}

/** What all connections from this machine count as: exempt as peers, one host as handshakes. */
const HERE = "this machine";

export class Admission {
  readonly #limits: Readonly<Limits>;
  #places = 0;
  #halfOpen = 0;
  readonly #perHost = new Map<string, number>();
  /** Handshakes under way: by host, oldest first, and the host of each. */
  readonly #handshakes = new Map<string, Set<Ticket>>();
  readonly #hosts = new Map<Ticket, string>();

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
    return new Ticket(this.#seats);
  }

  /** A place for an arrival. Throws `TOO_MANY_PEERS`; may cut an older half-open one to make room. */
  arrive(connection: Connection, cut: (reason: Error) => void): Ticket {
    const { maxPeers, maxPeersPerAddress, maxHandshakes, maxHandshakesPerAddress } = this.#limits;
    const host = connection.local ? HERE : hostOf(connection);
    const full = !connection.local && (this.#perHost.get(host) ?? 0) >= maxPeersPerAddress;
    if (full && !this.#cutOldest(host)) {
      throw networkError(
        "TOO_MANY_PEERS",
        `${host} already holds limits.maxPeersPerAddress (${maxPeersPerAddress}) places`,
      );
    }
    if ((this.#handshakes.get(host)?.size ?? 0) >= maxHandshakesPerAddress) this.#cutOldest(host);
    if (this.#halfOpen >= maxHandshakes) this.#cutOldest(this.#busiest());
    if (this.#places >= maxPeers && !this.#cutOldest(this.#busiest())) throw this.#full();
    return this.#seat(host, connection.local ? undefined : host, cut);
  }

  #seat(host: string, counted: string | undefined, cut: (reason: Error) => void): Ticket {
    const ticket = new Ticket(this.#seats, counted, cut);
    this.#places++;
    if (counted !== undefined) this.#perHost.set(counted, (this.#perHost.get(counted) ?? 0) + 1);
    this.#halfOpen++;
    this.#hosts.set(ticket, host);
    const shakers = this.#handshakes.get(host) ?? new Set();
    this.#handshakes.set(host, shakers.add(ticket));
    return ticket;
  }

  readonly #seats: Seats = {
    shaken: (ticket) => {
      const host = this.#hosts.get(ticket);
      if (host === undefined) return;
      this.#hosts.delete(ticket);
      this.#halfOpen--;
      const shakers = this.#handshakes.get(host);
      shakers?.delete(ticket);
      if (shakers?.size === 0) this.#handshakes.delete(host);
    },
    left: (host) => {
      this.#places--;
      if (host === undefined) return;
      const count = (this.#perHost.get(host) ?? 1) - 1;
      if (count === 0) this.#perHost.delete(host);
      else this.#perHost.set(host, count);
    },
  };

  #cutOldest(host: string | undefined): boolean {
    const shakers = host === undefined ? undefined : this.#handshakes.get(host);
    for (const oldest of shakers ?? []) {
      oldest.evict(
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
