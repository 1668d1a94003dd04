/**
 * Runtime: the one door through which time, timers and randomness enter.
 *
 * Core, machines and plugins never read a clock or a random source by themselves, so that thousands of
 * nodes can run in one process on virtual time. The system runtime is here; a virtual one implements
 * the same four methods.
 */

export interface Timer {
  /** Idempotent. After it the callback is never called. */
  cancel(): void;
}

export interface Runtime {
  /** Monotonic milliseconds; only differences mean anything. */
  now(): number;
  /** Milliseconds since 1970, for people and for expiry dates; may jump. */
  wallClock(): number;
  /** Calls back once, after at least `delayMs`. */
  setTimer(callback: () => void, delayMs: number): Timer;
  /** `length` unpredictable bytes. */
  randomBytes(length: number): Uint8Array;
}

/** Node caps a timer at 2^31-1 ms and fires at once beyond it. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemRuntime: Runtime = {
  now: () => performance.now(),
  wallClock: () => Date.now(),
  setTimer(callback, delayMs) {
    const handle = setTimeout(callback, Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
    return { cancel: () => clearTimeout(handle) };
  },
  randomBytes(length) {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 65_536) {
      crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65_536, length)));
    }
    return bytes;
  },
};

/** The end of a wait: a time, or a parent signal, whichever is first. */
export class Deadline {
  readonly #parent: AbortSignal | undefined;
  readonly #timer: Timer;
  readonly #late: () => Error;
  readonly #passed: ((reason: unknown) => void) | undefined;
  #reason: unknown;
  #over = false;
  #controller: AbortController | undefined;

  /** `late` makes the reason when time runs out; `passed` is told of either end, once, unless `clear` came first. */
  constructor(
    runtime: Runtime,
    timeoutMs: number,
    late: () => Error,
    parent?: AbortSignal,
    passed?: (reason: unknown) => void,
  ) {
    this.#late = late;
    this.#parent = parent;
    this.#passed = passed;
    this.#timer = runtime.setTimer(this.#onTime, timeoutMs);
    if (parent?.aborted) this.#onParent();
    else parent?.addEventListener("abort", this.#onParent, { once: true });
  }

  /** Whether the wait was ended; then `reason` says by what. */
  get over(): boolean {
    return this.#over;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Made on first use: most waits end well and nobody asks. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#over) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Drops the timer and the listener on the parent. Idempotent; call it when the wait is over. */
  clear(): void {
    this.#timer.cancel();
    this.#parent?.removeEventListener("abort", this.#onParent);
  }

  readonly #onTime = (): void => this.#end(this.#late());
  readonly #onParent = (): void => this.#end(this.#parent?.reason);

  #end(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#reason = reason;
    this.clear();
    this.#controller?.abort(reason);
    this.#passed?.(reason);
  }
}

/** Uniform integer in `[0, below)`, unbiased by rejection. `RangeError` unless `below` is whole and in 1..2^32. */
export function randomInteger(runtime: Runtime, below: number): number {
  if (!Number.isInteger(below) || below < 1 || below > 2 ** 32) {
    throw new RangeError("below must be a whole number from 1 to 2^32");
  }
  const limit = 2 ** 32 - (2 ** 32 % below);
  for (;;) {
    const bytes = runtime.randomBytes(4);
    const value = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
    if (value < limit) return value % below;
  }
}
