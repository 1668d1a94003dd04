/**
 * Awaited: dials that were declined because another stream serves their pair, and wait for it to be admitted.
 */

import { type NetworkError, networkError } from "./errors.ts";
import type { PeerId } from "./identity.ts";
import type { LivePeer } from "./peer.ts";
import { type Deferred, deferred } from "./queue.ts";
import { Deadline, type Runtime } from "./runtime.ts";

export class Awaited {
  readonly #runtime: Runtime;
  readonly #timeoutMs: number;
  readonly #waiters = new Map<string, Set<Deferred<LivePeer>>>();

  constructor(runtime: Runtime, timeoutMs: number) {
    this.#runtime = runtime;
    this.#timeoutMs = timeoutMs;
  }

  /** The peer with this id, as soon as it is admitted. Rejects `HANDSHAKE_TIMEOUT`, what `fail` gave, or the signal's reason. */
  async wait(id: PeerId, signal: AbortSignal): Promise<LivePeer> {
    const waiter = deferred<LivePeer>();
    const waiters = this.#waiters.get(id.text) ?? new Set();
    this.#waiters.set(id.text, waiters.add(waiter));
    const limit = new Deadline(
      this.#runtime,
      this.#timeoutMs,
      () =>
        networkError("HANDSHAKE_TIMEOUT", "the stream the other side chose did not come", {
          peer: id.text,
        }),
      signal,
      (reason) => waiter.reject(reason),
    );
    try {
      return await waiter.promise;
    } finally {
      limit.clear();
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiters.delete(id.text);
    }
  }

  has(id: string): boolean {
    return this.#waiters.has(id);
  }

  came(peer: LivePeer): void {
    for (const waiter of this.#waiters.get(peer.id.text) ?? []) waiter.resolve(peer);
  }

  fail(id: string, reason: NetworkError): void {
    for (const waiter of this.#waiters.get(id) ?? []) waiter.reject(reason);
  }

  failAll(reason: NetworkError): void {
    for (const id of this.#waiters.keys()) this.fail(id, reason);
  }
}
