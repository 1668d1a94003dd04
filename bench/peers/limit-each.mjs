/**
 * The limit without batching.
 */

import { rawPeer } from "../lib/raw-peer.mjs";

export const about = "as limit, but one AEAD frame and one write a message";
export const sealed = true;
export const { listen, createDialer } = rawPeer({ sealed: true, each: true });
