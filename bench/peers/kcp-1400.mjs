/**
 * Testudo's transport kcp by itself, in datagrams as large as most paths carry.
 */

import { kcp } from "@testudo/transports/kcp";
import { transportPeer } from "../lib/transport-peer.mjs";

export const about = "Testudo's kcp, datagrams of up to 1,400 bytes";
export const sealed = false;
export const { listen, createDialer } = transportPeer("kcp", () => kcp({ mtu: 1_400 }));
