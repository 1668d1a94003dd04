/**
 * XSalsa20-Poly1305 in WebAssembly, made when it is first needed: Salsa20 on four blocks at a time, Poly1305
 * with products of 64 bits. JavaScript has neither, and without them a box of 4 KiB costs three times as much.
 *
 * Spec: Bernstein, "The Salsa20 family of stream ciphers", "The Poly1305-AES message-authentication code";
 * NaCl's secretbox for how the two meet. No branch and no address depends on a secret. It is no native code:
 * what runs is what is written below, and where it cannot run there is @noble/ciphers (secretbox.ts).
 */

import {
  type Code,
  get,
  I32,
  I64,
  i32,
  i64,
  repeat,
  set,
  tee,
  V128,
  v128,
  type WasmFunction,
  wasmModule,
  when,
} from "./wasm.ts";

/** Where things lie in the module's memory. */
export const STATE_AT = 0;
export const TAG_AT = 64;
export const BOX_AT = 128;
const GROUP_BYTES = 256;
const PAGE_BYTES = 65_536;

/** `stream(at, groups)`: xors so many groups of 256 bytes with the key stream of the state, from its start. */
function stream(): WasmFunction {
  const [at, groups, rounds, counter, spare] = [0, 1, 2, 3, 4];
  const x = Array.from({ length: 16 }, (_, i) => 5 + i);
  const of = (i: number): number => x[i] as number;
  /** `x[to] ^= (x[a] + x[b]) <<< bits`, for each of four. */
  const step = (to: number, a: number, b: number, bits: number): Code => [
    ...[get(of(a)), get(of(b)), v128.add, set(spare)],
    ...[get(of(to)), get(spare), i32.const(bits), v128.shl, v128.xor],
    ...[get(spare), i32.const(32 - bits), v128.shr, v128.xor, set(of(to))],
  ];
  /** Four quarter rounds, side by side so that none waits for itself. */
  const round = (quarters: readonly (readonly [number, number, number, number])[]): Code => [
    quarters.map(([a, b, , d]) => step(b, a, d, 7)),
    quarters.map(([a, b, c]) => step(c, b, a, 9)),
    quarters.map(([, b, c, d]) => step(d, c, b, 13)),
    quarters.map(([a, , c, d]) => step(a, d, c, 18)),
  ];
  /** The lanes hold one word of four blocks each; on the wire a block has its words together. */
  const out = (first: number): Code => {
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => of(first + i)) as [number, number, number, number];
    const low = [0, 4, 1, 5];
    const high = [2, 6, 3, 7];
    const write = (one: number, other: number, lanes: readonly number[], block: number): Code => {
      const offset = 64 * block + 4 * first;
      return [
        get(at),
        ...[get(one), get(other), v128.shuffle(lanes)],
        ...[get(at), v128.load(offset), v128.xor, v128.store(offset)],
      ];
    };
    return [
      ...[get(a), get(b), v128.shuffle(low), set(spare)],
      ...[get(a), get(b), v128.shuffle(high), set(a)],
      ...[get(c), get(d), v128.shuffle(low), set(b)],
      ...[get(c), get(d), v128.shuffle(high), set(c)],
      write(spare, b, [0, 1, 4, 5], 0),
      write(spare, b, [2, 3, 6, 7], 1),
      write(a, c, [0, 1, 4, 5], 2),
      write(a, c, [2, 3, 6, 7], 3),
    ];
  };
  const initial = (i: number): Code =>
    i === 8 ? get(counter) : [i32.const(STATE_AT), v128.splat(4 * i)];
  const all = Array.from({ length: 16 }, (_, i) => i);
  return {
    name: "stream",
    parameters: [I32, I32],
    locals: [I32, V128, V128, ...x.map(() => V128)],
    body: [
      ...[v128.const([0, 1, 2, 3]), set(counter)],
      repeat([
        all.map((i) => [initial(i), set(of(i))]),
        ...[i32.const(10), set(rounds)],
        repeat([
          round([
            [0, 4, 8, 12],
            [5, 9, 13, 1],
            [10, 14, 2, 6],
            [15, 3, 7, 11],
          ]),
          round([
            [0, 1, 2, 3],
            [5, 6, 7, 4],
            [10, 11, 8, 9],
            [15, 12, 13, 14],
          ]),
          ...[get(rounds), i32.const(1), i32.sub, tee(rounds)],
        ]),
        all.map((i) => [get(of(i)), initial(i), v128.add, set(of(i))]),
        ...[out(0), out(4), out(8), out(12)],
        ...[get(counter), v128.const([4, 4, 4, 4]), v128.add, set(counter)],
        ...[get(at), i32.const(GROUP_BYTES), i32.add, set(at)],
        ...[get(groups), i32.const(1), i32.sub, tee(groups)],
      ]),
    ],
  };
}

/**
 * `authenticate(key, at, blocks, partial)`: the tag of so many blocks of 16 bytes goes to `TAG_AT`. Of a last
 * block that is not full, `partial` is 1 and a byte of 1 and zeros stand behind its end.
 *
 * Numbers have five words of 32 bits, each in 64 so that carries can wait. Word i of a product gathers what
 * stands at 2^(32 i). What stands at 2^128 and above comes back with a quarter of 5, since 2^130 is 5; the clamp
 * has made words 1 to 3 of r divisible by 4. It also keeps every word of r below 2^28: with those of h plus a
 * block's below 3.25 * 2^32, no sum reaches 2^64, and words are again as small as that after every block.
 */
function authenticate(): WasmFunction {
  const [key, at, blocks, partial] = [0, 1, 2, 3];
  const h = [4, 5, 6, 7, 8] as const;
  const r = [9, 10, 11, 12] as const;
  /** r[i] * 5 / 4; of r[0] without its lower two bits, which are in `r0low`. */
  const q = [13, 14, 15, 16] as const;
  const r0low = 17;
  const s = [18, 19, 20, 21, 22] as const;
  const x = [23, 24, 25, 26] as const;
  const [top, mask] = [27, 28];
  const product = (...pairs: readonly (readonly [number, number])[]): Code =>
    pairs.map(([a, b], i) => [get(a), get(b), i64.mul, i === 0 ? [] : i64.add]);
  const low = (local: number): Code => [get(local), get(mask), i64.and];
  const high = (local: number): Code => [get(local), i64.const(32), i64.shr];
  const clamp = [0x0fff_ffff, 0x0fff_fffc, 0x0fff_fffc, 0x0fff_fffc];
  const fiveTimes = (code: Code): Code => [code, i64.const(5), i64.mul];
  const block: Code = [
    [0, 1, 2, 3].map((i) => [
      ...[get(at), i64.load32(4 * i), get(h[i] as number), i64.add, set(s[i] as number)],
    ]),
    // The bit above the block, which the last has within it when it is partial.
    ...[get(h[4]), get(blocks), get(partial), i32.ne, i64.extend, i64.add, set(s[4])],
    product([s[0], r[0]], [s[1], q[3]], [s[2], q[2]], [s[3], q[1]], [s[4], q[0]]),
    set(x[0]),
    product([s[0], r[1]], [s[1], r[0]], [s[2], q[3]], [s[3], q[2]], [s[4], q[1]]),
    set(x[1]),
    product([s[0], r[2]], [s[1], r[1]], [s[2], r[0]], [s[3], q[3]], [s[4], q[2]]),
    set(x[2]),
    product([s[0], r[3]], [s[1], r[2]], [s[2], r[1]], [s[3], r[0]], [s[4], q[3]]),
    set(x[3]),
    ...[get(s[4]), get(r0low), i64.mul, high(x[3]), i64.add, set(top)],
    ...[fiveTimes([get(top), i64.const(2), i64.shr]), low(x[0]), i64.add, set(h[0])],
    [1, 2, 3].map((i) => [
      ...[low(x[i] as number), high(x[i - 1] as number), i64.add, set(h[i] as number)],
    ]),
    ...[get(top), i64.const(3), i64.and, set(h[4])],
  ];
  /** Hands carries up, and what is above 2^130 around. */
  const carry: Code = [
    [0, 1, 2, 3].map((i) => {
      const [here, next] = [h[i] as number, h[i + 1] as number];
      return [get(next), high(here), i64.add, set(next), low(here), set(here)];
    }),
    ...[get(h[0]), fiveTimes([get(h[4]), i64.const(2), i64.shr]), i64.add, set(h[0])],
    ...[get(h[4]), i64.const(3), i64.and, set(h[4])],
  ];
  return {
    name: "authenticate",
    parameters: [I32, I32, I32, I32],
    locals: Array.from({ length: 25 }, () => I64),
    body: [
      ...[i64.const(0xffff_ffff), set(mask)],
      [0, 1, 2, 3].map((i) => [
        ...[
          get(key),
          i64.load32(4 * i),
          i64.const(clamp[i] as number),
          i64.and,
          tee(r[i] as number),
        ],
        ...[i64.const(2), i64.shr, i64.const(5), i64.mul, set(q[i] as number)],
      ]),
      ...[get(r[0]), i64.const(3), i64.and, set(r0low)],
      get(blocks),
      when(
        repeat([
          block,
          ...[get(at), i32.const(16), i32.add, set(at)],
          ...[get(blocks), i32.const(1), i32.sub, tee(blocks)],
        ]),
      ),
      // The first leaves at most what it handed around itself.
      ...[carry, carry],
      // h + 5 has a bit at 2^130 exactly when h is 2^130 - 5 or more; then h + 5 without it is what is left.
      ...[i64.const(5), set(top)],
      [0, 1, 2, 3].map((i) => [
        ...[get(h[i] as number), get(top), i64.add, tee(x[i] as number)],
        ...[i64.const(32), i64.shr, set(top)],
      ]),
      ...[i64.const(0), get(h[4]), get(top), i64.add, i64.const(2), i64.shr, i64.sub, set(s[4])],
      ...[i64.const(0), set(top)],
      [0, 1, 2, 3].map((i) => [
        i32.const(TAG_AT),
        // Either of the two, without a branch; and the second half of the key on top.
        ...[get(h[i] as number), get(h[i] as number), get(x[i] as number), i64.xor],
        ...[get(s[4]), i64.and, i64.xor, get(mask), i64.and],
        ...[get(key), i64.load32(16 + 4 * i), i64.add, get(top), i64.add, tee(s[0])],
        i64.store32(4 * i),
        ...[high(s[0]), set(top)],
      ]),
    ],
  };
}

/** What of the engine is used; typed here, since it is neither in the language nor Node's alone. */
interface Engine {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

export interface SecretBoxModule {
  readonly memory: Uint8Array;
  stream(at: number, groups: number): void;
  authenticate(key: number, at: number, blocks: number, partial: number): void;
}

/** A module whose memory has room for a box of that many bytes. Throws where there is no WebAssembly, or not as much of it. */
export function secretBoxModule(boxBytes: number): SecretBoxModule {
  const { WebAssembly: engine } = globalThis as unknown as { WebAssembly: Engine };
  const pages = Math.ceil((BOX_AT + boxBytes + 2 * GROUP_BYTES) / PAGE_BYTES);
  const compiled = new engine.Module(wasmModule(pages, [stream(), authenticate()]));
  const exports = new engine.Instance(compiled).exports as Omit<SecretBoxModule, "memory"> & {
    readonly memory: { readonly buffer: ArrayBuffer };
  };
  return {
    memory: new Uint8Array(exports.memory.buffer),
    stream: exports.stream,
    authenticate: exports.authenticate,
  };
}
