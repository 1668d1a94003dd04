/**
 * The physical limit: what encrypted, authenticated messages can cost here at least.
 */

import { rawPeer } from "../lib/raw-peer.mjs";

export const about =
  "node:net, AES-256-GCM over batches of up to 64 KiB, X25519 + Ed25519 mutual authentication (JWK keys)";
export const sealed = true;
export const { listen, createDialer } = rawPeer({ sealed: true, each: false });
