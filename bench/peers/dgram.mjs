/**
 * Plain UDP in datagrams as large as kcp's on this machine.
 */

import { datagramPeer } from "../lib/datagram-peer.mjs";

export const about = "node:dgram, 8,972 bytes a datagram, a window so that nothing is lost";
export const sealed = false;
export const { listen, createDialer } = datagramPeer(8_972);
