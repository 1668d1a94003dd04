import { concat, equal } from "@testudo/core";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Gather } from "../src/gather.ts";

test("gathers what is cut anywhere, and copies nothing that is not cut", async () => {
  await fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 20 }), { minLength: 1 }),
      (cuts) => {
        const whole = concat(...cuts);
        const gather = new Gather(whole.length);
        for (const [i, part] of cuts.entries()) {
          expect(gather.missing).toBe(concat(...cuts.slice(i)).length);
          const all = gather.take(part);
          if (i < cuts.length - 1) expect(all).toBeUndefined();
          else if (cuts.length === 1) expect(all).toBe(part);
          else expect(all !== undefined && equal(all, whole)).toBe(true);
        }
      },
    ),
  );
});

test("keeps nothing of the chunks", () => {
  const gather = new Gather(4);
  const part = Uint8Array.of(1, 2);
  gather.take(part);
  part.fill(9);
  expect(gather.take(Uint8Array.of(3, 4))).toEqual(Uint8Array.of(1, 2, 3, 4));
});
