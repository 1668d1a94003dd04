/**
 * The Noise engine against the public collections cacophony and snow: every vector on X25519, both sides.
 */

import { describe, expect, test } from "vitest";
import {
  NO_PUBLIC_VECTORS,
  noiseVectors,
  publicVectors,
} from "../../../../test/support/vectors.ts";
import { play } from "./play.ts";

const COUNTS = { cacophony: 472, snow: 408 } as const;
const available = publicVectors() !== undefined;

describe.skipIf(!available)("public vectors on X25519", () => {
  for (const collection of ["cacophony", "snow"] as const) {
    test(`${collection}: all ${COUNTS[collection]}`, { timeout: 60_000 }, () => {
      const vectors = noiseVectors(collection).filter((v) => v.protocol_name.includes("_25519_"));
      expect(vectors.length).toBe(COUNTS[collection]);
      for (const vector of vectors) {
        try {
          play(vector);
        } catch (error) {
          throw new Error(`${collection} ${vector.protocol_name}`, { cause: error });
        }
      }
    });
  }
});

test.skipIf(available)("public vectors", (context) => {
  context.skip(NO_PUBLIC_VECTORS);
});
