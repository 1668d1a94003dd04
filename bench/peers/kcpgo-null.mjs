/**
 * Testudo's transport kcpgo by itself, without any cipher.
 */

import { kcpgo } from "@testudo/transports/kcpgo";
import { transportPeer } from "../lib/transport-peer.mjs";

export const about = "Testudo's kcpgo, crypt null: KCP segments and nothing else";
export const sealed = false;
export const { listen, createDialer } = transportPeer("kcpgo", () => kcpgo({ crypt: "null" }));
