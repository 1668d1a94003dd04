/**
 * A WebAssembly module written down as a list of numbers: as much of the format as a cipher needs.
 *
 * Spec: https://www.w3.org/TR/wasm-core-2/ (binary format; the vector instructions are of version 2). What is
 * made here is checked by the engine that compiles it; nothing here knows what it computes.
 */

/** Bytes, in any nesting. */
export type Code = readonly (number | Code)[];

export const I32 = 0x7f;
export const I64 = 0x7e;
export const V128 = 0x7b;

/** A function without results. */
export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly number[];
  /** Types of its other variables, which are numbered behind the parameters. */
  readonly locals: readonly number[];
  readonly body: Code;
}

/** The module's bytes: these functions and one memory, all exported. */
export function wasmModule(pages: number, functions: readonly WasmFunction[]): Uint8Array {
  const types = functions.map(({ parameters }) => [0x60, list(parameters), 0]);
  const indices = functions.map((_, index) => index);
  const exported = functions.map(({ name }, index) => [text(name), 0x00, unsigned(index)]);
  const bodies = functions.map(({ locals, body }) =>
    sized([list(locals.map((type) => [1, type])), body, 0x0b]),
  );
  const bytes: Code = [
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    [1, sized(list(types))],
    [3, sized(list(indices))],
    [5, sized(list([[0x00, unsigned(pages)]]))],
    [7, sized(list([...exported, [text("memory"), 0x02, 0]]))],
    [10, sized(list(bodies))],
  ];
  return Uint8Array.from(flat(bytes));
}

export const get = (local: number): Code => [0x20, local];
export const set = (local: number): Code => [0x21, local];
export const tee = (local: number): Code => [0x22, local];

export const i32 = {
  const: (value: number): Code => [0x41, signed(value)],
  ne: [0x47],
  add: [0x6a],
  sub: [0x6b],
} as const;

export const i64 = {
  const: (value: number): Code => [0x42, signed(value)],
  /** A word of 32 bits, from the address on the stack. */
  load32: (offset: number): Code => [0x35, 2, unsigned(offset)],
  store32: (offset: number): Code => [0x3e, 2, unsigned(offset)],
  /** From a number of 32 bits without sign. */
  extend: [0xad],
  add: [0x7c],
  sub: [0x7d],
  mul: [0x7e],
  and: [0x83],
  xor: [0x85],
  shr: [0x88],
} as const;

/** Four numbers of 32 bits at once. */
export const v128 = {
  load: (offset: number): Code => [0xfd, 0x00, 0, unsigned(offset)],
  store: (offset: number): Code => [0xfd, 0x0b, 0, unsigned(offset)],
  /** The word at the address on the stack, four times. */
  splat: (offset: number): Code => [0xfd, 0x09, 2, unsigned(offset)],
  const: (lanes: readonly number[]): Code => [0xfd, 0x0c, lanes.map((lane) => [lane, 0, 0, 0])],
  /** Four of the eight lanes of two. */
  shuffle: (lanes: readonly number[]): Code => [
    [0xfd, 0x0d],
    lanes.map((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte)),
  ],
  xor: [0xfd, 0x51],
  shl: [0xfd, 0xab, 0x01],
  shr: [0xfd, 0xad, 0x01],
  add: [0xfd, 0xae, 0x01],
} as const;

/** Runs `body` again for as long as it leaves something other than zero. */
export const repeat = (body: Code): Code => [0x03, 0x40, body, 0x0d, 0, 0x0b];
/** Runs `body` when what is on the stack is not zero. */
export const when = (body: Code): Code => [0x04, 0x40, body, 0x0b];

function list(items: Code): Code {
  return [unsigned(items.length), items];
}

function sized(code: Code): Code {
  const bytes = flat(code);
  return [unsigned(bytes.length), bytes];
}

function text(name: string): Code {
  return list([...name].map((letter) => letter.charCodeAt(0)));
}

function flat(code: Code, into: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === "number") into.push(part);
    else flat(part, into);
  }
  return into;
}

/** LEB128, as everything in the format is. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  if (value >= -64 && value < 64) return [value & 0x7f];
  return [(value & 0x7f) | 0x80, ...signed(Math.floor(value / 128))];
}
