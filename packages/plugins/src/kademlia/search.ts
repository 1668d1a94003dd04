/**
 * Search: drives a lookup machine with questions over the network until it is done, or somebody has what
 * was looked for.
 *
 * The machine decides whom to ask next; here is only the asking. A node that is slow does not hold its
 * path up: after `patienceMs` the path goes on, and the answer counts if it still comes.
 */

import { deferred, type Runtime, type Timer } from "@testudo/core";
import type { NodeContact } from "./contacts.ts";
import type { Lookup } from "./lookup.ts";

/** What a node said: others that it knows, and whether the target is among its own siblings. */
interface Answer {
  readonly contacts: readonly NodeContact[];
  readonly terminal: boolean;
}

export interface SearchOptions {
  readonly lookup: Lookup<NodeContact>;
  readonly runtime: Runtime;
  readonly patienceMs: number;
  /** Rejects for a node that does not answer. `began` is handed the means to end it early. */
  readonly ask: (contact: NodeContact, began: (end: AbortController) => void) => Promise<Answer>;
  /** Asked after each answer: whether the search can end now. */
  readonly found: () => boolean;
  readonly signal: AbortSignal;
}

/** Resolves when it is over; rejects with the signal's reason. Leaves no question and no timer behind. */
export async function search(options: SearchOptions): Promise<void> {
  const { signal } = options;
  signal.throwIfAborted();
  const running = new Search(options);
  const onAbort = (): void => running.stop(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    running.proceed();
    await running.over;
  } finally {
    signal.removeEventListener("abort", onAbort);
    running.stop(new Error("the search is over"));
  }
}

class Search {
  readonly #options: SearchOptions;
  readonly #end = deferred<void>();
  readonly #timers = new Set<Timer>();
  readonly #asking = new Set<AbortController>();
  #stopped: { readonly reason: unknown } | undefined;

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  get over(): Promise<void> {
    return this.#end.promise;
  }

  stop(reason: unknown): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = { reason };
    for (const timer of this.#timers) timer.cancel();
    for (const asking of this.#asking) asking.abort(reason);
    this.#end.reject(reason);
  }

  proceed(): void {
    const { lookup, found } = this.#options;
    if (this.#stopped !== undefined) return;
    if (!found()) {
      for (let step = lookup.next(); step !== undefined; step = lookup.next()) {
        this.#start(step.contact);
      }
      if (!lookup.done) return;
    }
    this.#end.resolve();
  }

  #start(contact: NodeContact): void {
    const { lookup, runtime, patienceMs, ask } = this.#options;
    const timer = runtime.setTimer(() => {
      this.#timers.delete(timer);
      lookup.slow(contact);
      this.proceed();
    }, patienceMs);
    this.#timers.add(timer);
    let asking: AbortController | undefined;
    const began = (end: AbortController): void => {
      asking = end;
      if (this.#stopped === undefined) this.#asking.add(end);
      else end.abort(this.#stopped.reason);
    };
    const settle = (report: () => void): void => {
      timer.cancel();
      this.#timers.delete(timer);
      if (asking !== undefined) this.#asking.delete(asking);
      if (this.#stopped !== undefined) return;
      report();
      this.proceed();
    };
    ask(contact, began).then(
      ({ contacts, terminal }) => settle(() => lookup.answered(contact, contacts, terminal)),
      () => settle(() => lookup.failed(contact)),
    );
  }
}
