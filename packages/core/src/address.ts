/**
 * Addresses: `net:example.org:9000~noise:KEY;ws://example.org~noise:KEY`.
 *
 * An address is a list of routes (`;`), a route a list of sections (`~`), a section a name and its
 * arguments (`:`); `!` takes the meaning from the character behind it. The grammar is multiserver's
 * (docs/addresses.md). Values are immutable, and parse and format are inverses. What a section means
 * is known to the transport or transform of that name only, never here.
 */

import { fromBase64 } from "./bytes.ts";
import { networkError } from "./errors.ts";

export interface Section {
  /** Lower case: `net`, `noise`. */
  readonly name: string;
  /** Without escapes. `net:::1:80` has the arguments `""`, `""`, `"1"`, `"80"`: the transport joins them. */
  readonly args: readonly string[];
  /** As it stands in the address, escaped. */
  readonly text: string;
}

export interface Route {
  readonly sections: readonly Section[];
  readonly text: string;
}

export interface Address {
  /** At least one, in order of preference. */
  readonly routes: readonly Route[];
  /** The routes joined by `;`: as it was given, but for blank alternatives. */
  readonly text: string;
}

/** Longest address taken, in characters: room for 32 long alternatives. */
export const MAX_ADDRESS_LENGTH = 8_192;

/** Most alternatives taken: whoever dials a stranger's address tries each, so it must not be a list of targets. */
export const MAX_ROUTES = 32;

const NAME = /^[a-z][a-z0-9-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/** Throws `AddressError` `ADDRESS_MALFORMED` saying which part is wrong; `TypeError` when it is no string. */
export function parseAddress(text: string): Address {
  if (typeof text !== "string") throw new TypeError("address must be a string");
  if (text.length > MAX_ADDRESS_LENGTH) {
    throw malformed(`${text.slice(0, 40)}…`, `longer than ${MAX_ADDRESS_LENGTH} characters`);
  }
  if (text.search(CONTROL) >= 0) throw malformed(text, "control characters are not allowed");
  // Blank alternatives are what lists that were glued together leave behind.
  const parts = split(text, ";").filter((part) => part !== "");
  if (parts.length > MAX_ROUTES)
    throw malformed(text, `it has more than ${MAX_ROUTES} alternatives`);
  if (parts.length === 0) throw malformed(text, "it names no way to a node");
  const routes = parts.map((part) => parseRoute(part, text));
  return Object.freeze({ routes: Object.freeze(routes), text: formatAddress(routes) });
}

export function formatAddress(routes: readonly Route[]): string {
  return routes.map((route) => route.text).join(";");
}

/** The route without what may be secret: of each transform, the name and the key only. For errors and logs. */
export function shownRoute(route: Route): string {
  const [transport, ...transforms] = route.sections;
  const shown = transforms.map(({ name, args }) =>
    args[0] === undefined ? name : `${name}:${args[0]}`,
  );
  return [withoutPassword(transport?.text ?? ""), ...shown].join("~");
}

/** The same for a whole address; text that is none is not shown at all. */
export function shownAddress(address: string): string {
  try {
    return parseAddress(address).routes.map(shownRoute).join(";");
  } catch {
    return "(not an address)";
  }
}

export function makeRoute(sections: readonly Section[]): Route {
  return Object.freeze({
    sections: Object.freeze([...sections]),
    text: sections.map((section) => section.text).join("~"),
  });
}

/**
 * `section("net", "example.org", "9000")`; arguments are escaped as needed. Throws `TypeError` for a bad
 * name, and for an argument with control characters, which no address may have.
 */
export function section(name: string, ...args: readonly string[]): Section {
  if (!NAME.test(name)) throw new TypeError(`section name ${JSON.stringify(name)} is not valid`);
  if (args.some((argument) => typeof argument !== "string" || argument.search(CONTROL) >= 0)) {
    throw new TypeError(`arguments of section ${name} must be strings without control characters`);
  }
  const text = [name, ...args.map(escapeArgument)].join(":");
  return Object.freeze({ name, args: Object.freeze([...args]), text });
}

function parseRoute(text: string, whole: string): Route {
  const sections = split(text, "~").map((part) => {
    if (part === "") throw malformed(whole, "a section is empty");
    const [name = "", ...args] = split(part, ":").map((piece) => withoutEscapes(piece, whole));
    if (!NAME.test(name)) throw malformed(whole, `${JSON.stringify(name)} is not a section name`);
    return Object.freeze({ name, args: Object.freeze(args), text: part });
  });
  return makeRoute(sections);
}

/** Splits at separators that no `!` protects, and keeps the escapes. */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "!") i++;
    else if (text[i] === separator) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function withoutEscapes(text: string, whole: string): string {
  if (!text.includes("!")) return text;
  let plain = "";
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "!") i++;
    if (i === text.length) throw malformed(whole, "it ends in a lone !");
    plain += text[i];
  }
  return plain;
}

function escapeArgument(text: string): string {
  return text.replace(/[!:;~]/g, "!$&");
}

/** What `shownRoute` shows, of a text that cannot be read. */
function veiled(text: string): string {
  const section = (part: string, index: number): string => {
    if (index === 0) return withoutPassword(part);
    const [name = "", first, ...more] = split(part, ":");
    return more.length === 0 ? part : `${name}:${first}:…`;
  };
  return split(text, ";")
    .map((route) => split(route, "~").map(section).join("~"))
    .join(";");
}

/** A password in a URL is refused where it is read, and said in no refusal. */
function withoutPassword(text: string): string {
  return text.replace(/(?<=\/\/)[^/]*@/, "…@");
}

function malformed(whole: string, why: string): Error {
  // An address may come from a stranger, and the message may go to a terminal.
  const address = veiled(whole.replace(CONTROL, "?"));
  const shown = address === "" ? "the empty address" : `address ${address}`;
  return networkError("ADDRESS_MALFORMED", `${shown} cannot be read: ${why}`, { address });
}

/**
 * Host and port of a section like `net:HOST:PORT`; the host is a name, an IPv4 or an IPv6 address, which may
 * stand in brackets, and empty means `localhost`. Throws `AddressError` unless the port is decimal and in
 * 0..65535, and for a host that can never be one. Whether a name exists is not asked.
 */
export function hostAndPort(from: Section): { host: string; port: number } {
  const written = from.args.slice(0, -1).join(":");
  const digits = from.args.at(-1) ?? "";
  if (from.args.length < 2 || !/^\d{1,5}$/.test(digits) || Number(digits) > 65_535) {
    throw malformed(from.text, `${from.name} needs HOST:PORT with a port from 0 to 65535`);
  }
  const bracketed = /^\[.*\]$/.test(written);
  const host = bracketed ? written.slice(1, -1) : written;
  if (bracketed || host.includes(":") ? !isIpv6(host) : /[[\]]/.test(host)) {
    const why = host.includes(":") ? "an IPv6 address is written whole" : "brackets are for IPv6";
    const right = `${from.name}:::1:8008 or ${from.name}:[::1]:8008`;
    throw malformed(from.text, `${JSON.stringify(written)} is no host; ${why}, as in ${right}`);
  }
  return { host: host === "" ? "localhost" : host, port: Number(digits) };
}

/** Whether this is an IPv6 address, which may end in IPv4 and then in a zone (`%eth0`). */
function isIpv6(text: string): boolean {
  const byte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  // An IPv4 end stands for two groups.
  const plain = text
    .replace(/%[\w.~-]+$/, "")
    .replace(new RegExp(`:${byte}(\\.${byte}){3}$`), ":0:0");
  const [before = "", after, more] = plain.split("::");
  const groups = [before, after ?? ""].flatMap((half) => (half === "" ? [] : half.split(":")));
  if (more !== undefined || !groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return false;
  return after === undefined ? groups.length === 8 : groups.length < 8;
}

/**
 * The 32-byte public key in a section like `noise:KEY`, or `undefined` when the section has none. Read as
 * leniently as multiserver does: standard or URL alphabet, padded or not, also as `@KEY=.ed25519`, with blanks
 * around it. Throws `AddressError` when there is anything else in its place: never dialled in a weaker form.
 */
export function sectionKey(from: Section): Uint8Array | undefined {
  const text = from.args[0];
  if (text === undefined) return undefined;
  const key = fromBase64(text.trim().replace(/^@?(.*?)(?:\.ed25519)?$/, "$1"));
  if (key === undefined || key.length !== 32) {
    // Only the name: the arguments may hold an invite's secret.
    throw malformed(`${from.name}:…`, `${from.name} needs a base64 key of 32 bytes`);
  }
  return key;
}
