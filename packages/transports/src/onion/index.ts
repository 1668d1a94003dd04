/**
 * Transport `onion`: through Tor, to onion services and everywhere else, by SOCKS5. It only dials.
 *
 *     const network = new Network({ stacks: [[onion(), noise()]] });
 *     await network.add("onion:uiubmv…wtad.onion:8008~noise:KEY");
 *
 * To be reached through Tor, let a hidden service point to a `net` listener on 127.0.0.1.
 *
 * Section `onion:HOST:PORT`. The host goes to the proxy as it is: no name is looked up on this machine. Tor
 * carries no half-close and no cut: whoever ends or aborts ends both directions, and the other side sees an
 * end. That an end was meant is for a transform to prove.
 */

import {
  asError,
  hostAndPort,
  NetworkError,
  networkError,
  type Section,
  systemRuntime,
  type Transport,
  toHex,
} from "@testudo/core";
import { connectThrough, parseProxy, reachOne } from "./proxy.ts";
import { Socks5, type SocksCredentials, type SocksTarget } from "./socks5.ts";

export interface OnionOptions {
  /**
   * Where the proxy is: `127.0.0.1:9050`, `[::1]:9050` or `unix:/run/tor/socks`. Of several the first that
   * can be reached is used. Default: 127.0.0.1:9050 (tor), then 127.0.0.1:9150 (Tor Browser).
   */
  readonly proxy?: string | readonly string[];
  /**
   * What Tor keeps on circuits of its own, told apart by the username and password it is given. `host`:
   * the connections to one host share theirs, so that two peers cannot be told to be ours by their way, and
   * dialling again needs no new way. `stream`: every connection has its own. `false`: none is asked for, as
   * proxies without usernames need it. Default `host`.
   */
  readonly isolate?: "host" | "stream" | false;
}

const DEFAULT_PROXIES = ["127.0.0.1:9050", "127.0.0.1:9150"];

/** Tor may have to fetch a service's descriptor and build circuits to it first, which takes it half a minute and more. */
const FIRST_CIRCUIT_MS = 60_000;

/** Bytes of a SOCKS5 name, and of a username or a password. */
const MAX_HOST_BYTES = 255;

/** Throws `TypeError` for options that make no sense. */
export function onion(options: OnionOptions = {}): Transport {
  const { proxy = DEFAULT_PROXIES, isolate = "host" } = options;
  const given: readonly unknown[] = Array.isArray(proxy) ? proxy : [proxy];
  if (given.length === 0) throw new TypeError("proxy must name at least one");
  if (isolate !== "host" && isolate !== "stream" && isolate !== false) {
    throw new TypeError("isolate must be host, stream or false");
  }
  const proxies = given.map((each) => {
    if (typeof each !== "string") throw new TypeError("proxy must be a string, or several");
    return parseProxy(each);
  });
  const ours = randomName();
  const credentialsFor = (host: string): SocksCredentials | undefined =>
    isolate === false
      ? undefined
      : { username: isolate === "host" ? ours : randomName(), password: host.toLowerCase() };
  return {
    name: "onion",
    halfClose: false,
    dialTimeoutMs: FIRST_CIRCUIT_MS,
    check: (section) => void targetOf(section),
    async dial(section, { signal, stage }) {
      const target = targetOf(section);
      signal.throwIfAborted();
      stage?.("connect");
      try {
        const { socket } = await reachOne(proxies, signal);
        const machine = new Socks5(target, credentialsFor(target.host));
        return await connectThrough(socket, machine, section, signal);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw networkError(
          "DIAL_REFUSED",
          `cannot reach ${section.text}: ${asError(error).message}`,
          {
            cause: error instanceof NetworkError ? (error.cause ?? error) : error,
            address: section.text,
          },
        );
      }
    },
  };
}

/** Random per transport or per dial, and so known to nobody else that uses the same proxy. */
function randomName(): string {
  return toHex(systemRuntime.randomBytes(16));
}

function targetOf(section: Section): SocksTarget {
  const target = hostAndPort(section);
  const { host, port } = target;
  if (section.args.slice(0, -1).join("") === "") throw malformed(section, "onion needs a host");
  if (port === 0) throw malformed(section, "nobody can be dialled at port 0");
  if (!/^[!-~]+$/.test(host) || host.length > MAX_HOST_BYTES || host.includes("%")) {
    throw malformed(
      section,
      `a host is a name of at most ${MAX_HOST_BYTES} ASCII characters, or an IP address without a zone`,
    );
  }
  return target;
}

function malformed(section: Section, why: string): NetworkError {
  return networkError("ADDRESS_MALFORMED", `${section.text} cannot be used: ${why}`, {
    address: section.text,
  });
}
