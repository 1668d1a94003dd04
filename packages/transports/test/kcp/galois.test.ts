/** Galois: the laws of a field, over all of it, and its polynomial. */

import { describe, expect, it } from "vitest";
import { addProduct, inverse, invert, multiply, power } from "../../src/kcp/galois.ts";

const ALL = Array.from({ length: 256 }, (_, i) => i);

/** Long multiplication, then division by the polynomial. */
function slowly(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < 8; bit++) if ((b >> bit) & 1) product ^= a << bit;
  for (let bit = 14; bit >= 8; bit--) if ((product >> bit) & 1) product ^= 0x11d << (bit - 8);
  return product;
}

describe("the field", () => {
  it("multiplies modulo its polynomial", () => {
    const wrong = ALL.flatMap((a) => ALL.filter((b) => multiply(a, b) !== slowly(a, b)));
    expect(wrong).toEqual([]);
  });

  it("has an inverse for all but 0", () => {
    for (const a of ALL.slice(1)) expect(multiply(a, inverse(a))).toBe(1);
    expect(() => inverse(0)).toThrow(RangeError);
  });

  it("raises to powers, 0 to the 0th being 1", () => {
    const wrong = ALL.filter((a) => {
      let product = 1;
      for (let n = 0; n < 300; n++) {
        if (power(a, n) !== product) return true;
        product = slowly(product, a);
      }
      return false;
    });
    expect(wrong).toEqual([]);
  });
});

describe("addProduct", () => {
  it("adds as much as it is told to", () => {
    const target = Uint8Array.of(1, 2, 3, 4);
    addProduct(target, Uint8Array.of(5, 6, 7, 8), 3, 9);
    expect([...target]).toEqual([1 ^ slowly(5, 9), 2 ^ slowly(6, 9), 3 ^ slowly(7, 9), 4]);
    addProduct(target, Uint8Array.of(5, 6, 7, 8), 3, 9);
    addProduct(target, Uint8Array.of(5, 6, 7, 8), 4, 0);
    expect([...target]).toEqual([1, 2, 3, 4]);
  });
});

describe("invert", () => {
  it("inverts what can be, also where rows must change places", () => {
    const matrix = [Uint8Array.of(0, 1, 7), Uint8Array.of(3, 0, 2), Uint8Array.of(5, 5, 1)];
    const inverted = invert(matrix) ?? [];
    const product = matrix.map((row) =>
      [0, 1, 2].map((column) =>
        row.reduce((sum, a, i) => sum ^ slowly(a, inverted[i]?.[column] ?? 0), 0),
      ),
    );
    expect(product).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    expect(matrix[0]).toEqual(Uint8Array.of(0, 1, 7));
  });

  it("says when nothing can be", () => {
    expect(invert([Uint8Array.of(1, 2), Uint8Array.of(1, 2)])).toBeUndefined();
    expect(invert([Uint8Array.of(0)])).toBeUndefined();
  });
});
