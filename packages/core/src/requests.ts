/**
 * Requests: what one peer was asked and has not answered, matched by nonce and type.
 *
 * Every request has a deadline and leaves nothing behind. Made with the first, as most peers are asked nothing.
 */

import { Deadlines } from "./deadlines.ts";
import { type NetworkError, networkError } from "./errors.ts";
import type { Limits } from "./limits.ts";
import type { InboundMessage, MessageType } from "./message.ts";
import { type Deferred, deferred } from "./queue.ts";
import type { Runtime, Timer } from "./runtime.ts";

interface Pending {
  readonly nonce: number;
  readonly replyTo: MessageType<unknown>;
  readonly answer: Deferred<InboundMessage>;
}

export interface RequestsOptions {
  readonly limits: Readonly<Limits>;
  readonly runtime: Runtime;
  /** The peer's id as text, for errors. */
  readonly peer: string;
  /** Told of a request that was not answered in time. */
  readonly late: (error: NetworkError) => void;
}

export class Requests {
  readonly #options: RequestsOptions;
  readonly #pending = new Map<number, Pending>();
  readonly #deadlines: Deadlines<Pending>;

  constructor(options: RequestsOptions) {
    this.#options = options;
    const { runtime, limits } = options;
    this.#deadlines = new Deadlines(runtime, limits.requestTimeoutMs, (pending) =>
      this.#late(pending, limits.requestTimeoutMs),
    );
  }

  get size(): number {
    return this.#pending.size;
  }

  has(nonce: number): boolean {
    return this.#pending.has(nonce);
  }

  /** Sends with `send` and waits for the answer to `nonce`. Rejects as `Peer.request` says. */
  async ask<R>(
    nonce: number,
    reply: MessageType<R>,
    send: () => void,
    { signal, timeoutMs }: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined },
  ): Promise<R> {
    const { runtime, limits, peer } = this.#options;
    if (this.#pending.size >= limits.maxPendingRequests) {
      throw networkError(
        "SEND_BUFFER_FULL",
        `${this.#pending.size} requests already wait for this peer`,
      );
    }
    const pending: Pending = { nonce, replyTo: reply, answer: deferred() };
    this.#pending.set(nonce, pending);
    const onAbort = (): void => pending.answer.reject(signal?.reason);
    let timer: Timer | undefined;
    try {
      // First, since a peer that left refuses here: nothing would cancel a timer set before.
      send();
      if (timeoutMs === undefined) this.#deadlines.add(pending);
      else timer = runtime.setTimer(() => this.#late(pending, timeoutMs), timeoutMs);
      signal?.addEventListener("abort", onAbort, { once: true });
      const answer = await pending.answer.promise;
      const value = answer.as(reply);
      if (value === undefined) {
        throw networkError(
          "BODY_MALFORMED",
          `the reply has opcode ${answer.opcode}, not ${reply.opcode} (${reply.name})`,
          { peer },
        );
      }
      return value;
    } finally {
      this.#pending.delete(nonce);
      this.#deadlines.delete(pending);
      timer?.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Whether a request waited for this reply; then it has it. */
  answered(reply: InboundMessage): boolean {
    const pending = this.#pending.get(reply.nonce);
    pending?.answer.resolve(reply);
    return pending !== undefined;
  }

  /** Every request fails now. */
  fail(reason: NetworkError): void {
    for (const pending of this.#pending.values()) pending.answer.reject(reason);
    this.#pending.clear();
    this.#deadlines.clear();
  }

  #late(pending: Pending, timeoutMs: number): void {
    const why = `no ${pending.replyTo.name} within ${timeoutMs} ms`;
    const error = networkError("REQUEST_TIMEOUT", why, { peer: this.#options.peer });
    this.#options.late(error);
    pending.answer.reject(error);
  }
}
