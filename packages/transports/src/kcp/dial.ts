/**
 * Dialling KCP by host and port: looks the host up, then races opens to its addresses, families in turn. All
 * dials of a transport share one socket for each family, which is closed when its last connection is gone.
 */

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import {
  type DialOptions,
  deferred,
  NetworkError,
  networkError,
  race,
  type Section,
} from "@testudo/core";
import { interleaved, MAX_ADDRESSES } from "../net/dial.ts";
import { isLoopback, meaningOf } from "../net/host.ts";
import { KcpConnection } from "./connection.ts";
import { Endpoint } from "./endpoint.ts";
import { Opening } from "./opening.ts";
import { type ConnectionId, encodeOpen, readId, type Terms } from "./packet.ts";
import { kcpSection, normalIp, type Place } from "./place.ts";
import { offer, type Settings, sizesUpTo } from "./settings.ts";

export class Dialling {
  readonly #settings: Settings;
  readonly #endpoints = new Map<string, Promise<Endpoint>>();

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Rejects `DialError`, or with the signal's reason; then nothing is left but a word to the listener. */
  async dial(
    section: Section,
    target: { readonly host: string; readonly port: number },
    options: DialOptions,
  ): Promise<KcpConnection> {
    const { host, port } = target;
    const { signal, stage } = options;
    const { runtime } = this.#settings;
    signal.throwIfAborted();
    try {
      let addresses: readonly string[] = [host];
      if (isIP(host) === 0) {
        stage?.("resolve");
        const all = (): ReturnType<typeof lookupAll> => lookupAll(host);
        const found = await race([all], { signal, runtime, discard: () => {} });
        addresses = interleaved(found).slice(0, MAX_ADDRESSES);
      }
      stage?.("connect");
      const ways = addresses.map(
        (address) =>
          (cancel: AbortSignal): Promise<KcpConnection> =>
            this.#open({ address: normalIp(address), port }, section, cancel),
      );
      const discard = (late: KcpConnection): void => late.abort(new Error("another was faster"));
      return await race(ways, { signal, runtime, discard });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw dialError(section, error);
    }
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
    const remote = kcpSection(place.address, place.port);
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

async function lookupAll(
  host: string,
): Promise<readonly { readonly address: string; readonly family: number }[]> {
  const found = await lookup(host, { all: true });
  if (found.length === 0) {
    throw Object.assign(new Error(`${host} has no address`), { code: "ENOTFOUND" });
  }
  return found;
}

/** Of several failures: a timeout only if all were. */
function dialError(section: Section, error: unknown): Error {
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  const [first] = errors;
  if (errors.length === 1 && first instanceof NetworkError) return first;
  const late = errors.every((each) => each instanceof NetworkError && each.code === "DIAL_TIMEOUT");
  const cause = errors.length === 1 ? first : error;
  const message = `cannot reach ${section.text}: ${meaningOf(cause)}`;
  return networkError(late ? "DIAL_TIMEOUT" : "DIAL_REFUSED", message, {
    cause,
    address: section.text,
  });
}
