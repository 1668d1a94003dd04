/**
 * Redial: what `network.add` reached and `network.delete` did not take back is dialled again when its peer
 * leaves; a node that was added by its id is looked for again.
 *
 * The wait doubles from dial to dial and is drawn evenly from nothing to its bound, so that a thousand
 * nodes that lost the same peer do not come back in the same instant. One dial at a time for an address.
 */

import {
  type ErrorCode,
  fromBase64,
  type Network,
  NetworkError,
  type Peer,
  randomInteger,
  type Timer,
} from "@testudo/core";

export interface RedialOptions {
  /** Bound of the first wait. Default 1,000. */
  minDelayMs?: number;
  /** Bound of the longest wait. Default 16,000. */
  maxDelayMs?: number;
  /** A peer that stayed so long starts again with the first wait. Default 60,000. */
  stableMs?: number;
}

/** Another dial would end the same way. */
const PERMANENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "ADDRESS_MALFORMED",
  "ADDRESS_UNSUPPORTED",
  "PEER_REFUSED",
  "PEER_UNEXPECTED",
  "SELF_DIAL",
]);

/** An address whose peer left. */
interface Entry {
  readonly address: string;
  attempts: number;
  timer: Timer | undefined;
  /** Ends the dial under way. */
  dial: AbortController | undefined;
  upSince: number;
}

export class Redial {
  readonly #network: Network;
  readonly #options: Readonly<Required<RedialOptions>>;
  readonly #book = new Map<string, Entry>();

  constructor(network: Network, options: Readonly<Required<RedialOptions>>) {
    this.#network = network;
    this.#options = options;
    for (const [address, id] of network.wanted) {
      if (!network.peers.has(id)) this.#wait(this.#entry(address));
    }
  }

  /** A peer is here, whoever dialled. */
  came(peer: Peer): void {
    for (const entry of this.#book.values()) {
      if (this.#network.wanted.get(entry.address) === peer.id.text) this.#up(entry);
    }
  }

  left(peer: Peer, reason: NetworkError | undefined): void {
    for (const entry of this.#book.values()) {
      if (!this.#network.wanted.has(entry.address)) this.#forget(entry);
    }
    for (const [address, id] of this.#network.wanted) {
      if (id !== peer.id.text) continue;
      const entry = this.#entry(address);
      if (this.#network.runtime.now() - entry.upSince >= this.#options.stableMs) entry.attempts = 0;
      this.#again(entry, reason);
    }
  }

  /** Stops what is under way. Holds no timer afterwards. */
  stop(): void {
    for (const entry of this.#book.values()) this.#forget(entry);
  }

  #entry(address: string): Entry {
    const known = this.#book.get(address);
    if (known !== undefined) return known;
    const entry: Entry = { address, attempts: 0, timer: undefined, dial: undefined, upSince: 0 };
    this.#book.set(address, entry);
    return entry;
  }

  #forget(entry: Entry): void {
    this.#book.delete(entry.address);
    entry.timer?.cancel();
    entry.dial?.abort();
  }

  #up(entry: Entry): void {
    entry.timer?.cancel();
    entry.timer = undefined;
    entry.upSince = this.#network.runtime.now();
  }

  #again(entry: Entry, reason: unknown): void {
    if (!isPermanent(reason, isId(entry.address))) {
      this.#wait(entry);
      return;
    }
    this.#forget(entry);
    // Not the address itself, which may hold an invite's secret.
    const peer = this.#network.wanted.get(entry.address);
    this.#network.logger.warn({ peer, error: reason }, "a peer's address is not dialled again");
  }

  #wait(entry: Entry): void {
    if (entry.timer !== undefined || entry.dial !== undefined) return;
    const { minDelayMs, maxDelayMs } = this.#options;
    const bound = Math.min(maxDelayMs, minDelayMs * 2 ** entry.attempts++);
    const { runtime } = this.#network;
    entry.timer = runtime.setTimer(
      () => {
        entry.timer = undefined;
        void this.#dial(entry);
      },
      randomInteger(runtime, Math.floor(bound) + 1),
    );
  }

  async #dial(entry: Entry): Promise<void> {
    const { wanted, peers } = this.#network;
    const id = wanted.get(entry.address);
    if (id === undefined) this.#forget(entry);
    if (id === undefined || peers.has(id)) return;
    const dial = new AbortController();
    entry.dial = dial;
    let reason: unknown;
    try {
      const peer = await this.#network.add(entry.address, { signal: dial.signal });
      if (!peer.connected) reason = "it left at once";
    } catch (error) {
      reason = error;
    }
    entry.dial = undefined;
    if (this.#book.get(entry.address) !== entry) return;
    if (reason === undefined) this.#up(entry);
    else if (wanted.has(entry.address)) this.#again(entry, reason);
    else this.#forget(entry);
  }
}

/** `byId`: the next search may find another address, so only the node itself can end it. */
function isPermanent(reason: unknown, byId: boolean): boolean {
  if (!(reason instanceof NetworkError)) return false;
  if (byId) return reason.code === "PEER_REFUSED" || reason.code === "SELF_DIAL";
  if (PERMANENT.has(reason.code)) return true;
  // All alternatives of one address failed, each for its own reason.
  const { cause } = reason;
  return cause instanceof AggregateError && cause.errors.every((each) => isPermanent(each, false));
}

function isId(name: string): boolean {
  return fromBase64(name)?.length === 32;
}
