/**
 * Listener for KCP. A listener that closes frees its place for another one of the same transport at once, while
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
import { isLoopback, isWildcard, meaningOf } from "../net/host.ts";
import { withoutZone } from "../net/interfaces.ts";
import { Door } from "./door.ts";
import { Endpoint } from "./endpoint.ts";
import { kcpSection, normalIp, samePlace } from "./place.ts";
import type { Settings } from "./settings.ts";

interface Open {
  readonly endpoint: Endpoint;
  readonly door: Door;
}

export class Listening {
  readonly #settings: Settings;
  readonly #advertiser: Advertiser;
  readonly #open = new Set<Open>();

  constructor(settings: Settings, advertiser: Advertiser) {
    this.#settings = settings;
    this.#advertiser = advertiser;
  }

  /** Rejects `DialError` `LISTEN_FAILED` with the system error as cause. */
  async listen(asked: Section, accept: (connection: Connection) => void): Promise<Listener> {
    const { host, port } = hostAndPort(asked);
    let open: Open;
    try {
      const address = isIP(host) === 0 ? (await lookup(host)).address : host;
      open = await this.#openAt(normalIp(address), port);
    } catch (error) {
      throw networkError("LISTEN_FAILED", `cannot listen on ${asked.text}: ${meaningOf(error)}`, {
        cause: error,
        address: asked.text,
      });
    }
    const { endpoint, door } = open;
    door.accept = accept;
    const { place } = endpoint;
    let listening = true;
    return {
      section: kcpSection(this.#dialableHost(host, place.address), place.port),
      bound: kcpSection(isWildcard(place.address) ? place.address : host, place.port),
      local: isLoopback(place.address),
      async close() {
        if (!listening) return;
        listening = false;
        door.accept = undefined;
        endpoint.release();
      },
    };
  }

  /** A socket of ours that only connections are left on, or a new one. */
  async #openAt(address: string, port: number): Promise<Open> {
    for (const open of this.#open) {
      const there = samePlace(open.endpoint.place, { address, port });
      if (there && open.door.accept === undefined && open.endpoint.open) {
        open.endpoint.hold();
        return open;
      }
    }
    const endpoint = await Endpoint.open({ address, port }, this.#settings);
    const open: Open = { endpoint, door: new Door(endpoint, this.#settings) };
    this.#open.add(open);
    endpoint.closed = () => this.#open.delete(open);
    return open;
  }

  /** A name stays as it was given, since others may have to use it; but `localhost` is where it was bound. */
  #dialableHost(asked: string, bound: string): string {
    if (isWildcard(bound)) return this.#advertiser.widestHost(bound);
    return withoutZone(isIP(asked) === 0 && !isLoopback(bound) ? asked : bound);
  }
}
