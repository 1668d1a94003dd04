/**
 * Race: several ways to one end, each with a head start before the next (RFC 8305, section 5).
 *
 * The next way starts as soon as one has failed, or `delayMs` after the last one started. The first that
 * succeeds wins; the others are cancelled, and what they still bring is given back. No clock of its own.
 */

import type { Runtime, Timer } from "./runtime.ts";

/** RFC 8305's "Connection Attempt Delay". */
export const ATTEMPT_DELAY_MS = 250;

export interface RaceOptions<T> {
  readonly runtime: Runtime;
  /** Cancels all ways; the race then rejects with its reason. */
  readonly signal: AbortSignal;
  /** The head start, in milliseconds. Default `ATTEMPT_DELAY_MS`. */
  readonly delayMs?: number;
  /** What to do with the result of a way that succeeded too late. Must not throw. */
  readonly discard: (late: T) => void;
}

/** The reason of the signal that a losing way is given. */
export const OUTRUN: Error = /* @__PURE__ */ new Error("another way was faster");

/**
 * The first success. Each way gets a signal of its own and must be done soon after it fires. Rejects with
 * an `AggregateError` of all failures, in the order of the ways, when every way failed, and with the
 * signal's reason when that fires first. It settles at once; cancelled ways may take a moment longer.
 */
export function race<T>(
  ways: readonly ((signal: AbortSignal) => Promise<T>)[],
  options: RaceOptions<T>,
): Promise<T> {
  const { runtime, signal, delayMs = ATTEMPT_DELAY_MS, discard } = options;
  if (signal.aborted) return Promise.reject(signal.reason);
  if (ways.length === 0) return Promise.reject(new AggregateError([], "there is no way to try"));
  return new Promise<T>((resolve, reject) => {
    const running = new Set<AbortController>();
    const failures: unknown[] = [];
    let started = 0;
    let failed = 0;
    let over = false;
    let headStart: Timer | undefined;

    const finish = (reason: unknown): void => {
      over = true;
      headStart?.cancel();
      signal.removeEventListener("abort", onAbort);
      for (const controller of running) controller.abort(reason);
    };
    const onAbort = (): void => {
      finish(signal.reason);
      reject(signal.reason);
    };
    const startNext = (): void => {
      headStart?.cancel();
      const index = started;
      const way = ways[index];
      if (way === undefined) return;
      started++;
      if (started < ways.length) headStart = runtime.setTimer(startNext, delayMs);
      const controller = new AbortController();
      running.add(controller);
      // Called inside a promise: a way that throws at once has failed, also when a timer started it.
      new Promise<T>((begun) => begun(way(controller.signal))).then(
        (result) => {
          running.delete(controller);
          if (over) {
            discard(result);
          } else {
            finish(OUTRUN);
            resolve(result);
          }
        },
        (error: unknown) => {
          running.delete(controller);
          if (over) return;
          failures[index] = error;
          failed++;
          if (failed < ways.length) {
            startNext();
          } else {
            finish(undefined);
            reject(new AggregateError(failures, "every way failed"));
          }
        },
      );
    };

    signal.addEventListener("abort", onAbort, { once: true });
    startNext();
  });
}
