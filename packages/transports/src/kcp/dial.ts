/**
 * Dialling KCP by host and port: looks the host up, then races opens to its addresses, families in turn. All
 * dials of a transport share one socket for each family, which is closed when its last connection is gone.
 */

import { isIP } from "node:net";
import { type DialOptions, deferred, type Section } from "@testudo/core";
import { hostSection, isLoopback } from "../net/host.ts";
import { dialUdp } from "../udp/dial.ts";
import type { Place } from "../udp/place.ts";
import { KcpConnection } from "./connection.ts";
import { Endpoint } from "./endpoint.ts";
import { Opening } from "./opening.ts";
import { type ConnectionId, encodeOpen, readId, type Terms } from "./packet.ts";
import { offer, type Settings, sizesUpTo } from "./settings.ts";

export class Dialling {
  readonly #settings: Settings;
  readonly #endpoints = new Map<string, Promise<Endpoint>>();

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Rejects `DialError`, or with the signal's reason; then nothing is left but a word to the listener. */
  dial(
    section: Section,
    target: { readonly host: string; readonly port: number },
    options: DialOptions,
  ): Promise<KcpConnection> {
    const open = (place: Place, signal: AbortSignal): Promise<KcpConnection> =>
      this.#open(place, section, signal);
    return dialUdp({ section, ...target, open }, options, this.#settings.runtime);
  }

  async #open(place: Place, section: Section, signal: AbortSignal): Promise<KcpConnection> {
    const endpoint = await this.#endpoint(isIP(place.address) === 6);
    try {
      signal.throwIfAborted();
      return await this.#openAt(endpoint, place, section, signal);
    } finally {
      endpoint.release();
    }
  }

  #openAt(
    endpoint: Endpoint,
    place: Place,
    section: Section,
    signal: AbortSignal,
  ): Promise<KcpConnection> {
    const { runtime, system, openTimeoutMs } = this.#settings;
    const opened = deferred<KcpConnection>();
    const terms = offer(this.#settings, place);
    const id = endpoint.newId();
    const stranger = { ...terms, id: readId(runtime.randomBytes(8), 0), cookie: undefined };
    const refusal = system.refusal(place, encodeOpen(stranger), (error) => opening.drop(error));
    const done = (): void => {
      refusal.close();
      signal.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      done();
      opening.cancel(runtime.now());
      opened.reject(signal.reason);
    };
    const opening = endpoint.add(id, (residence) => {
      const now = runtime.now();
      const parts = { id, place, terms, timeoutMs: openTimeoutMs, label: section.text, now };
      return new Opening(parts, residence, {
        accepted: (accept, agreedOn) => {
          done();
          opened.resolve(this.#connect(endpoint, place, id, accept.id, agreedOn));
        },
        failed: (error) => {
          done();
          opened.reject(error);
        },
        unheard: () => refusal.ask(),
      });
    });
    signal.addEventListener("abort", onAbort, { once: true });
    return opened.promise;
  }

  #connect(
    endpoint: Endpoint,
    place: Place,
    localId: ConnectionId,
    remoteId: ConnectionId,
    terms: Terms,
  ): KcpConnection {
    const { runtime } = this.#settings;
    const remote = hostSection("kcp", place.address, place.port);
    const parts = {
      side: "dialer",
      localId,
      remoteId,
      place,
      label: remote.text,
      terms,
      sizes: sizesUpTo(terms.mtu),
      settings: this.#settings,
      randomBytes: (length: number) => runtime.randomBytes(length),
      now: runtime.now(),
    } as const;
    let connection!: KcpConnection;
    endpoint.add(localId, (residence) => {
      connection = new KcpConnection(remote, isLoopback(place.address), parts, residence);
      return connection.session;
    });
    return connection;
  }

  /** Held for the caller, who releases it. */
  async #endpoint(ipv6: boolean): Promise<Endpoint> {
    const any = ipv6 ? "::" : "0.0.0.0";
    const known = this.#endpoints.get(any);
    if (known !== undefined) {
      const endpoint = await known;
      if (endpoint.open) {
        endpoint.hold();
        return endpoint;
      }
      if (this.#endpoints.get(any) === known) this.#endpoints.delete(any);
      return this.#endpoint(ipv6);
    }
    const opening = Endpoint.open({ address: any, port: 0 }, this.#settings, ipv6);
    this.#endpoints.set(any, opening);
    const forget = (): void => {
      if (this.#endpoints.get(any) === opening) this.#endpoints.delete(any);
    };
    try {
      const endpoint = await opening;
      endpoint.closed = forget;
      return endpoint;
    } catch (error) {
      forget();
      throw error;
    }
  }
}
