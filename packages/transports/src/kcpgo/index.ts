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
  type Connection,
  type DialOptions,
  hostAndPort,
  type Listener,
  type Section,
  type Transport,
} from "@testudo/core";
import { hosted } from "../net/options.ts";
import { Listening } from "../udp/listener.ts";
import { dialKcpgo } from "./dial.ts";
import { Door } from "./door.ts";
import { type KcpgoOptions, settingsOf } from "./settings.ts";

export { KcpgoConnection } from "./connection.ts";
export { type CryptName, cryptNames } from "./crypt.ts";
export { KCPTUN_KEY, type KcpgoKeyOptions, kcpgoKey } from "./keys.ts";
export type { KcpgoMode, KcpgoOptions } from "./settings.ts";

/** Throws `TypeError` or `RangeError` for options that make no sense. Derives the key, which takes a few milliseconds. */
export function kcpgo(options: KcpgoOptions): Transport {
  const settings = settingsOf(options);
  const { advertiser, parts } = hosted("kcpgo", options);
  const listening = new Listening("kcpgo", advertiser, (at) => Door.open(at, settings));
  return {
    name: "kcpgo",
    halfClose: false,
    ...parts,
    async dial(section: Section, dialOptions: DialOptions): Promise<Connection> {
      parts.check(section, "dialer");
      return dialKcpgo(section, hostAndPort(section), dialOptions, settings);
    },
    listen(section: Section, accept: (connection: Connection) => void): Promise<Listener> {
      return listening.listen(section, accept);
    },
  };
}
