/**
 * Galois: arithmetic in GF(2^8), polynomial 0x11d, generator 2: the field that kcp-go's parity is made in.
 *
 * Products come from one table of 64 KiB, so that a hot loop has a single lookup per byte and no test for zero. Subtraction is
 * exclusive or, as addition is. This file knows nothing of shards or packets.
 */

const POLYNOMIAL = 0x11d;
const ORDER = 255;

interface Tables {
  /** 2^n, over two rounds, so that a sum of two logarithms needs no modulus. */
  readonly powers: Uint8Array;
  readonly logarithms: Uint8Array;
  /** `products[256 * a + b]` is a times b. */
  readonly products: Uint8Array;
}

function makeTables(): Tables {
  const powers = new Uint8Array(2 * ORDER);
  const logarithms = new Uint8Array(256);
  let value = 1;
  for (let n = 0; n < ORDER; n++) {
    powers[n] = value;
    powers[n + ORDER] = value;
    logarithms[value] = n;
    value <<= 1;
    if (value > 0xff) value ^= POLYNOMIAL;
  }
  const products = new Uint8Array(256 * 256);
  for (let a = 1; a < 256; a++) {
    const log = logarithms[a] as number;
    for (let b = 1; b < 256; b++) {
      products[256 * a + b] = powers[log + (logarithms[b] as number)] as number;
    }
  }
  return { powers, logarithms, products };
}

const tables = /* @__PURE__ */ makeTables();

export function multiply(a: number, b: number): number {
  return tables.products[256 * a + b] as number;
}

/** `RangeError` for 0, which has none. */
export function inverse(a: number): number {
  if (a === 0) throw new RangeError("a must not be 0: it has no inverse");
  return tables.powers[ORDER - (tables.logarithms[a] as number)] as number;
}

/** `a` to the `n`th, and 0 to the 0th is 1. */
export function power(a: number, n: number): number {
  if (n === 0) return 1;
  if (a === 0) return 0;
  return tables.powers[((tables.logarithms[a] as number) * n) % ORDER] as number;
}

/** Adds `factor` times the first `length` bytes of `source` to those of `target`. */
export function addProduct(
  target: Uint8Array,
  source: Uint8Array,
  length: number,
  factor: number,
): void {
  if (factor === 0) return;
  const { products } = tables;
  const row = 256 * factor;
  for (let i = 0; i < length; i++) {
    target[i] = (target[i] as number) ^ (products[row + (source[i] as number)] as number);
  }
}

/** The inverse of a square matrix given as rows, which it leaves alone; `undefined` when there is none. */
export function invert(matrix: readonly Uint8Array[]): Uint8Array[] | undefined {
  const size = matrix.length;
  // Gauss and Jordan: what turns the left half into the identity turns the identity, on the right, into the inverse.
  const rows = matrix.map((row, i): Uint8Array => {
    const wide = new Uint8Array(2 * size);
    wide.set(row.subarray(0, size));
    wide[size + i] = 1;
    return wide;
  });
  for (let column = 0; column < size; column++) {
    const found = rows.findIndex((row, i) => i >= column && row[column] !== 0);
    if (found < 0) return undefined;
    const pivot = rows[found] as Uint8Array;
    rows[found] = rows[column] as Uint8Array;
    rows[column] = pivot;
    const scale = inverse(pivot[column] as number);
    for (let i = column; i < 2 * size; i++) pivot[i] = multiply(scale, pivot[i] as number);
    for (const row of rows) {
      if (row !== pivot) addProduct(row, pivot, 2 * size, row[column] as number);
    }
  }
  return rows.map((row) => row.slice(size));
}
