/**
 * Fuzz: many seeded inputs against one decoder, each reproducible on its own.
 *
 *     TESTUDO_FUZZ=10000000 npx vitest run test/hostile     as many inputs per decoder (default 100,000)
 *     TESTUDO_SEED=7 npx vitest run test/hostile            other inputs (default 20,261)
 *     TESTUDO_SEED=7:1234 npx vitest run test/hostile       input 1,234 of seed 7 alone, as a failure names it
 *
 * Every input is a function of the seed and its number, never of the input before it. What is counted is
 * inputs and steps, never time: a decoder that hangs meets the runner's own timeout. Whatever a campaign
 * leaves on the heap after a collection is growth, and growth has a bound.
 */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { concat, equal, NetworkError, toHex } from "@testudo/core";
import { expect } from "vitest";

/** Inputs a decoder. */
export const RUNS: number = wholeNumber("TESTUDO_FUZZ", 100_000);
/** Sessions that need two ends and an event loop cost a thousand times what a decoder does: a twentieth of the inputs. */
export const SESSIONS: number = Math.max(1, Math.round(RUNS / 20));
/** For the runner: what the ordinary run may take at worst, and longer runs in proportion. */
export const PATIENCE_MS: number = Math.max(60_000, RUNS * 2);

const { TESTUDO_SEED = "20261" } = process.env;
const [SEED, ONLY] = TESTUDO_SEED.split(":").map(Number);
const GROWTH_BYTES = 32 * 1024 * 1024;
/** Inputs between two turns of the event loop. */
const TURN = 2_000;

function wholeNumber(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} must be a whole number`);
  return value;
}

/** Seeded numbers: mulberry32, which is all a mutation needs. */
export class Random {
  #state: number;

  constructor(seed: number, index = 0) {
    this.#state = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(index + 1, 0xc2b2_ae35);
  }

  u32(): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** From 0 to below `count`. */
  below(count: number): number {
    return count <= 1 ? 0 : this.u32() % count;
  }

  /** One time in `times`. */
  rarely(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.u32();
    return bytes;
  }

  /** Mostly small, now and then up to `most`. */
  length(most: number): number {
    return this.rarely(8) ? this.below(most + 1) : this.below(Math.min(most, 24) + 1);
  }
}

/** Numbers at which decoders go wrong. */
export const EDGES: readonly number[] = [
  0, 1, 2, 12, 13, 14, 16, 17, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000,
  0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
];

/** A copy with one to three changes; sometimes with none. */
export function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  let changed: Uint8Array = new Uint8Array(bytes);
  for (let left = random.below(4); left > 0; left--) changed = change(random, changed);
  return changed;
}

function change(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1);
  const length = random.below(Math.min(16, bytes.length - at) + 1);
  switch (random.below(9)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.u32();
      return bytes;
    case 2:
      return number(random, bytes, at);
    case 3:
      return bytes.slice(0, at);
    case 4:
      return bytes.slice(at);
    case 5:
      return concat(bytes, random.bytes(random.length(64)));
    case 6:
      return concat(bytes.subarray(0, at), bytes.subarray(at + length));
    case 7:
      return concat(bytes.subarray(0, at), random.bytes(length), bytes.subarray(at));
    default:
      return concat(bytes.subarray(0, at + length), bytes.subarray(at));
  }
}

/** An edge written as one, two or four bytes, either end first. */
function number(random: Random, bytes: Uint8Array, at: number): Uint8Array {
  const value = random.pick(EDGES);
  const width = random.pick([1, 2, 4]);
  const little = random.rarely(2);
  for (let i = 0; i < width && at + i < bytes.length; i++) {
    bytes[at + i] = value >>> (8 * (little ? i : width - 1 - i));
  }
  return bytes;
}

/** The bytes in pieces as a socket might bring them: whole, in two, or in crumbs. */
export function pieces(random: Random, bytes: Uint8Array): Uint8Array[] {
  const crumb = 1 + Math.floor(bytes.length / 200);
  const most = random.pick([bytes.length + 1, bytes.length + 1, 64 * crumb, 7 * crumb, crumb]);
  const cut: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + random.below(most));
    cut.push(bytes.slice(at, end));
    at = end;
  }
  return cut;
}

export interface Campaign<T> {
  /** Default: `RUNS`. */
  readonly runs?: number;
  readonly make: (random: Random) => T;
  /** Throws when the decoder broke its promise. Must not keep anything. */
  readonly check: (input: T, random: Random) => void | Promise<void>;
}

/** Runs a campaign; a failure says how to run its input alone. */
export async function fuzz<T>(name: string, campaign: Campaign<T>): Promise<void> {
  const stray: unknown[] = [];
  const onStray = (reason: unknown): void => {
    stray.push(reason);
  };
  process.on("unhandledRejection", onStray);
  // Most inputs are refused, and a stack trace costs more than the refusal.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = ONLY === undefined ? 0 : stackTraceLimit;
  try {
    const runs = campaign.runs ?? RUNS;
    const first = ONLY ?? 0;
    const end = ONLY === undefined ? runs : ONLY + 1;
    const warm = first + Math.floor((end - first) / 10);
    let before = 0;
    for (let index = first; index < end; index++) {
      if (index === warm) before = heapAfterCollection();
      const random = new Random(SEED as number, index);
      const input = campaign.make(random);
      try {
        const waiting = campaign.check(input, random);
        if (waiting !== undefined) await waiting;
      } catch (error) {
        throw report(name, index, input, error);
      }
      if (index % TURN === 0) await turn();
    }
    await turn();
    const growth = heapAfterCollection() - before;
    expect(growth, `${name}: bytes left on the heap`).toBeLessThan(GROWTH_BYTES);
    expect(stray, `${name}: unhandled rejections`).toEqual([]);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    process.off("unhandledRejection", onStray);
  }
}

function report(name: string, index: number, input: unknown, error: unknown): Error {
  const text = error instanceof Error ? error.message : String(error);
  return new Error(
    `${name}, input ${index}: ${text}\n  alone: TESTUDO_SEED=${SEED}:${index}\n  input: ${shown(input)}`,
    { cause: error },
  );
}

function shown(input: unknown): string {
  if (input instanceof Uint8Array) return toHex(input.subarray(0, 400));
  if (Array.isArray(input)) return input.slice(0, 20).map(shown).join(" | ");
  if (typeof input === "string") return JSON.stringify(input.slice(0, 800));
  return String(
    JSON.stringify(input, (_, value) => (value instanceof Uint8Array ? toHex(value) : value)),
  ).slice(0, 1_600);
}

/** Everything that settles without waiting has settled. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

let collect: (() => void) | undefined;

/** Bytes held, array buffers included, after a full collection. Needs no flag on the command line. */
export function heapAfterCollection(): number {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** What a campaign asserts with: the runner's own assertions cost more than the decoders. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

export function mustBe(actual: string | undefined, allowed: readonly (string | undefined)[]): void {
  if (!allowed.includes(actual)) throw new Error(`${actual} instead of ${allowed.join(" or ")}`);
}

export function mustEqual(actual: Uint8Array | undefined, wanted: Uint8Array, what: string): void {
  if (actual !== undefined && equal(actual, wanted)) return;
  throw new Error(`${what}: ${actual && toHex(actual)} instead of ${toHex(wanted)}`);
}

/** The code of what `decode` throws, or `undefined`; anything but a `NetworkError` goes on up. */
export function codeOf(decode: () => void): string | undefined {
  try {
    decode();
    return undefined;
  } catch (error) {
    if (error instanceof NetworkError) return error.code;
    throw error;
  }
}
