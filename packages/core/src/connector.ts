/**
 * Connector: from an address to a link, and from an arrival to one.
 *
 * Dials, listens, and counts places before handshakes. Who gets into the route table is decided in the
 * lobby, where every link goes.
 */

import { type Address, type Route, shownRoute } from "./address.ts";
import { Admission, type Ticket } from "./admission.ts";
import { toBase64 } from "./bytes.ts";
import type { Connection, Listener } from "./connection.ts";
import {
  aboutAddress,
  asError,
  asNetworkError,
  type NetworkError,
  networkError,
} from "./errors.ts";
import { Lobby, type LobbyOptions, selfDial } from "./lobby.ts";
import type { LivePeer } from "./peer.ts";
import type { Link, Stack, StackOptions } from "./stack.ts";

export interface ConnectorOptions extends LobbyOptions {
  readonly stacks: readonly Stack[];
  readonly allowPublicNoauth: boolean;
}

export class Connector {
  readonly #options: ConnectorOptions;
  readonly #stackOptions: StackOptions;
  readonly #lobby: Lobby;
  readonly #admission: Admission;
  readonly #listeners = new Map<string, Listener>();
  readonly #arriving = new Set<Promise<void>>();
  /** Accepted and still shaking hands: cut when the network closes. */
  readonly #shaking = new Set<Connection>();
  #closing: NetworkError | undefined;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#admission = new Admission(options.limits);
    this.#stackOptions = {
      identity: options.identity,
      networkId: options.networkId,
      runtime: options.runtime,
      dialTimeoutMs: options.limits.dialTimeoutMs,
      handshakeTimeoutMs: options.limits.handshakeTimeoutMs,
    };
    this.#lobby = new Lobby(options);
  }

  /** Where peers that leave the table are reported. */
  get lobby(): Lobby {
    return this.#lobby;
  }

  get addresses(): string[] {
    return [...this.#listeners.keys()];
  }

  /** The stack that speaks a route. Throws `ADDRESS_UNSUPPORTED`. */
  stackFor(route: Route): Stack {
    const stack = this.#options.stacks.find((candidate) => candidate.speaks(route));
    if (stack !== undefined) return stack;
    const known = this.#options.stacks.map(({ name }) => name).join(", ");
    throw networkError(
      "ADDRESS_UNSUPPORTED",
      `no stack speaks ${shownRoute(route)}; this node has ${known || "none"}`,
      {
        address: shownRoute(route),
      },
    );
  }

  /** The text of the key a route promises; nothing when it promises none or no stack speaks it. */
  keyOf(route: Route): string | undefined {
    const stack = this.#options.stacks.find((candidate) => candidate.speaks(route));
    const key = stack?.expectedKey(route);
    return key === undefined ? undefined : toBase64(key);
  }

  /** The peer at the first alternative that can be reached. */
  async dial(address: Address, signal: AbortSignal): Promise<LivePeer> {
    const failures: unknown[] = [];
    for (const route of address.routes) {
      try {
        return await this.#dialRoute(route, signal);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    const last = asError(failures.at(-1));
    throw networkError(
      "DIAL_REFUSED",
      `none of ${failures.length} alternatives worked; the last: ${last.message}`,
      {
        address: address.text,
        cause: new AggregateError(failures),
      },
    );
  }

  /** Listens on one route; resolves with the address others can dial. */
  async listen(route: Route): Promise<string> {
    const stack = this.stackFor(route);
    const [section] = route.sections;
    if (section === undefined) throw new TypeError("route has no sections");
    const named = this.keyOf(route);
    if (named !== undefined && named !== this.#options.identity.id.text) {
      const shown = shownRoute(route);
      throw networkError(
        "ADDRESS_MALFORMED",
        `${shown} names another node's key; leave the key out, or listen with that identity`,
        { address: shown },
      );
    }
    let permitted = false;
    const listening = stack.listen(section, (connection) => {
      if (permitted) this.#accept(stack, connection);
      else connection.abort(networkError("LISTEN_FAILED", "not listening yet"));
    });
    const listener = await listening.catch((error: unknown) => {
      throw aboutAddress(
        asNetworkError(error, "LISTEN_FAILED", `cannot listen on ${section.text}`),
        shownRoute(route),
      );
    });
    const refusal = this.#refusal(stack, listener, route);
    if (refusal !== undefined) {
      await listener.close();
      throw refusal;
    }
    permitted = true;
    const address = stack.addressOf(listener, this.#options.identity);
    this.#listeners.set(address, listener);
    return address;
  }

  /** Stops listening on an address that `listen` gave; its peers live on. */
  async unlisten(address: string): Promise<void> {
    const listener = this.#listeners.get(address);
    this.#listeners.delete(address);
    await listener?.close();
  }

  /** Stops arrivals, ends every stream politely, and resolves when nothing is left. The owner has stopped its dials. */
  async close(reason: NetworkError): Promise<void> {
    this.#closing = reason;
    for (const connection of this.#shaking) connection.abort(reason);
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    await this.#lobby.close(reason);
    await Promise.all(listeners.map((listener) => listener.close()));
    await Promise.all(this.#arriving);
  }

  #refusal(stack: Stack, listener: Listener, route: Route): Error | undefined {
    if (this.#closing !== undefined) return this.#closing;
    const strangers = this.#options.allowPublicNoauth ? undefined : stack.strangersAt(listener);
    return strangers === undefined ? undefined : aboutAddress(strangers, shownRoute(route));
  }

  async #dialRoute(route: Route, signal: AbortSignal): Promise<LivePeer> {
    const stack = this.stackFor(route);
    const expected = stack.expectedKey(route);
    const expectedId = expected === undefined ? undefined : toBase64(expected);
    if (expectedId === this.#options.identity.id.text) throw selfDial(shownRoute(route));
    const ticket = this.#admission.dial();
    const dial = this.#lobby.dialling(expectedId);
    try {
      const link = await stack.dial(route, {
        ...this.#stackOptions,
        signal,
        connected: () => {
          dial.connected = true;
        },
      });
      return await this.#lobby.dialled(link, ticket, dial, signal);
    } catch (error) {
      ticket.leave();
      throw signal.aborted ? signal.reason : error;
    } finally {
      this.#lobby.settled(dial);
    }
  }

  #accept(stack: Stack, connection: Connection): void {
    let ticket: Ticket;
    try {
      if (this.#closing !== undefined) throw this.#closing;
      ticket = this.#admission.arrive(connection, (reason) => connection.abort(reason));
    } catch (error) {
      connection.abort(asError(error));
      this.#log(connection, error);
      return;
    }
    const arriving = this.#arrive(stack, connection, ticket).catch((error: unknown) => {
      ticket.leave();
      this.#log(connection, error);
    });
    this.#arriving.add(arriving);
    void arriving.then(() => this.#arriving.delete(arriving));
  }

  async #arrive(stack: Stack, connection: Connection, ticket: Ticket): Promise<void> {
    this.#shaking.add(connection);
    let link: Link;
    try {
      link = await stack.accept(connection, this.#stackOptions);
    } finally {
      this.#shaking.delete(connection);
    }
    await this.#lobby.arrived(link, ticket);
  }

  #log(connection: Connection, error: unknown): void {
    const { logger } = this.#options;
    logger.debug({ remote: connection.remote.text, error }, "an arrival was not admitted");
  }
}
