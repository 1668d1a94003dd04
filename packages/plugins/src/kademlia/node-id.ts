/**
 * Node ids: where a key lives, and how far apart two such places are (S/Kademlia, Baumgart and Mies 2007;
 * the metric is Kademlia's: the exclusive or of two ids, read as a number).
 *
 * An id is the SHA-256 of a public key, so that nobody is placed where he likes. Nothing here takes an id
 * from a remote's word.
 */

import { compare } from "@testudo/core";
import { provider } from "@testudo/core/crypto";

export const NODE_ID_BYTES = 32;
/** One bucket for each bit. */
export const NODE_ID_BITS: number = 8 * NODE_ID_BYTES;

/** What a table and a lookup know of a node. */
export interface Contact {
  /** The text of its peer id. */
  readonly id: string;
  /** `nodeIdOf` its public key; 32 bytes. */
  readonly nodeId: Uint8Array;
  /** The networks its addresses lie in (`subnetsOf`), for the caps on diversity. Default: none. */
  readonly subnets?: readonly string[];
}

/** SHA-256 of the public key: 32 bytes. */
export function nodeIdOf(publicKey: Uint8Array): Uint8Array {
  return provider.hash("SHA256", publicKey);
}

/** Which of two ids is closer to the target: negative for `a`, positive for `b`, zero when they are equal. */
export function compareDistance(target: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < NODE_ID_BYTES; at += 4) {
    const left = wordAt(a, at);
    const right = wordAt(b, at);
    if (left !== right) {
      const word = wordAt(target, at);
      return ((left ^ word) >>> 0) - ((right ^ word) >>> 0);
    }
  }
  return 0;
}

/** How many leading bits two ids share: 0 to 256. */
export function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < NODE_ID_BYTES; at += 4) {
    const difference = wordAt(a, at) ^ wordAt(b, at);
    if (difference !== 0) return 8 * at + Math.clz32(difference);
  }
  return NODE_ID_BITS;
}

/** How many leading bits are zero: 0 to eight times the length. */
export function leadingZeros(bytes: Uint8Array): number {
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte !== 0) return 8 * at + Math.clz32(byte) - 24;
  }
  return 8 * bytes.length;
}

/**
 * An id that shares exactly `prefix` bits (0 to 255) with `self` and is random behind them: what to look up
 * so that the bucket of that prefix is refreshed. `random(bound)` draws a whole number in [0, bound).
 */
export function nodeIdIn(
  self: Uint8Array,
  prefix: number,
  random: (bound: number) => number,
): Uint8Array {
  const id = new Uint8Array(NODE_ID_BYTES);
  for (let at = 0; at < NODE_ID_BYTES; at++) {
    const kept = Math.min(Math.max(prefix - 8 * at, 0), 8);
    const mask = 0xff >>> kept;
    id[at] = ((self[at] as number) & ~mask) | (random(256) & mask);
  }
  const at = prefix >>> 3;
  const bit = 0x80 >>> (prefix & 7);
  id[at] = ((id[at] as number) & ~bit) | (~(self[at] as number) & bit);
  return id;
}

/** A place to measure from. */
export class Target {
  readonly nodeId: Uint8Array;
  readonly #high: number;
  readonly #low: number;

  constructor(nodeId: Uint8Array) {
    this.nodeId = nodeId;
    this.#high = wordAt(nodeId, 0);
    this.#low = wordAt(nodeId, 4);
  }

  /** The first 53 bits of the distance: as many as a number holds, and two of 10^7 nodes hardly share them. */
  head(nodeId: Uint8Array): number {
    const high = (wordAt(nodeId, 0) ^ this.#high) >>> 0;
    const low = (wordAt(nodeId, 4) ^ this.#low) >>> 11;
    return high * 0x200000 + low;
  }

  compare(a: Uint8Array, b: Uint8Array): number {
    return compareDistance(this.nodeId, a, b);
  }
}

/** Whether two ids are the same bytes. They are public: no need to hide where they differ. */
export function sameId(a: Uint8Array, b: Uint8Array): boolean {
  return compare(a, b) === 0;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}
