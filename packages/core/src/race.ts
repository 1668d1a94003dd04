/**
 * Race: several ways to one end, started one after another with a head start for each (RFC 8305, section 5).
 *
 * The next way starts when the one before has failed, or after `delayMs` at the latest. The first that
 * succeeds wins; the others are cancelled and what they still bring is given back. No clock of its own.
 */

import type { Runtime, Timer } from "./runtime.ts";

/** RFC 8305's "Connection Attempt Delay". */
export const ATTEMPT_DELAY_MS = 250;

export interface RaceOptions<T> {
  readonly runtime: Runtime;
  /** Cancels all ways; the race then rejects with its reason. */
  readonly signal: AbortSignal;
  /** Default `ATTEMPT_DELAY_MS`. */
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
  return new Promise<T>((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const failures: unknown[] = [];
    const running = new Set<AbortController>();
    let next = 0;
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
      const way = ways[next];
      if (way === undefined) return;
      const index = next++;
      const controller = new AbortController();
      running.add(controller);
      if (next < ways.length) headStart = runtime.setTimer(startNext, delayMs);
      way(controller.signal).then(
        (result) => {
          running.delete(controller);
          if (over) {
            discard(result);
            return;
          }
          finish(OUTRUN);
          resolve(result);
        },
        (error: unknown) => {
          running.delete(controller);
          if (over) return;
          failures[index] = error;
          failed++;
          if (failed === ways.length) {
            finish(undefined);
            reject(new AggregateError(failures, "every way failed"));
          } else {
            startNext();
          }
        },
      );
    };

    signal.addEventListener("abort", onAbort, { once: true });
    if (ways.length === 0) {
      finish(undefined);
      reject(new AggregateError([], "there is no way to try"));
    } else startNext();
  });
}
