/**
 * Testudo's transport kcp by itself, with its defaults.
 */

import { kcp } from "@testudo/transports/kcp";
import { transportPeer } from "../lib/transport-peer.mjs";

export const about = "Testudo's kcp, its defaults: on this machine datagrams of up to 8,972 bytes";
export const sealed = false;
export const { listen, createDialer } = transportPeer("kcp", () => kcp());
