/** Seeds: the same check, again and again, differently each time and each time repeatable. */

import { seededNumbers } from "./virtual-runtime.ts";

/** Runs `check` with each seed from 1 and the numbers that follow from it; a failure names the seed. */
export async function forSeeds(
  count: number,
  check: (seed: number, random: () => number) => Promise<void>,
): Promise<void> {
  const only = Number(process.env["TESTUDO_SEED"] ?? 0);
  for (let seed = only || 1; seed <= (only || count); seed++) {
    try {
      await check(seed, seededNumbers(seed));
    } catch (error) {
      throw new Error(`seed ${seed} (TESTUDO_SEED=${seed} repeats it): ${String(error)}`, {
        cause: error,
      });
    }
  }
}
