/**
 * Testudo's transport net by itself: the system's TCP.
 */

import { net } from "@testudo/transports/net";
import { transportPeer } from "../lib/transport-peer.mjs";

export const about = "Testudo's net, its defaults: TCP";
export const sealed = false;
export const { listen, createDialer } = transportPeer("net", () => net());
