/**
 * What a WebSocket listener tells others to dial: hosts as `net` chooses them, and whole URLs where a proxy
 * stands in front. It only chooses texts.
 */

import { parseAddress, readScopes, type Scope, type Section } from "@testudo/core";
import { type AdvertiseOptions, Advertiser } from "../net/advertise.ts";
import { placeOf, sectionOf, type WsPlace } from "./url.ts";

export class Told {
  readonly hosts: Advertiser;
  readonly #urls: readonly WsPlace[];
  readonly #names: readonly string[];
  readonly #publicly: boolean;

  /** Throws `TypeError` naming `ws scope` or `ws external`, or `AddressError` for a URL that is none. */
  constructor({ scope, external }: AdvertiseOptions) {
    const given: readonly string[] = [external ?? []].flat();
    const urls = given.filter(isUrl);
    this.#names = given.filter((entry) => !isUrl(entry));
    const hosts = urls.length > 0 && this.#names.length === 0 ? undefined : this.#names;
    this.hosts = new Advertiser(
      {
        ...(scope === undefined ? {} : { scope }),
        ...(external === undefined || hosts === undefined ? {} : { external: hosts }),
      },
      "ws",
    );
    this.#urls = urls.map(readUrl);
    this.#publicly = scope === undefined || readScopes(scope, "ws scope").includes("public");
  }

  /** Names under which others reach a listener, beside the one it is bound to. */
  get names(): readonly string[] {
    return [...this.#names, ...this.#urls.map(({ host }) => host)];
  }

  /** One section for each host within `scope`; none while it is bound to no port. */
  sections(bound: WsPlace, scope: Scope): readonly Section[] {
    const own = this.hosts.hosts(bound.host, scope);
    const sections = bound.port === 0 ? [] : own.map((host) => sectionOf({ ...bound, host }));
    if (scope !== "public" || !this.#publicly || this.#urls.length === 0) return sections;
    return [...this.#urls.map(sectionOf), ...(this.#names.length > 0 ? sections : [])];
  }
}

function isUrl(entry: string): boolean {
  return /^wss?:\/\//i.test(entry);
}

/** In a URL, what would end a section in an address need not be escaped. */
function readUrl(url: string): WsPlace {
  const [route] = parseAddress(url.replace(/[!;~]/g, "!$&")).routes;
  const [section] = route?.sections ?? [];
  if (section === undefined) throw new TypeError("ws external must be a host or a URL");
  return placeOf(section, "dialer");
}
