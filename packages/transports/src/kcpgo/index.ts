/**
 * Transport `kcpgo`: sessions of kcp-go over UDP, as kcptun and others have deployed them. IPv4 and IPv6.
 *
 *     const network = new Network({ stacks: [[kcpgo({ password: "it's a secret" }), noise()]] });
 *     await network.listen("kcpgo:0.0.0.0:29900~noise");
 *
 *     kcpgo({ preset: "kcptun", crypt: "aes-128", password: "it's a secret", fec: [10, 3] });
 *
 * Section `kcpgo:HOST:PORT`, host and port as with `net`. Cipher, key and error correction are agreed beforehand, and
 * one key serves everybody: what must be kept from others goes through a transform as well. The protocol has no end:
 * the other side of a connection that is closed notices by its idle timeout, or by a transform's goodbye. Between our
 * own nodes `kcp` is the better choice.
 */

import {
  asError,
  type Connection,
  type DialOptions,
  hostAndPort,
  type Listener,
  networkError,
  type Scope,
  type Section,
  type Side,
  type Transport,
} from "@testudo/core";
import { Advertiser } from "../net/advertise.ts";
import { dialKcpgo } from "./dial.ts";
import { Listening } from "./listener.ts";
import { kcpgoSection } from "./place.ts";
import { type KcpgoOptions, settingsOf } from "./settings.ts";

export { KcpgoConnection } from "./connection.ts";
export { type CryptName, cryptNames } from "./crypt.ts";
export { KCPTUN_KEY, type KcpgoKeyOptions, kcpgoKey } from "./keys.ts";
export type { KcpgoMode, KcpgoOptions } from "./settings.ts";

/** Throws `TypeError` or `RangeError` for options that make no sense. Derives the key, which takes a few milliseconds. */
export function kcpgo(options: KcpgoOptions): Transport {
  const settings = settingsOf(options);
  const advertiser = new Advertiser(options, "kcpgo");
  const place = placeOf(options, advertiser);
  const listening = new Listening(settings, advertiser);
  return {
    name: "kcpgo",
    halfClose: false,
    ...(place === undefined ? {} : { place }),
    check,
    async dial(section: Section, dialOptions: DialOptions): Promise<Connection> {
      check(section, "dialer");
      return dialKcpgo(section, hostAndPort(section), dialOptions, settings);
    },
    listen(section: Section, accept: (connection: Connection) => void): Promise<Listener> {
      return listening.listen(section, accept);
    },
    advertised(bound: Section, scope: Scope): readonly Section[] {
      const { host, port } = hostAndPort(bound);
      const hosts = advertiser.hosts(host, scope);
      // Port 0 is bound nowhere yet.
      return port === 0 ? [] : hosts.map((each) => kcpgoSection(each, port));
    },
  };
}

function placeOf({ host, port }: KcpgoOptions, advertiser: Advertiser): Section | undefined {
  if (port === undefined) {
    if (host !== undefined) throw new TypeError("kcpgo host needs a port beside it; 0 picks one");
    return undefined;
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError("kcpgo port must be a whole number from 0 to 65535");
  }
  try {
    const place = kcpgoSection(host ?? advertiser.bindHost, port);
    return kcpgoSection(hostAndPort(place).host, port);
  } catch (cause) {
    throw new TypeError(`kcpgo host cannot be used: ${asError(cause).message}`, { cause });
  }
}

function check(section: Section, side: Side): void {
  const { text: address } = section;
  if (hostAndPort(section).port === 0 && side === "dialer") {
    const message = `${address} cannot be dialled: port 0 is for listening`;
    throw networkError("ADDRESS_MALFORMED", message, { address });
  }
}
