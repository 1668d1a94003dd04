/**
 * Listeners over UDP. A listener that closes frees its place for another one of the same transport at once, while
 * connections it has accepted live on: the socket is theirs until the last is gone.
 */

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import {
  type Connection,
  hostAndPort,
  type Listener,
  networkError,
  type Section,
} from "@testudo/core";
import type { Advertiser } from "../net/advertise.ts";
import { hostSection, isLoopback, isWildcard, meaningOf } from "../net/host.ts";
import { type Place, samePlace, spelledBySocket } from "./place.ts";

/** One socket that listens, and those who came through it. */
export interface UdpDoor {
  readonly place: Place;
  /** Given each new connection; absent when nobody listens any more. */
  accept: ((connection: Connection) => void) | undefined;
  /** Called once, when the socket is closed. */
  closed: (() => void) | undefined;
  /** Somebody listens again. */
  hold(): void;
  /** Nobody listens any more: the socket stays for the connections that there are. */
  release(): void;
}

export class Listening {
  readonly #name: string;
  readonly #advertiser: Advertiser;
  readonly #openDoor: (at: Place) => Promise<UdpDoor>;
  readonly #doors = new Set<UdpDoor>();

  /** `open` gives a door that is held, or rejects with the system's error. */
  constructor(name: string, advertiser: Advertiser, open: (at: Place) => Promise<UdpDoor>) {
    this.#name = name;
    this.#advertiser = advertiser;
    this.#openDoor = open;
  }

  /** Rejects `DialError` `LISTEN_FAILED` with the system error as cause. */
  async listen(asked: Section, accept: (connection: Connection) => void): Promise<Listener> {
    const { host, port } = hostAndPort(asked);
    let door: UdpDoor;
    try {
      const address = isIP(host) === 0 ? (await lookup(host)).address : host;
      door = await this.#open({ address: spelledBySocket(address), port });
    } catch (error) {
      throw networkError("LISTEN_FAILED", `cannot listen on ${asked.text}: ${meaningOf(error)}`, {
        cause: error,
        address: asked.text,
      });
    }
    door.accept = accept;
    const { address, port: realPort } = door.place;
    let listening = true;
    return {
      section: hostSection(this.#name, this.#advertiser.dialableHost(host, address), realPort),
      bound: hostSection(this.#name, isWildcard(address) ? address : host, realPort),
      local: isLoopback(address),
      async close() {
        if (!listening) return;
        listening = false;
        door.release();
      },
    };
  }

  /** A socket of ours that only connections are left on, or a new one. */
  async #open(at: Place): Promise<UdpDoor> {
    for (const door of this.#doors) {
      if (!samePlace(door.place, at) || door.accept !== undefined) continue;
      door.hold();
      return door;
    }
    const door = await this.#openDoor(at);
    this.#doors.add(door);
    door.closed = () => this.#doors.delete(door);
    return door;
  }
}
