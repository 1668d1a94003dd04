/**
 * Advertiser: which hosts a listener of a TCP-like transport tells others to dial, scope by scope. Shared by
 * every transport whose addresses are a host and a port (multiserver's `host`, `external` and `scope`).
 *
 * It only chooses texts: a scope never filters who may connect.
 */

import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { readScopes, SCOPES, type Scope } from "@testudo/core";
import { isLoopback, isWildcard } from "./host.ts";
import {
  hostsOfWildcard,
  type Interfaces,
  isWithin,
  loopbackOf,
  speaksIpv6,
  withoutZone,
} from "./interfaces.ts";

export interface AdvertiseOptions {
  /**
   * The scopes a listener serves; in others it advertises nothing. Default: what its host says. A loopback
   * host serves `device`, one of a private network also `local` and `private`, any other all four.
   */
  readonly scope?: Scope | readonly Scope[];
  /**
   * The host or hosts, without a port, that others on the internet dial in place of where it is bound: the
   * outside of a router. They answer scope `public`, and no other.
   */
  readonly external?: string | readonly string[];
}

export class Advertiser {
  readonly #scopes: readonly Scope[] | undefined;
  readonly #external: readonly string[];
  readonly #interfaces: () => Interfaces;

  /** Throws `TypeError` naming `${label} scope` or `${label} external`. */
  constructor(
    options: AdvertiseOptions,
    label: string,
    interfaces: () => Interfaces = networkInterfaces,
  ) {
    const { scope, external } = options;
    this.#scopes = scope === undefined ? undefined : readScopes(scope, `${label} scope`);
    this.#external = external === undefined ? [] : readHosts(external, `${label} external`);
    this.#interfaces = interfaces;
  }

  /** The host to bind when options give a port and no host: only this machine, unless they ask for more. */
  get bindHost(): string {
    if (this.#scopes === undefined || this.#scopes.every((scope) => scope === "device")) {
      return "localhost";
    }
    return speaksIpv6(this.#machine()) ? "::" : "0.0.0.0";
  }

  /**
   * What others within `scope` dial to reach a listener that is bound at this host, best first; none when it
   * does not serve that scope. Without zones and without brackets. Throws `TypeError` for an unknown scope.
   */
  hosts(boundHost: string, scope: Scope): readonly string[] {
    readScopes(scope, "scope");
    if (this.#scopes !== undefined && !this.#scopes.includes(scope)) return [];
    if (scope === "public" && this.#external.length > 0) return this.#external;
    if (isWildcard(boundHost)) return hostsOfWildcard(boundHost, scope, this.#machine());
    if (this.#scopes === undefined && !isWithin(boundHost, scope)) return [];
    return [withoutZone(boundHost)];
  }

  /** The one host to print for a listener bound to this wildcard: of the widest scope it serves; else loopback. */
  widestHost(wildcard: string): string {
    for (const scope of SCOPES.toReversed()) {
      const [host] = this.hosts(wildcard, scope);
      if (host !== undefined) return host;
    }
    return loopbackOf(wildcard, this.#machine());
  }

  /** A name stays as it was given, since others may have to use it; but `localhost` is where it was bound. */
  dialableHost(asked: string, bound: string): string {
    if (isWildcard(bound)) return this.widestHost(bound);
    return withoutZone(isIP(asked) === 0 && !isLoopback(bound) ? asked : bound);
  }

  /** Some systems forbid the question; then loopback is all there is to tell. */
  #machine(): Interfaces {
    try {
      return this.#interfaces();
    } catch {
      return {};
    }
  }
}

function readHosts(given: string | readonly string[], what: string): readonly string[] {
  const hosts: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (hosts.length === 0) throw new TypeError(`${what} must name at least one host`);
  return hosts.map((host) => {
    if (typeof host !== "string") throw new TypeError(`${what} must be a host or a list of hosts`);
    const bare = host.replace(/^\[(.*)\]$/, "$1");
    const isText = bare !== "" && !/[[\]\p{Cc}]/u.test(bare);
    if (!isText || (bare.includes(":") && isIP(bare) !== 6)) {
      throw new TypeError(`${what} takes hosts without a port, not ${JSON.stringify(host)}`);
    }
    if (isWildcard(bare)) throw new TypeError(`${what}: nobody can dial ${host}`);
    return withoutZone(bare);
  });
}
