/**
 * Transport `ws`: WebSockets, `ws://` and `wss://`. On Node with the package `ws`, elsewhere with the
 * platform's own; only Node listens.
 *
 *     const network = new Network({ stacks: [[ws(), noise()]] });
 *     await network.listen("ws://0.0.0.0:8989~noise");
 *
 *     ws({ server, path: "/node", origins: ["https://example.org"] });
 *
 * Section `ws://HOST[:PORT][/PATH]`, as multiserver writes it: IPv6 in brackets; without a port 80, or 443 with
 * `wss`. Binary messages are a stream of bytes, their bounds mean nothing. An end ends both directions.
 */

import type { Transport } from "@testudo/core";
import { platform } from "#websocket";
import type { WsOptions } from "./options.ts";

export type { Origins, WsOptions } from "./options.ts";

/**
 * Throws `TypeError` or `RangeError` for options that make no sense, and where there is no Node for all that
 * only Node can do: to listen, and to choose whom TLS trusts.
 */
export function ws(options: WsOptions = {}): Transport {
  return platform(options);
}
