/**
 * Ticks: round numbers along an axis, and how they are written.
 */

import type { Axis } from "./scenario.ts";

export interface Scale {
  readonly min: number;
  readonly max: number;
  readonly ticks: readonly number[];
}

const STEPS = [1, 2, 2.5, 5, 10];
/** Values closer to each other than this, in proportion to their size, are one. */
const NARROWEST = 1e-9;
/** Smaller ones have too few digits to be divided into steps. */
const TINIEST = 1e-290;

/**
 * The range of an axis over these values, widened to round numbers where the axis does not say it, with at
 * most `most` steps. Values that are no finite numbers count for nothing. Throws `RangeError` for an axis
 * that ends where it begins.
 */
export function scaleOf(axis: Axis, values: readonly number[], most: number): Scale {
  if (axis.min !== undefined && axis.max !== undefined && !(axis.min < axis.max)) {
    throw new RangeError(`axis ${axis.label}: min must be below max`);
  }
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = [0, 1];
  low = axis.min ?? low;
  high = axis.max ?? high;
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (high - low <= Math.max(size * NARROWEST, TINIEST)) {
    if (axis.max === undefined) high = low + (size > 1e-9 ? size : 1);
    else low = high - (size > 1e-9 ? size : 1);
  }
  const step = stepOf((high - low) / most);
  const min = axis.min ?? Math.floor(low / step + 1e-9) * step;
  const max = axis.max ?? Math.ceil(high / step - 1e-9) * step;
  const ticks: number[] = [];
  for (let i = Math.ceil(min / step - 1e-9); i * step <= max + step * 1e-9; i++) {
    // Rounded, since 3 times 0.1 is a little more than 0.3.
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return { min, max, ticks };
}

function stepOf(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  const factor = STEPS.find((step) => step * power >= least * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/** `12,500`, `0.25`, `1e-7`: the same on every machine. */
export function tickText(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e9 || size < 1e-4) return value.toExponential().replace("e+", "e");
  const [whole = "", part] = String(Number(value.toPrecision(10))).split(".");
  const grouped = size >= 1_000 ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
  return part === undefined ? grouped : `${grouped}.${part}`;
}
