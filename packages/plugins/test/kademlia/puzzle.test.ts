import { Identity } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { leadingZeros, nodeIdOf } from "../../src/kademlia/node-id.ts";
import {
  DynamicSolver,
  KeySearch,
  SOLUTION_BYTES,
  staticBits,
  verifyPuzzle,
} from "../../src/kademlia/puzzle.ts";

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const none = { solution: undefined, staticBits: 0, dynamicBits: 0 };

describe("the static puzzle", () => {
  it("is the hash of the hash of the key", () => {
    const publicKey = new Uint8Array(32).fill(9);
    const twice = provider.hash("SHA256", provider.hash("SHA256", publicKey));
    expect(staticBits(publicKey)).toBe(leadingZeros(twice));
  });

  it("is solved by a search in slices, and by nothing less", () => {
    let made = 0;
    const generate = (): Identity => {
      made++;
      return Identity.generate();
    };
    const search = new KeySearch({ staticBits: 5, generate });
    expect(search.expected).toBe(32);
    let found = search.run(1);
    while (found === undefined) found = search.run(10);
    expect(search.tries).toBe(made);
    const { publicKey } = found;
    const bits = staticBits(publicKey);
    expect(bits).toBeGreaterThanOrEqual(5);
    expect(verifyPuzzle({ ...none, publicKey, staticBits: bits })).toBe(true);
    expect(verifyPuzzle({ ...none, publicKey, staticBits: bits + 1 })).toBe(false);
  });
});

describe("the dynamic puzzle", () => {
  it("is solved in slices of the caller's size, from where he says", () => {
    fc.assert(
      fc.property(
        key,
        fc.uint8Array({ minLength: SOLUTION_BYTES, maxLength: SOLUTION_BYTES }),
        fc.integer({ min: 1, max: 50 }),
        (publicKey, start, budget) => {
          const solver = new DynamicSolver({ publicKey, dynamicBits: 6, start });
          let solution = solver.run(budget);
          let slices = 1;
          for (; solution === undefined; slices++) solution = solver.run(budget);
          expect(solver.tries).toBeGreaterThan((slices - 1) * budget);
          expect(solver.tries).toBeLessThanOrEqual(slices * budget);
          expect(verifyPuzzle({ publicKey, solution, staticBits: 0, dynamicBits: 6 })).toBe(true);
          const input = nodeIdOf(publicKey).map((byte, i) => byte ^ (solution[i] ?? 0));
          expect(leadingZeros(provider.hash("SHA256", input))).toBeGreaterThanOrEqual(6);
          const harder = { publicKey, solution, staticBits: 0, dynamicBits: 40 };
          expect(verifyPuzzle(harder)).toBe(false);
          expect(verifyPuzzle({ ...harder, dynamicBits: 6, nodeId: nodeIdOf(publicKey) })).toBe(
            true,
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it("goes on past the end of the counter", () => {
    const publicKey = new Uint8Array(32).fill(1);
    const start = new Uint8Array(SOLUTION_BYTES).fill(0xff);
    const solver = new DynamicSolver({ publicKey, dynamicBits: 8, start });
    let solution = solver.run(100);
    while (solution === undefined) solution = solver.run(100);
    expect(verifyPuzzle({ publicKey, solution, staticBits: 0, dynamicBits: 8 })).toBe(true);
  });

  it("needs no try for nothing", () => {
    const solver = new DynamicSolver({ publicKey: new Uint8Array(32), dynamicBits: 0 });
    expect(solver.expected).toBe(1);
    expect(solver.run(0)).toBeUndefined();
    expect(solver.run(1)).toEqual(new Uint8Array(SOLUTION_BYTES));
  });

  it("is not solved by no bytes or by too many", () => {
    const publicKey = new Uint8Array(32);
    for (const solution of [undefined, new Uint8Array(0), new Uint8Array(7), new Uint8Array(32)]) {
      expect(verifyPuzzle({ publicKey, solution, staticBits: 0, dynamicBits: 1 })).toBe(false);
      expect(verifyPuzzle({ publicKey, solution, staticBits: 0, dynamicBits: 0 })).toBe(true);
    }
  });

  it("refuses bits that make no sense", () => {
    const publicKey = new Uint8Array(32);
    for (const bits of [-1, 1.5, 257, Number.NaN]) {
      expect(() => new DynamicSolver({ publicKey, dynamicBits: bits })).toThrow(RangeError);
      expect(
        () => new KeySearch({ staticBits: bits, generate: () => Identity.generate() }),
      ).toThrow(RangeError);
    }
    const start = new Uint8Array(4);
    expect(() => new DynamicSolver({ publicKey, dynamicBits: 1, start })).toThrow("start");
  });
});
