/**
 * SOCKS5 (RFC 1928, RFC 1929), the half that asks: a machine, bytes in and bytes out.
 *
 * It asks for one connection (CONNECT), by name, IPv4 or IPv6, with or without username and password. It
 * never looks a name up: the proxy does. What it holds is bounded by the longest answer there is, and any
 * other answer than the right one ends it.
 */

import { isIPv4, isIPv6 } from "node:net";
import { concat, EMPTY, type NetworkError, networkError, toUtf8 } from "@testudo/core";

export interface SocksTarget {
  /** A name of at most 255 ASCII characters, an IPv4 address, or an IPv6 address without a zone. */
  readonly host: string;
  /** 1 to 65,535. */
  readonly port: number;
}

/** Each of 1 to 255 bytes. */
export interface SocksCredentials {
  readonly username: string;
  readonly password: string;
}

const VERSION = 5;
const PASSWORD_VERSION = 1;
const CONNECT = 1;
const NO_AUTHENTICATION = 0;
const USERNAME_PASSWORD = 2;
const NONE_ACCEPTABLE = 0xff;
const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

/** What the proxy says of a failure. From 0xF0 on: Tor's own (proposal 304), sent when its port asks for them. */
const MEANINGS: Readonly<Record<number, string>> = {
  1: "it failed, and does not say why",
  2: "its rules do not allow that",
  3: "no way to that network",
  4: "no way to that host",
  5: "nobody listens there",
  6: "no answer in time",
  7: "it makes no TCP connections",
  8: "it cannot use that kind of address",
  240: "the onion service is not known; it may be off, or the address wrong",
  241: "what is known of the onion service cannot be read",
  242: "the onion service did not let itself be introduced",
  243: "the onion service did not come to the meeting point",
  244: "the onion service wants proof of who asks, and Tor has none to show",
  245: "the onion service does not take the proof that Tor has shown",
  246: "the onion address is not valid",
  247: "the onion service did not answer in time",
};

/** One negotiation. `greeting` goes out first; then every chunk that arrives goes to `receive`. */
export class Socks5 {
  readonly greeting: Uint8Array;
  readonly #target: SocksTarget;
  readonly #credentials: SocksCredentials | undefined;
  #read: (() => Uint8Array | undefined) | undefined = () => this.#readMethod();
  #buffered: Uint8Array = EMPTY;

  /** With credentials the proxy must ask for them: without them it would mix what is to be kept apart. */
  constructor(target: SocksTarget, credentials?: SocksCredentials) {
    this.#target = target;
    this.#credentials = credentials;
    const method = credentials === undefined ? NO_AUTHENTICATION : USERNAME_PASSWORD;
    this.greeting = Uint8Array.of(VERSION, 1, method);
  }

  /** Whether the connection is there. */
  get done(): boolean {
    return this.#read === undefined;
  }

  /** Once done: what came behind the last answer, which belongs to the connection. */
  get rest(): Uint8Array {
    return this.done ? this.#buffered : EMPTY;
  }

  /**
   * What to send now; empty when there is nothing. Throws `DialError` `DIAL_REFUSED` saying what the proxy
   * will not do, and then must not be called again.
   */
  receive(chunk: Uint8Array): Uint8Array {
    this.#buffered = this.#buffered.length === 0 ? chunk : concat(this.#buffered, chunk);
    return this.#read?.() ?? EMPTY;
  }

  #readMethod(): Uint8Array | undefined {
    this.#checkVersion();
    const method = this.#only(2)?.[1];
    if (method === undefined) return undefined;
    if (method === NONE_ACCEPTABLE) {
      throw refused(
        this.#credentials === undefined
          ? "the proxy wants a username and a password"
          : "the proxy takes no username and password, so it cannot keep connections apart (isolate: false goes without)",
      );
    }
    if (this.#credentials === undefined) {
      if (method !== NO_AUTHENTICATION) throw unexpected();
      return this.#ask();
    }
    if (method !== USERNAME_PASSWORD) throw unexpected();
    const username = toUtf8(this.#credentials.username);
    const password = toUtf8(this.#credentials.password);
    this.#read = () => this.#readPermission();
    return concat(
      Uint8Array.of(PASSWORD_VERSION, username.length),
      username,
      Uint8Array.of(password.length),
      password,
    );
  }

  #readPermission(): Uint8Array | undefined {
    const answer = this.#only(2);
    if (answer === undefined) return undefined;
    // Some proxies put their own version in place of the sub-negotiation's.
    if (answer[0] !== PASSWORD_VERSION && answer[0] !== VERSION) throw unexpected();
    if (answer[1] !== 0) throw refused("the proxy does not take that username and password");
    return this.#ask();
  }

  #ask(): Uint8Array {
    this.#read = () => this.#readReply();
    const { host, port } = this.#target;
    return concat(
      Uint8Array.of(VERSION, CONNECT, 0),
      encodeHost(host),
      Uint8Array.of(port >> 8, port & 0xff),
    );
  }

  #readReply(): undefined {
    this.#checkVersion();
    const [, code, , kind, length] = this.#buffered;
    // A refusal is one already; some proxies hang up before the rest of it.
    if (code !== undefined && code !== 0) {
      throw refused(`the proxy says: ${MEANINGS[code] ?? `error ${code}`}`);
    }
    if (kind === undefined || length === undefined) return;
    const bytes = kind === IPV4 ? 4 : kind === IPV6 ? 16 : kind === NAME ? 1 + length : undefined;
    if (bytes === undefined) throw unexpected();
    // Where the proxy's own end is, and its port: of no use to us.
    const whole = 4 + bytes + 2;
    if (this.#buffered.length < whole) return;
    this.#buffered = this.#buffered.subarray(whole);
    this.#read = undefined;
  }

  #checkVersion(): void {
    const [version = VERSION] = this.#buffered;
    if (version !== VERSION) throw refused("what answers there does not speak SOCKS5");
  }

  /** Exactly that many bytes when they are there. More cannot be: we have not asked for anything yet. */
  #only(length: number): Uint8Array | undefined {
    const buffered = this.#buffered;
    if (buffered.length < length) return undefined;
    if (buffered.length > length) throw unexpected();
    this.#buffered = EMPTY;
    return buffered;
  }
}

/** Kind and bytes of a host in a request. */
function encodeHost(host: string): Uint8Array {
  if (isIPv4(host)) return Uint8Array.of(IPV4, ...host.split(".").map(Number));
  if (isIPv6(host))
    return Uint8Array.of(IPV6, ...groupsOf(host).flatMap((it) => [it >> 8, it & 0xff]));
  const name = toUtf8(host);
  return concat(Uint8Array.of(NAME, name.length), name);
}

/** The eight groups of an IPv6 address. */
function groupsOf(ip: string): readonly number[] {
  // A URL writes the address in its one short form, without an IPv4 end.
  const [head = "", tail] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split("::");
  const numbers = (half: string): number[] =>
    half === "" ? [] : half.split(":").map((group) => Number.parseInt(group, 16));
  const [before, after] = [numbers(head), numbers(tail ?? "")];
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function refused(why: string): NetworkError {
  return networkError("DIAL_REFUSED", why);
}

function unexpected(): NetworkError {
  return refused("the proxy does not keep to SOCKS5");
}
