/**
 * Options: numbers that a caller gave, checked at the door.
 */

/** The number. Throws `TypeError` when it is none, `RangeError` when it is not from `least` to `most`. */
export function numberFrom(
  least: number,
  value: number,
  name: string,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number`);
  if (!(value >= least && value <= most)) {
    throw new RangeError(`${name} must be from ${least} to ${most}, not ${value}`);
  }
  return value;
}
