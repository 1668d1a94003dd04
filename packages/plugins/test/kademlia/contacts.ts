/** Contacts for tests: ids from small numbers, so that a failing case can be read. */

import fc from "fast-check";
import { type Contact, nodeIdOf } from "../../src/kademlia/node-id.ts";

export function contact(seed: number, subnets?: readonly string[]): Contact {
  const nodeId = nodeIdOf(Uint8Array.of(seed, seed >>> 8, seed >>> 16));
  return subnets === undefined ? { id: `p${seed}`, nodeId } : { id: `p${seed}`, nodeId, subnets };
}

export function contacts(count: number, first = 1): Contact[] {
  return Array.from({ length: count }, (_, i) => contact(first + i));
}

/** A place that is said bit by bit; the rest is zeros. */
export function nodeId(...head: number[]): Uint8Array {
  const id = new Uint8Array(32);
  id.set(head);
  return id;
}

export const anyId: fc.Arbitrary<Uint8Array> = fc.uint8Array({ minLength: 32, maxLength: 32 });

/** Ids that share much: only few bits differ, anywhere. */
export const similarId: fc.Arbitrary<Uint8Array> = fc
  .array(fc.tuple(fc.nat({ max: 31 }), fc.nat({ max: 255 })), { maxLength: 3 })
  .map((changes) => {
    const id = new Uint8Array(32);
    for (const [at, value] of changes) id[at] = value;
    return id;
  });

/** The distance as one number. */
export function distance(a: Uint8Array, b: Uint8Array): bigint {
  let hex = "0x";
  for (let i = 0; i < 32; i++) hex += ((a[i] ?? 0) ^ (b[i] ?? 0)).toString(16).padStart(2, "0");
  return BigInt(hex);
}

/** All of them, closest to the target first: the naive way. */
export function byDistance(target: Uint8Array, all: readonly Contact[]): Contact[] {
  const far = new Map(all.map((one) => [one, distance(target, one.nodeId)]));
  return [...all].sort((a, b) => ((far.get(a) ?? 0n) < (far.get(b) ?? 0n) ? -1 : 1));
}
