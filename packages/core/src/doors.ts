/**
 * Doors: from a listener to links. Counts places before handshakes, shakes hands, hands the link over.
 *
 * What a link becomes is its taker's business. One arrival that fails disturbs no other and no listener.
 */

import { type Route, shownRoute } from "./address.ts";
import type { Admission, Ticket } from "./admission.ts";
import { equal } from "./bytes.ts";
import type { Connection, Listener } from "./connection.ts";
import {
  AddressError,
  type Attempt,
  aboutAddress,
  asError,
  asNetworkError,
  type NetworkError,
  networkError,
} from "./errors.ts";
import { SCOPES } from "./scope.ts";
import type { Link, Stack, StackOptions } from "./stack.ts";

/** Takes a link whose handshake is done; from now on its ticket is the taker's to give back. */
export type Taker = (link: Link, ticket: Ticket, stack: Stack) => void | Promise<void>;

export interface DoorsOptions {
  readonly stackOptions: StackOptions;
  readonly admission: Admission;
  /** Lets listeners without a proof be reached by others than this machine. */
  readonly allowPublicNoauth: boolean;
  /** An arrival that came to nothing, and why. Must not throw. */
  readonly refused: (connection: Connection, error: NetworkError) => void;
}

/** One open listener. */
export interface Door {
  /** What others dial. */
  readonly address: string;
  readonly stack: Stack;
  readonly listener: Listener;
}

/** A stack, and where it is to listen. */
export interface Place {
  readonly stack: Stack;
  readonly route: Route;
}

/** What stands behind the listeners of one call: nobody is let in before all of them are open. */
interface Gate {
  readonly taker: Taker;
  open: boolean;
}

export class Doors {
  readonly #options: DoorsOptions;
  readonly #doors = new Set<Door>();
  readonly #arriving = new Set<Promise<void>>();
  /** Accepted and still shaking hands: cut when the doors close. */
  readonly #shaking = new Set<Connection>();
  #closing: NetworkError | undefined;

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  /** The open ones, in the order they were asked for. */
  get open(): readonly Door[] {
    return [...this.#doors];
  }

  /**
   * Listens on all, or on none; nobody is let in before all are open. Rejects with one error that has each
   * failure in `attempts`, in the order of `places`, and the code of the first.
   */
  async listenAll(places: readonly Place[], taker: Taker): Promise<Door[]> {
    const { runtime } = this.#options.stackOptions;
    const began = runtime.now();
    const gate: Gate = { taker, open: false };
    // By the place each was asked for, whichever is open first: an address has its best way in front.
    const failures: (Attempt | undefined)[] = places.map(() => undefined);
    const doors = await Promise.all(
      places.map(async (place, index) => {
        try {
          return await this.#listen(place, gate);
        } catch (error) {
          const address = shownRoute(place.route);
          const cause = asNetworkError(error, "LISTEN_FAILED", `cannot listen on ${address}`);
          const stage = cause instanceof AddressError ? "parse" : "listen";
          const tookMs = Math.round(runtime.now() - began);
          failures[index] = { address, stage, afterMs: 0, tookMs, cause };
          return undefined;
        }
      }),
    );
    const opened = doors.filter((door) => door !== undefined);
    const [first, ...more] = failures.filter((attempt) => attempt !== undefined);
    if (first === undefined && this.#closing === undefined) {
      for (const door of opened) this.#doors.add(door);
      gate.open = true;
      return opened;
    }
    await Promise.all(opened.map(({ listener }) => listener.close()));
    throw first === undefined ? this.#closing : noneOpen(places.length, [first, ...more]);
  }

  /** Rejects `LISTEN_FAILED`, or `AddressError` for another node's key; nothing is left open then. */
  async #listen({ stack, route }: Place, gate: Gate): Promise<Door> {
    const [section] = route.sections;
    if (section === undefined) throw new TypeError("route has no sections");
    const shown = shownRoute(route);
    stack.check(route, "listener");
    const { stackOptions } = this.#options;
    const named = stack.expectedKey(route);
    if (named !== undefined && !equal(named, stack.identity(stackOptions.identity).publicKey)) {
      throw networkError(
        "ADDRESS_MALFORMED",
        `${shown} names another node's key; leave the key out, or listen with that identity`,
        { address: shown },
      );
    }
    const listening = stack.listen(section, (connection) => {
      if (gate.open) this.#accept(stack, connection, gate.taker);
      else connection.abort(networkError("LISTEN_FAILED", "not listening yet"));
    });
    const listener = await listening.catch((error: unknown) => {
      throw aboutAddress(
        asNetworkError(error, "LISTEN_FAILED", `cannot listen on ${section.text}`),
        shown,
      );
    });
    try {
      const refusal = this.#refusal(stack, listener, shown);
      if (refusal !== undefined) throw refusal;
      return { address: this.#addressOf(stack, listener), stack, listener };
    } catch (error) {
      await listener.close();
      throw error;
    }
  }

  /** Stops listening; what was taken lives on. Idempotent. */
  async close(door: Door): Promise<void> {
    this.#doors.delete(door);
    await door.listener.close();
  }

  /** Cuts the handshakes under way; nothing is accepted from now on. */
  cut(reason: NetworkError): void {
    this.#closing = reason;
    for (const connection of this.#shaking) connection.abort(reason);
  }

  /** Closes every listener and waits for the arrivals that were cut. */
  async closeAll(): Promise<void> {
    await Promise.all(this.open.map((door) => this.close(door)));
    await Promise.all(this.#arriving);
  }

  /** What to tell others: the addresses of the widest scope that the listener serves. */
  #addressOf(stack: Stack, listener: Listener): string {
    const { identity } = this.#options.stackOptions;
    if (listener.bound === undefined) return stack.addressOf(listener, identity);
    for (const scope of SCOPES.toReversed()) {
      const addresses = stack.advertised(listener.bound, scope, identity);
      if (addresses.length > 0) return addresses.join(";");
    }
    return stack.addressOf(listener, identity);
  }

  #refusal(stack: Stack, listener: Listener, shown: string): Error | undefined {
    if (this.#closing !== undefined) return this.#closing;
    const strangers = this.#options.allowPublicNoauth ? undefined : stack.strangersAt(listener);
    return strangers === undefined ? undefined : aboutAddress(strangers, shown);
  }

  #accept(stack: Stack, connection: Connection, taker: Taker): void {
    let ticket: Ticket;
    try {
      if (this.#closing !== undefined) throw this.#closing;
      ticket = this.#options.admission.arrive(connection, (reason) => connection.abort(reason));
    } catch (error) {
      connection.abort(asError(error));
      this.#refused(connection, error);
      return;
    }
    const arriving = this.#arrive(stack, connection, ticket, taker).catch((error: unknown) => {
      ticket.leave();
      this.#refused(connection, error);
    });
    this.#arriving.add(arriving);
    void arriving.then(() => this.#arriving.delete(arriving));
  }

  async #arrive(stack: Stack, connection: Connection, ticket: Ticket, taker: Taker): Promise<void> {
    const link = await this.#shake(stack, connection);
    if (this.#closing !== undefined) {
      link.connection.abort(this.#closing);
      throw this.#closing;
    }
    await taker(link, ticket, stack);
  }

  /** One who hangs up meanwhile is not waited for, whatever a transform still waits for. */
  async #shake(stack: Stack, connection: Connection): Promise<Link> {
    let hangUp: AbortController | undefined = new AbortController();
    const { signal } = hangUp;
    void connection.closed.then((error) => {
      if (error !== undefined) hangUp?.abort(error);
    });
    this.#shaking.add(connection);
    try {
      return await stack.accept(connection, this.#options.stackOptions, signal);
    } finally {
      this.#shaking.delete(connection);
      hangUp = undefined;
    }
  }

  #refused(connection: Connection, thrown: unknown): void {
    const error = asNetworkError(thrown, "HANDSHAKE_FAILED", "an arrival was not admitted");
    this.#options.refused(
      connection,
      error.address === undefined ? aboutAddress(error, connection.remote.text) : error,
    );
  }
}

function noneOpen(asked: number, attempts: readonly [Attempt, ...Attempt[]]): NetworkError {
  const [{ address, cause }] = attempts;
  const each = attempts.map((attempt) => attempt.cause.message).join(". ");
  const message =
    asked === 1
      ? cause.message
      : `${attempts.length} of ${asked} listeners failed, so none is open. ${each}`;
  return networkError(cause.code, message, { address, attempts, cause: cause.cause ?? cause });
}
