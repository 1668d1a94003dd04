/**
 * Random: numbers from a seed, the same on every machine.
 *
 * sfc32 (Chris Doty-Humphrey's PractRand), seeded through splitmix32. Good enough for simulation, of no
 * use for secrets.
 */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** A text is hashed first, so that parts of one run can have streams of their own. */
  constructor(seed: number | string) {
    const mix = splitmix(typeof seed === "number" ? seed : hash(seed));
    this.#a = mix();
    this.#b = mix();
    this.#c = mix();
    for (let i = 0; i < 12; i++) this.u32();
  }

  /** A whole number from 0 to 2^32 - 1. */
  u32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    return this.u32() / 2 ** 32;
  }

  /** A whole number in [0, bound). `RangeError` unless `bound` is whole and in 1..2^32. */
  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
      throw new RangeError("bound must be a whole number from 1 to 2^32");
    }
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const value = this.u32();
      if (value < limit) return value % bound;
    }
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 4) {
      const word = this.u32();
      for (let i = 0; i < 4 && at + i < length; i++) bytes[at + i] = word >>> (8 * i);
    }
    return bytes;
  }

  /** One of a list that is not empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** A new list of min(n, all) distinct items, in random order. */
  sample<T>(items: readonly T[], n: number): T[] {
    const pool = [...items];
    const taken = Math.min(Math.max(n, 0), pool.length);
    for (let i = 0; i < taken; i++) {
      const from = i + this.below(pool.length - i);
      const held = pool[i] as T;
      pool[i] = pool[from] as T;
      pool[from] = held;
    }
    pool.length = taken;
    return pool;
  }

  shuffle<T>(items: readonly T[]): T[] {
    return this.sample(items, items.length);
  }

  /** A stream of its own: what is drawn from it does not move this one's numbers. */
  fork(label: string): Random {
    return new Random(`${label}/${this.u32()}`);
  }
}

function splitmix(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let value = state ^ (state >>> 16);
    value = Math.imul(value, 0x21f0aaad);
    value ^= value >>> 15;
    value = Math.imul(value, 0x735a2d97);
    return value ^ (value >>> 15);
  };
}

/** FNV-1a of the text's UTF-16 code units. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value;
}
