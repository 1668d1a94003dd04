/**
 * Reed-Solomon: the erasure code of kcp-go's packets (the systematic matrix V * (V's top)^-1 over GF(2^8), V[r][c] = r^c).
 *
 * Four rows of parity travel in the four bytes of a 32-bit word: one lookup per data byte serves them all. Parity is summed up
 * shard by shard (`add`), so an encoder keeps no data; a decoder sums up what arrived, which leaves the missing shards as the
 * unknowns of a system no larger than their number, however wide the group is. Shorter shards count as padded with zeros.
 * A code has tables and no state: one serves any number of encoders and decoders. It knows nothing of packets, groups or time.
 */

import { addProduct, invert, multiply, power } from "./galois.ts";

const MAX_SHARDS = 256;
/** Rows of parity in one word. */
const LANE_ROWS = 4;

/** Sums of parity of one group, to be filled by `ReedSolomon.add`. */
export interface Sums {
  /** One run of `capacity` words per lane. */
  readonly words: Int32Array;
  /** The longest shard that fits, in bytes. */
  readonly capacity: number;
  /** The longest shard so far; words beyond it are old and mean zero. */
  length: number;
}

export class ReedSolomon {
  readonly dataShards: number;
  readonly parityShards: number;
  /** One row of `dataShards` factors for each parity shard. */
  readonly matrix: readonly Uint8Array[];
  readonly #lanes: number;
  /** For data position d and lane l, at `256 * (d * lanes + l)`: what each value of a byte adds to the lane's word. */
  readonly #tables: Int32Array;

  /** `RangeError` unless both are whole numbers of at least 1 that make 256 at most together. */
  constructor(dataShards: number, parityShards: number) {
    checkShards(dataShards, parityShards);
    this.dataShards = dataShards;
    this.parityShards = parityShards;
    this.matrix = parityMatrix(dataShards, parityShards);
    this.#lanes = Math.ceil(parityShards / LANE_ROWS);
    this.#tables = laneTables(this.matrix, dataShards, this.#lanes);
  }

  /** Empty sums for shards of up to `capacity` bytes. */
  sums(capacity: number): Sums {
    return { words: new Int32Array(this.#lanes * capacity), capacity, length: 0 };
  }

  /** Adds the data shard `bytes[from..to)` of the given position. Each position is added once; the order is free. */
  add(sums: Sums, position: number, bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    if (length > sums.capacity) throw new RangeError("the shard is longer than the sums can hold");
    const old = Math.min(length, sums.length);
    const { words, capacity } = sums;
    const tables = this.#tables;
    for (let lane = 0; lane < this.#lanes; lane++) {
      const table = 256 * (position * this.#lanes + lane);
      const start = lane * capacity;
      let i = 0;
      for (; i < old; i++) {
        const word = tables[table + (bytes[from + i] as number)] as number;
        words[start + i] = (words[start + i] as number) ^ word;
      }
      for (; i < length; i++) {
        words[start + i] = tables[table + (bytes[from + i] as number)] as number;
      }
    }
    if (length > sums.length) sums.length = length;
  }

  /** Makes the sums as long as `length`, when they are shorter. */
  pad(sums: Sums, length: number): void {
    if (length > sums.capacity) throw new RangeError("length must not exceed the sums' capacity");
    if (length <= sums.length) return;
    for (let lane = 0; lane < this.#lanes; lane++) {
      const start = lane * sums.capacity;
      sums.words.fill(0, start + sums.length, start + length);
    }
    sums.length = length;
  }

  /** Writes the first `sums.length` bytes of parity shard `row` to `target`, from `at` on. */
  write(sums: Sums, row: number, target: Uint8Array, at: number): void {
    const start = sums.capacity * Math.floor(row / LANE_ROWS);
    const shift = 8 * (row % LANE_ROWS);
    const { words, length } = sums;
    for (let i = 0; i < length; i++) target[at + i] = (words[start + i] as number) >>> shift;
  }

  /**
   * The data shards at the positions `missing`, from as many parity shards and the sums of all the others. Every shard comes out
   * as long as `sums.length`, and each of `parity` has that length. `rows` says which rows the parity shards are.
   */
  solve(
    sums: Sums,
    missing: readonly number[],
    rows: readonly number[],
    parity: readonly Uint8Array[],
  ): Uint8Array[] {
    const { length } = sums;
    // What is left of a parity shard without the data that arrived is what the missing shards put into it.
    const rests = rows.map((row, i) => {
      const rest = new Uint8Array(length);
      this.write(sums, row, rest, 0);
      addProduct(rest, parity[i] as Uint8Array, length, 1);
      return rest;
    });
    const system = rows.map((row) => {
      const factors = this.matrix[row] as Uint8Array;
      return Uint8Array.from(missing, (position) => factors[position] as number);
    });
    // Every square part of this matrix can be inverted: that is what makes any loss up to the parity repairable.
    const answers = invert(system) as Uint8Array[];
    return answers.map((factors) => {
      const shard = new Uint8Array(length);
      rests.forEach((rest, i) => {
        addProduct(shard, rest, length, factors[i] as number);
      });
      return shard;
    });
  }
}

/** `RangeError` unless this is a group that the code can make. */
function checkShards(dataShards: number, parityShards: number): void {
  for (const [name, value] of Object.entries({ dataShards, parityShards })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`${name} must be a whole number of at least 1`);
    }
  }
  if (dataShards + parityShards > MAX_SHARDS) {
    throw new RangeError(`dataShards and parityShards must make ${MAX_SHARDS} at most together`);
  }
}

function parityMatrix(dataShards: number, parityShards: number): Uint8Array[] {
  const columns = Array.from({ length: dataShards }, (_, column) => column);
  const row = (r: number): Uint8Array => Uint8Array.from(columns, (column) => power(r, column));
  const top = invert(columns.map(row)) as Uint8Array[];
  return Array.from({ length: parityShards }, (_, parity) => {
    const factors = row(dataShards + parity);
    const product = new Uint8Array(dataShards);
    top.forEach((part, i) => {
      addProduct(product, part, dataShards, factors[i] as number);
    });
    return product;
  });
}

function laneTables(matrix: readonly Uint8Array[], dataShards: number, lanes: number): Int32Array {
  const tables = new Int32Array(256 * dataShards * lanes);
  matrix.forEach((factors, row) => {
    const lane = Math.floor(row / LANE_ROWS);
    const shift = 8 * (row % LANE_ROWS);
    factors.forEach((factor, position) => {
      const start = 256 * (position * lanes + lane);
      for (let byte = 0; byte < 256; byte++) {
        tables[start + byte] = (tables[start + byte] as number) | (multiply(factor, byte) << shift);
      }
    });
  });
  return tables;
}
