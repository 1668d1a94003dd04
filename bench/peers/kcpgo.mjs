/**
 * Testudo's transport kcpgo by itself, with its defaults.
 */

import { kcpgo } from "@testudo/transports/kcpgo";
import { transportPeer } from "../lib/transport-peer.mjs";

export const about =
  "Testudo's kcpgo, its defaults: aes-256 in CFB with CRC, datagrams of up to 1,400 bytes";
export const sealed = false;
export const { listen, createDialer } = transportPeer("kcpgo", () =>
  kcpgo({ password: "a benchmark" }),
);
