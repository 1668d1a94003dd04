/**
 * Traffic: what tests send through pipes, and how they read it.
 */

import { type BytePipe, concat } from "@testudo/core";

/** More than any pipe may take from a writer whose reader does not read. */
export const MOST_BUFFERED_BYTES: number = 64 * 1024 * 1024;

/** Exact lengths out of a pipe; keeps what is left over. */
export class Reader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #left: Uint8Array = new Uint8Array(0);

  constructor(pipe: BytePipe) {
    this.#chunks = pipe[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Uint8Array> {
    const pieces = [this.#left];
    let have = this.#left.length;
    while (have < length) {
      const { done, value } = await this.#chunks.next();
      if (done) throw new Error(`ended after ${have} of ${length} bytes`);
      pieces.push(value);
      have += value.length;
    }
    const all = concat(...pieces);
    this.#left = all.subarray(length);
    return all.slice(0, length);
  }
}

/** Everything up to the end. */
export async function readAll(pipe: BytePipe): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of pipe) chunks.push(chunk);
  return concat(...chunks);
}

/** Writes as a polite writer does. */
export async function writeAll(pipe: BytePipe, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) if (!pipe.write(piece)) await pipe.drain();
}

/** Sends back what comes, until it ends or is cut. */
export async function echo(connection: BytePipe): Promise<void> {
  try {
    for await (const chunk of connection) if (!connection.write(chunk)) await connection.drain();
  } catch {
    // The test has aborted it.
  }
}

/** Writes until the pipe takes no more and does not drain. */
export async function fill(pipe: BytePipe): Promise<void> {
  const chunk = pattern(65_536);
  do {
    for (let i = 0; pipe.write(chunk); i++) {
      if (i * chunk.length > MOST_BUFFERED_BYTES) throw new Error("write never said to wait");
    }
  } while (!(await isPending(pipe.drain())));
}

/** Whether a promise is unsettled after the event loop has had time to do all it can do by itself. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const settled = (): void => {
    pending = false;
  };
  promise.then(settled, settled);
  for (let i = 0; i < 10 && pending; i++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return pending;
}

/** Turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** What the promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it should have failed");
}

/** Bytes without a short period, so that a hole or a swap shows. */
export function pattern(length: number, seed: number = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
