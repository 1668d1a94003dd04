/**
 * First dials: addresses that were asked for and not reached yet are dialled again and again.
 *
 * Only until the first success: from then on the network wants the address, and keepalive sees to it.
 * Every failure is told.
 */

import { deferred, type Network, type Timer } from "@testudo/core";
import { failureOf } from "./failure.ts";
import { reach } from "./node.ts";
import type { Usable } from "./protocols.ts";

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** Another try would end the same way. */
const HOPELESS: ReadonlySet<string> = new Set([
  "ADDRESS_MALFORMED",
  "ADDRESS_UNSUPPORTED",
  "PEER_REFUSED",
  "PEER_UNEXPECTED",
  "SELF_DIAL",
]);

export class FirstDials {
  readonly #network: Network;
  readonly #failed: (error: unknown) => void;
  readonly #closing = new AbortController();

  constructor(network: Network, failed: (error: unknown) => void) {
    this.#network = network;
    this.#failed = failed;
  }

  /** Dials until it works, it is hopeless, or `close` is called. Never rejects. */
  async keep(there: Usable): Promise<void> {
    const { signal } = this.#closing;
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      try {
        await reach(this.#network, there, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(error);
        if (HOPELESS.has(failureOf(error).code)) return;
      }
      await this.#pause(pauseMs);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    }
  }

  close(): void {
    this.#closing.abort();
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#closing;
    const over = deferred<void>();
    const stop = (): void => over.resolve();
    const timer: Timer = this.#network.runtime.setTimer(stop, ms);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    await over.promise;
    timer.cancel();
    signal.removeEventListener("abort", stop);
  }
}
