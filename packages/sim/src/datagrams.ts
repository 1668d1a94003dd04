/**
 * Datagrams beside a simulated connection: each arrives whole or not at all, and one that was sent later may
 * come first, since each has its own jitter. The key they are started with is not used: nobody listens in.
 */

import { type Datagrams, Fifo } from "@testudo/core";

/** What they ask of the connection they belong to. */
export interface DatagramCarrier {
  /** Takes bytes that nobody changes any more; false when there is no way to send them. */
  carry(bytes: Uint8Array): boolean;
}

/** What fits into a packet of 1,280 bytes, the least that every IPv6 link takes, behind its headers. */
const MAX_BYTES = 1_200;
/** Datagrams that wait for a reader; the oldest goes. */
const MAX_WAITING = 256;

export class SimDatagrams implements Datagrams, AsyncIterableIterator<Uint8Array> {
  readonly #carrier: DatagramCarrier;
  #queue: Fifo<Uint8Array> | undefined;
  #waiter: ((result: IteratorResult<Uint8Array>) => void) | undefined;
  #started = false;
  #over = false;

  constructor(carrier: DatagramCarrier) {
    this.#carrier = carrier;
  }

  get maxBytes(): number {
    return this.#started && !this.#over ? MAX_BYTES : 0;
  }

  start(): void {
    if (this.#started) throw new TypeError("datagrams are started once");
    this.#started = true;
  }

  send(bytes: Uint8Array): boolean {
    if (bytes.length > this.maxBytes || this.maxBytes === 0) return false;
    return this.#carrier.carry(bytes.slice());
  }

  /** One arrived. */
  receive(bytes: Uint8Array): void {
    if (this.maxBytes === 0) return;
    const waiter = this.#waiter;
    if (waiter !== undefined) {
      this.#waiter = undefined;
      waiter({ done: false, value: bytes });
      return;
    }
    this.#queue ??= new Fifo();
    this.#queue.push(bytes);
    if (this.#queue.size > MAX_WAITING) this.#queue.shift();
  }

  /** The connection is over. What arrived can still be read. */
  finish(): void {
    this.#over = true;
    this.#waiter?.({ done: true, value: undefined });
    this.#waiter = undefined;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const value = this.#queue?.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    if (this.#waiter !== undefined) {
      return Promise.reject(new TypeError("datagrams have one reader at a time"));
    }
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
