/**
 * Connector: from an address to a peer, and from an arrival to one.
 *
 * Ways, handshakes and places are the multiserver's business. Who gets into the route table is decided in
 * the lobby, where every link goes.
 */

import { type Address, parseAddress, type Route, shownRoute } from "./address.ts";
import { toBase64 } from "./bytes.ts";
import type { Connection } from "./connection.ts";
import type { Way } from "./dialer.ts";
import type { DialTerms } from "./dials.ts";
import type { Doors } from "./doors.ts";
import { NetworkError } from "./errors.ts";
import { Lobby, type LobbyOptions, selfDial } from "./lobby.ts";
import type { MultiServer } from "./multiserver.ts";
import type { Dial } from "./pairing.ts";
import type { LivePeer } from "./peer.ts";

export interface ConnectorOptions extends LobbyOptions {
  readonly multi: MultiServer;
}

/** A way of a dial, and what the lobby knows it by. */
interface NetworkWay extends Way {
  readonly dial: Dial<LivePeer>;
}

export class Connector {
  readonly #options: ConnectorOptions;
  readonly #lobby: Lobby;
  readonly #doors: Doors;

  constructor(options: ConnectorOptions) {
    this.#options = options;
    this.#lobby = new Lobby(options);
    this.#doors = options.multi.doors((connection, error) => this.#log(connection, error));
  }

  /** Where peers that leave the table are reported. */
  get lobby(): Lobby {
    return this.#lobby;
  }

  get addresses(): string[] {
    return this.#doors.open.map(({ address }) => address);
  }

  /** The text of the key a route promises; nothing when it promises none that can be read, or no stack speaks it. */
  keyOf(route: Route): string | undefined {
    try {
      const key = this.#options.multi.expectedKey(route);
      return key === undefined ? undefined : toBase64(key);
    } catch (error) {
      // The dial says so, and goes on to the other alternatives.
      if (error instanceof NetworkError) return undefined;
      throw error;
    }
  }

  /**
   * The peer at the alternative that was first to shake hands; `moves`: one that we have goes over to this stream.
   * `passing` is asked late, when the stream is confirmed.
   */
  async dial(address: Address, { signal, moves, passing }: DialTerms): Promise<LivePeer> {
    const { multi } = this.#options;
    const ticket = multi.admission.dial();
    let won: NetworkWay | undefined;
    try {
      const { link, way } = await multi.dial(address, {
        signal,
        begin: (route, expected) => this.#begin(route, expected, moves),
      });
      won = way;
      return await this.#lobby.dialled(link, ticket, way.dial, signal, passing);
    } catch (error) {
      ticket.leave();
      throw signal.aborted ? signal.reason : error;
    } finally {
      if (won !== undefined) this.#lobby.settled(won.dial);
    }
  }

  /** Listens on every route, or on none; resolves with the addresses that others can dial. */
  async listen(address: Address): Promise<string> {
    const doors = await this.#options.multi.listen(this.#doors, address, (link, ticket) =>
      this.#lobby.arrived(link, ticket),
    );
    return doors.map((door) => door.address).join(";");
  }

  /**
   * Stops listening on addresses that `listen` gave, one or several; their peers live on. A listener of several
   * hosts is named by any of them. False when there is none.
   */
  async unlisten(address: string): Promise<boolean> {
    const wanted = new Set(routesOf(address));
    const doors = this.#doors.open.filter((door) =>
      routesOf(door.address).some((text) => wanted.has(text)),
    );
    await Promise.all(doors.map((door) => this.#doors.close(door)));
    return doors.length > 0;
  }

  /** Stops arrivals, ends every stream politely, and resolves when nothing is left. The owner has stopped its dials. */
  async close(reason: NetworkError): Promise<void> {
    this.#doors.cut(reason);
    // Not one after the other: an arrival that is in the lobby already ends with the lobby.
    await Promise.all([this.#doors.closeAll(), this.#lobby.close(reason)]);
  }

  #begin(route: Route, expected: Uint8Array | undefined, moves: boolean): NetworkWay {
    const id = expected === undefined ? undefined : toBase64(expected);
    if (id === this.#options.identity.id.text) throw selfDial(shownRoute(route));
    const dial = this.#lobby.dialling(id, moves);
    return {
      dial,
      shaking: () => {
        dial.connected = true;
      },
      over: () => this.#lobby.settled(dial),
    };
  }

  #log(connection: Connection, error: NetworkError): void {
    const { logger } = this.#options;
    logger.debug({ remote: connection.remote.text, error }, "an arrival was not admitted");
  }
}

/** The alternatives of what `listen` printed; none of a text that is no address. */
function routesOf(address: string): string[] {
  try {
    return parseAddress(address).routes.map(({ text }) => text);
  } catch (error) {
    if (error instanceof NetworkError) return [];
    throw error;
  }
}
