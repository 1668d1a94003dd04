/**
 * Sections `ws://HOST[:PORT][/PATH]` and `wss://…` as URLs, both ways. What is no URL, or hides something in
 * one, is refused with how to write it. Pure functions; nothing of a platform.
 *
 * A host is written as the WHATWG URL standard has it (lower case, IPv6 in brackets, without zones), so that
 * Node and browsers dial the same. Printed as multiserver prints it: no default port, no bare slash.
 */

import { networkError, type Section, type Side, section } from "@testudo/core";

export interface WsPlace {
  /** `wss`: over TLS. */
  readonly secure: boolean;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** With the query, and `/` at least. */
  readonly path: string;
}

/** Throws `AddressError` `ADDRESS_MALFORMED` for a section that this side can never use. */
export function placeOf(from: Section, side: Side): WsPlace {
  const { name } = from;
  const rest = from.args.join(":");
  const how = `write ${name}://HOST:PORT/PATH`;
  const match = /^\/\/([^/?#]*)(.*)$/s.exec(rest);
  if (match === null) throw malformed(from, `there is no // in front of the host; ${how}`);
  const [, authority = "", tail = ""] = match;
  if (authority.includes("@")) {
    // Not shown: it holds a password.
    throw malformed(section(name, "//…"), "a user and a password do not belong into an address");
  }
  if (/[\s\\]/u.test(rest)) throw malformed(from, `blanks and backslashes do not belong; ${how}`);
  if (tail.includes("#")) throw malformed(from, "what is behind a # is never sent; leave it out");
  const { host, port } = hostAndPortOf(from, authority);
  const secure = name === "wss";
  const place = { secure, host, port: port ?? defaultPort(secure), path: pathOf(from, tail) };
  if (side === "dialer" && port === 0) {
    throw malformed(from, "port 0 is for listening; name the port that somebody listens on");
  }
  if (side === "listener" && place.path.includes("?")) {
    throw malformed(from, "a listener has a path only; leave out what is behind the ?");
  }
  return place;
}

/** A path as dialers send it, for whoever listens there. Throws `TypeError`. */
export function readPath(given: string, what: string): string {
  if (typeof given !== "string" || !given.startsWith("/") || /[?#\s\\]/u.test(given)) {
    throw new TypeError(`${what} must be a path such as "/node", without a query`);
  }
  return normalPath(given);
}

export function sectionOf({ secure, host, port, path }: WsPlace): Section {
  const where = port === defaultPort(secure) ? bracketed(host) : `${bracketed(host)}:${port}`;
  return section(secure ? "wss" : "ws", ...`//${where}${path === "/" ? "" : path}`.split(":"));
}

/** Where a connection came from. The port always stands there: what counts arrivals by host cuts it off. */
export function remoteSection(secure: boolean, host: string, port: number): Section {
  return section(secure ? "wss" : "ws", ...`//${bracketed(host)}:${port}`.split(":"));
}

/** What a WebSocket dials. */
export function urlOf({ secure, host, port, path }: WsPlace): string {
  return `${secure ? "wss" : "ws"}://${bracketed(host)}:${port}${path}`;
}

/** An IPv6 address as a URL has it, other hosts as they are. */
function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function hostAndPortOf(from: Section, authority: string): { host: string; port?: number } {
  const { name } = from;
  const parts = authority.startsWith("[")
    ? /^(\[[^\]]*\])(?::(.*))?$/s.exec(authority)
    : /^([^:]*)(?::([^:]*))?$/s.exec(authority);
  if (parts === null) {
    throw malformed(from, `IPv6 stands in brackets here, as in ${name}://[::1]:8989`);
  }
  const [, written = "", digits] = parts;
  if (written === "") throw malformed(from, `it names no host; write ${name}://localhost:8989`);
  if (written.includes("%") && written.startsWith("[")) {
    throw malformed(from, "a URL cannot hold an IPv6 zone; use net for link-local addresses");
  }
  let host: string;
  try {
    host = new URL(`ws://${written}/`).hostname.replace(/^\[(.*)\]$/, "$1");
  } catch {
    throw malformed(from, `${written} is no host`);
  }
  if (digits === undefined) return { host };
  if (!/^\d{1,5}$/.test(digits) || Number(digits) > 65_535) {
    throw malformed(
      from,
      `a port is a decimal number from 1 to 65535, and without one ${name} takes ${defaultPort(name === "wss")}`,
    );
  }
  return { host, port: Number(digits) };
}

function pathOf(from: Section, tail: string): string {
  try {
    return normalPath(tail);
  } catch {
    throw malformed(from, `${tail} is no path`);
  }
}

function normalPath(tail: string): string {
  const { pathname, search } = new URL(`ws://host${tail}`);
  return pathname + search;
}

function defaultPort(secure: boolean): number {
  return secure ? 443 : 80;
}

function malformed(from: Section, why: string): Error {
  return networkError("ADDRESS_MALFORMED", `${from.text} cannot be used: ${why}`, {
    address: from.text,
  });
}
