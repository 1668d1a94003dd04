/**
 * Listener for kcpgo. A listener that closes frees its place for another one of the same transport at once, while
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
import { samePlace } from "../kcp/place.ts";
import type { Advertiser } from "../net/advertise.ts";
import { isLoopback, isWildcard, meaningOf } from "../net/host.ts";
import { withoutZone } from "../net/interfaces.ts";
import { Door } from "./door.ts";
import { kcpgoSection, spelledBySocket } from "./place.ts";
import type { Settings } from "./settings.ts";

export class Listening {
  readonly #settings: Settings;
  readonly #advertiser: Advertiser;
  readonly #doors = new Set<Door>();

  constructor(settings: Settings, advertiser: Advertiser) {
    this.#settings = settings;
    this.#advertiser = advertiser;
  }

  /** Rejects `DialError` `LISTEN_FAILED` with the system error as cause. */
  async listen(asked: Section, accept: (connection: Connection) => void): Promise<Listener> {
    const { host, port } = hostAndPort(asked);
    let door: Door;
    try {
      const address = isIP(host) === 0 ? (await lookup(host)).address : host;
      door = await this.#open(spelledBySocket(address), port);
    } catch (error) {
      throw networkError("LISTEN_FAILED", `cannot listen on ${asked.text}: ${meaningOf(error)}`, {
        cause: error,
        address: asked.text,
      });
    }
    door.accept = accept;
    const { place } = door;
    let listening = true;
    return {
      section: kcpgoSection(this.#dialableHost(host, place.address), place.port),
      bound: kcpgoSection(isWildcard(place.address) ? place.address : host, place.port),
      local: isLoopback(place.address),
      async close() {
        if (!listening) return;
        listening = false;
        door.release();
      },
    };
  }

  /** A socket of ours that only connections are left on, or a new one. */
  async #open(address: string, port: number): Promise<Door> {
    for (const door of this.#doors) {
      if (!samePlace(door.place, { address, port }) || door.accept !== undefined) continue;
      door.hold();
      return door;
    }
    const door = await Door.open({ address, port }, this.#settings);
    this.#doors.add(door);
    door.closed = () => this.#doors.delete(door);
    return door;
  }

  /** A name stays as it was given, since others may have to use it; but `localhost` is where it was bound. */
  #dialableHost(asked: string, bound: string): string {
    if (isWildcard(bound)) return this.#advertiser.widestHost(bound);
    return withoutZone(isIP(asked) === 0 && !isLoopback(bound) ? asked : bound);
  }
}
