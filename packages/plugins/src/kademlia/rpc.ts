/**
 * Rpc: asks one node one thing, dialling it in passing where we hold no stream to it.
 *
 * A question and the dial in front of it share one deadline, so that a node that is gone, or says
 * nothing, costs a lookup no more than that. So many are under way at most; the others wait in a bounded
 * line, and what finds it full fails at once.
 */

import {
  Deadline,
  Fifo,
  type Message,
  type MessageType,
  type Network,
  type NetworkError,
  networkError,
} from "@testudo/core";
import type { NodeContact } from "./contacts.ts";

export interface RpcOptions {
  /** For dial and answer together. */
  readonly timeoutMs: number;
  /** Questions under way at once. */
  readonly maxConcurrent: number;
  /** Questions that wait. */
  readonly maxWaiting: number;
}

/** A question to one node. */
export interface Question<R> {
  readonly to: NodeContact;
  readonly message: Message;
  readonly reply: MessageType<R>;
}

export class Rpc {
  readonly #network: Network;
  readonly #options: RpcOptions;
  readonly #waiting = new Fifo<() => void>();
  readonly #asking = new Set<AbortController>();
  #running = 0;
  #closed: NetworkError | undefined;

  constructor(network: Network, options: RpcOptions) {
    this.#network = network;
    this.#options = options;
  }

  /** Ends all questions, and whatever is asked from now on. */
  close(reason: NetworkError): void {
    this.#closed = reason;
    for (const asking of this.#asking) asking.abort(reason);
  }

  /**
   * Rejects `REQUEST_TIMEOUT`, what the dial rejects with, `SEND_BUFFER_FULL`, or the reason it was ended with:
   * `began` is handed the means to, once the question has its turn.
   */
  async ask<R>(question: Question<R>, began?: (end: AbortController) => void): Promise<R> {
    await this.#turn();
    const { timeoutMs } = this.#options;
    // One for each question: a signal that many listen to is one that many have to leave.
    const end = new AbortController();
    this.#asking.add(end);
    const late = (): Error =>
      networkError("REQUEST_TIMEOUT", `no answer within ${timeoutMs} ms`, { peer: question.to.id });
    const deadline = new Deadline(this.#network.runtime, timeoutMs, late, undefined, (reason) =>
      end.abort(reason),
    );
    try {
      if (this.#closed !== undefined) throw this.#closed;
      began?.(end);
      end.signal.throwIfAborted();
      return await this.#askNow(question, end.signal);
    } finally {
      deadline.clear();
      this.#asking.delete(end);
      const next = this.#waiting.shift();
      // The place goes from hand to hand: a question that comes in between does not find it free.
      if (next === undefined) this.#running--;
      else next();
    }
  }

  async #askNow<R>({ to, message, reply }: Question<R>, signal: AbortSignal): Promise<R> {
    const options = { signal, timeoutMs: this.#options.timeoutMs };
    const present = this.#network.peers.get(to.id);
    if (present !== undefined) {
      try {
        return await present.request(message, reply, options);
      } catch (error) {
        // One met in passing may be leaving just now: then it is worth a dial.
        if (present.connected || signal.aborted) throw error;
      }
    }
    const peer = await this.#network.add(to.address, { passing: true, signal });
    return peer.request(message, reply, options);
  }

  async #turn(): Promise<void> {
    const { maxConcurrent, maxWaiting } = this.#options;
    if (this.#running >= maxConcurrent) {
      if (this.#waiting.size >= maxWaiting) {
        throw networkError("SEND_BUFFER_FULL", `${maxWaiting} questions wait already`);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      return;
    }
    this.#running++;
  }
}
