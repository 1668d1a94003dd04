/**
 * Plain UDP in datagrams as large as most paths carry.
 */

import { datagramPeer } from "../lib/datagram-peer.mjs";

export const about = "node:dgram, 1,400 bytes a datagram, a window so that nothing is lost";
export const sealed = false;
export const { listen, createDialer } = datagramPeer(1_400);
