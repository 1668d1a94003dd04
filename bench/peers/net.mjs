/**
 * Plain TCP: the floor without any cryptography.
 */

import { rawPeer } from "../lib/raw-peer.mjs";

export const about = "node:net, plain bytes, messages of one tick in one write";
export const sealed = false;
export const { listen, createDialer } = rawPeer({ sealed: false, each: false });
