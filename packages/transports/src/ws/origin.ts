/**
 * Origins: which web pages may open a WebSocket here (RFC 6455, section 10.2).
 *
 * Any page can dial any host, also `localhost`, with the rights of whoever looks at it; its browser says in
 * `Origin` where it came from. Where keys are proved, that gives a page nothing. Where they are not, pages of
 * other origins are refused. What sends no Origin is no browser, and is none of this file's business.
 */

import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

/** Allowed origins (`https://example.org`), `any`, or a function that decides. */
export type Origins =
  | "any"
  | readonly string[]
  | ((origin: string, request: IncomingMessage) => boolean);

export interface OriginPolicy {
  /** Default: any where keys are proved, else none but our own. */
  readonly origins?: Origins | undefined;
  readonly authenticated: boolean;
  readonly secure: boolean;
  /** Names that are this listener's for sure. */
  readonly hosts: readonly string[];
}

/** Throws `TypeError` unless it is one of the three. */
export function readOrigins(given: Origins): Origins {
  if (given === "any" || typeof given === "function") return given;
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  return list.map((entry) => {
    const origin = typeof entry === "string" ? (originOf(entry) ?? bareOrigin(entry)) : undefined;
    if (origin === undefined || !Array.isArray(given)) {
      throw new TypeError(
        'origins must be "any", a list such as ["https://example.org"], or a function',
      );
    }
    return origin;
  });
}

/** Why this request must be refused, or `undefined`. Throws what an `origins` function throws. */
export function foreignOrigin(request: IncomingMessage, policy: OriginPolicy): string | undefined {
  const { headers } = request;
  const given = headers.origin ?? headers["sec-websocket-origin"];
  if (given === undefined) return undefined;
  const origin = String(given);
  const { origins = policy.authenticated ? "any" : [] } = policy;
  if (origins === "any") return undefined;
  if (typeof origins === "function") {
    return origins(origin, request) ? undefined : "pages of this origin are not allowed here";
  }
  if (origins.includes(originOf(origin) ?? origin)) return undefined;
  if (isOwn(origin, headers.host, policy)) return undefined;
  return policy.authenticated
    ? "pages of this origin are not allowed here"
    : "without noise or shs, pages of other origins are not allowed here; list this one in ws({ origins })";
}

/**
 * Whether a page was served from where it dials. A name alone proves little without TLS: its owner can make
 * it mean this machine (DNS rebinding); so it must be an address, or a name known to be ours.
 */
function isOwn(origin: string, host: string | undefined, policy: OriginPolicy): boolean {
  const page = URL.canParse(origin) ? new URL(origin) : undefined;
  if (page === undefined || host === undefined || !/^https?:$/.test(page.protocol)) return false;
  const here = `${page.protocol}//${host}`;
  if (!URL.canParse(here) || new URL(here).host !== page.host) return false;
  const name = page.hostname.replace(/^\[(.*)\]$/, "$1");
  return (
    policy.secure ||
    isIP(name) !== 0 ||
    /(^|\.)localhost$/.test(name) ||
    policy.hosts.some((known) => known.toLowerCase() === name)
  );
}

function originOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { origin } = new URL(text);
  return origin === "null" ? undefined : origin;
}

/** What a browser sends for a page without a host (`null`), or of a scheme of its own (`chrome-extension://id`). */
function bareOrigin(text: string): string | undefined {
  return text === "null" || /^[a-z][a-z\d+.-]*:\/\/[^\s/]+$/.test(text) ? text : undefined;
}
