/**
 * Puzzles: what makes an id cost work (S/Kademlia, section 4.1).
 *
 * Static: the hash of the node id, itself the hash of the key, begins with c1 zero bits; it keeps people from
 * choosing their place. Dynamic: the hash of the node id xor X begins with c2 zero bits, for an X published
 * with the id; it keeps them from having many, and may become harder without changing ids. Special hardware
 * shifts the price for everybody: a puzzle goes with caps on subnets (diversity.ts), not instead of them.
 *
 * The search runs in slices of the caller's size, so that it draws a progress bar or leaves the loop to others.
 */

import { readU32, writeU32 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { leadingZeros, NODE_ID_BYTES, nodeIdOf } from "./node-id.ts";

/** X is eight bytes, laid over the first eight of the node id. */
export const SOLUTION_BYTES = 8;

/** How many zero bits the key's static puzzle has: two hashes. */
export function staticBits(publicKey: Uint8Array): number {
  return staticBitsOf(nodeIdOf(publicKey));
}

function staticBitsOf(nodeId: Uint8Array): number {
  return leadingZeros(provider.hash("SHA256", nodeId));
}

export interface PuzzleClaim {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** `nodeIdOf(publicKey)` if it is known already: saves a hash. Never what a remote said. */
  readonly nodeId?: Uint8Array;
  /** X, as published: 8 bytes. */
  readonly solution: Uint8Array | undefined;
  /** Zero bits wanted of the static puzzle; 0: none. */
  readonly staticBits: number;
  /** Zero bits wanted of the dynamic puzzle; 0: none, and no solution is needed. */
  readonly dynamicBits: number;
}

/** Whether both puzzles are solved: one hash each, beside that of the node id. Never throws for a remote's bytes. */
export function verifyPuzzle({
  publicKey,
  nodeId = nodeIdOf(publicKey),
  solution,
  staticBits: wantedStatic,
  dynamicBits,
}: PuzzleClaim): boolean {
  if (wantedStatic > 0 && staticBitsOf(nodeId) < wantedStatic) return false;
  if (dynamicBits <= 0) return true;
  if (solution === undefined || solution.length !== SOLUTION_BYTES) return false;
  return leadingZeros(provider.hash("SHA256", overlaid(nodeId, solution))) >= dynamicBits;
}

export interface DynamicSolverOptions {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 0 to 256; each one doubles the work: about 2^bits tries. */
  readonly dynamicBits: number;
  /** Where to begin: 8 bytes, random at best. Default: zeros. */
  readonly start?: Uint8Array;
}

/** Searches X in slices: `while ((x = solver.run(20_000)) === undefined) await …`. */
export class DynamicSolver {
  readonly #bits: number;
  readonly #solution: Uint8Array;
  readonly #input: Uint8Array;
  readonly #nodeId: Uint8Array;
  #low: number;
  #tries = 0;

  /** Throws `RangeError` for bits or a start that make no sense. */
  constructor({
    publicKey,
    dynamicBits,
    start = new Uint8Array(SOLUTION_BYTES),
  }: DynamicSolverOptions) {
    this.#bits = bitsFrom(dynamicBits, "dynamicBits");
    if (start.length !== SOLUTION_BYTES) {
      throw new RangeError(`start must be ${SOLUTION_BYTES} bytes`);
    }
    this.#solution = new Uint8Array(start);
    this.#nodeId = nodeIdOf(publicKey);
    this.#input = overlaid(this.#nodeId, this.#solution);
    this.#low = 0;
  }

  get tries(): number {
    return this.#tries;
  }

  /** Tries needed on average. */
  get expected(): number {
    return 2 ** this.#bits;
  }

  /** Makes at most `budget` tries. The solution, or `undefined` if it was not among them. */
  run(budget: number): Uint8Array | undefined {
    const input = this.#input;
    const nodeId = this.#nodeId;
    const solution = this.#solution;
    for (let left = budget; left > 0; left--) {
      this.#tries++;
      if (leadingZeros(provider.hash("SHA256", input)) >= this.#bits) {
        return new Uint8Array(solution);
      }
      // The first four bytes count up from where they began; the others change once in 2^32.
      this.#low = (this.#low + 1) >>> 0;
      count(solution, 0);
      if (this.#low === 0) count(solution, 4);
      for (let at = 0; at < SOLUTION_BYTES; at++) {
        input[at] = (nodeId[at] as number) ^ (solution[at] as number);
      }
    }
    return undefined;
  }
}

export interface KeySearchOptions<T> {
  /** 0 to 256; each one doubles the work: about 2^bits key pairs. */
  readonly staticBits: number;
  /** A fresh key pair. */
  readonly generate: () => T;
}

/** Searches a key pair that solves the static puzzle, in slices. */
export class KeySearch<T extends { readonly publicKey: Uint8Array }> {
  readonly #bits: number;
  readonly #generate: () => T;
  #tries = 0;

  /** Throws `RangeError` for bits that make no sense. */
  constructor({ staticBits: bits, generate }: KeySearchOptions<T>) {
    this.#bits = bitsFrom(bits, "staticBits");
    this.#generate = generate;
  }

  get tries(): number {
    return this.#tries;
  }

  /** Tries needed on average. */
  get expected(): number {
    return 2 ** this.#bits;
  }

  /** Makes at most `budget` pairs. The first that solves the puzzle, or `undefined` if there was none. */
  run(budget: number): T | undefined {
    for (let left = budget; left > 0; left--) {
      this.#tries++;
      const pair = this.#generate();
      if (staticBits(pair.publicKey) >= this.#bits) return pair;
    }
    return undefined;
  }
}

function bitsFrom(value: number, name: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 8 * NODE_ID_BYTES) {
    throw new RangeError(`${name} must be a whole number from 0 to 256`);
  }
  return value;
}

function overlaid(nodeId: Uint8Array, solution: Uint8Array): Uint8Array {
  const input = new Uint8Array(nodeId);
  for (let at = 0; at < SOLUTION_BYTES; at++) {
    input[at] = (nodeId[at] as number) ^ (solution[at] as number);
  }
  return input;
}

/** Little endian, wraps. */
function count(bytes: Uint8Array, at: number): void {
  writeU32(bytes, at, (readU32(bytes, at) + 1) >>> 0);
}
