/**
 * Virtual runtime: the simulator's clock under the name that tests of the other packages know it by.
 */

export { settled, VirtualClock as VirtualRuntime } from "../../packages/sim/src/clock.ts";

/** mulberry32: numbers from 0 to below 1, the same for the same seed. */
export function seededNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
