/**
 * Values over the network: put on the nodes nearest to their key, found there, and put again in time.
 *
 * A publisher puts its own values again every `republishMs`; a node that keeps a value passes it on when
 * nobody else did for that long, for what is left of its life, so that it stays where its key is as nodes come and go.
 */

import { NetworkError, networkError, toHex } from "@testudo/core";
import type { NodeContact } from "./contacts.ts";
import { FindValue, StoreRequest, StoreResponse } from "./messages.ts";
import type { Overlay } from "./overlay.ts";
import { STORED, type Store } from "./store.ts";
import { readValue, VALUE_LIFE_MS, type Value } from "./value.ts";

/** Own values that are put again. */
const MAX_PUBLISHED = 1_024;
/** After this a value that nobody took is put again. */
const RETRY_MS = 60_000;

export interface PutResult {
  /** 32 bytes: what to `get` it by. */
  readonly key: Uint8Array;
  /** How many nodes keep it. */
  readonly nodes: number;
}

interface Published {
  readonly value: Value;
  /** When it was last put. */
  at: number;
  /** How many took it then. */
  nodes: number;
}

export class Values {
  readonly #overlay: Overlay;
  readonly #store: Store;
  readonly #published = new Map<string, Published>();

  constructor(overlay: Overlay, store: Store) {
    this.#overlay = overlay;
    this.#store = store;
  }

  /**
   * Puts a value on the nodes nearest to its key, and again from time to time, unless this rejects: with the signal's
   * reason, or `SEND_BUFFER_FULL` beyond 1,024 own values. An older version than the one that is put stays out.
   */
  async publish(value: Value, signal?: AbortSignal): Promise<PutResult> {
    const name = toHex(value.key);
    if (!this.#published.has(name) && this.#published.size >= MAX_PUBLISHED) {
      const why = `this node publishes ${MAX_PUBLISHED} values already; withdraw some`;
      throw networkError("SEND_BUFFER_FULL", why);
    }
    const before = this.#published.get(name);
    if (before !== undefined && isNewer(before.value, value)) return { key: value.key, nodes: 0 };
    const published: Published = { value, at: this.#overlay.now, nodes: 0 };
    this.#published.set(name, published);
    try {
      published.nodes = await this.#put(value, signal);
    } catch (error) {
      if (this.#published.get(name) === published) {
        this.#published.delete(name);
        if (before !== undefined) this.#published.set(name, before);
      }
      throw error;
    }
    return { key: value.key, nodes: published.nodes };
  }

  /** Puts it no more; those who keep it forget it in time. */
  withdraw(key: Uint8Array): boolean {
    return this.#published.delete(toHex(key));
  }

  /** The value under a key: of a signed one the newest that was found. */
  async get(key: Uint8Array, signal?: AbortSignal): Promise<Value | undefined> {
    let found = this.#store.get(key, this.#wallClock());
    if (found?.kind === "content") return found;
    await this.#overlay.lookup(key, {
      question: FindValue,
      confirm: false,
      signal,
      heard: ({ value }, from) => {
        if (value === undefined) return;
        const read = this.#read(value, key, from);
        if (read !== undefined && isNewer(read, found)) found = read;
      },
      // Nobody can have another content with this key; of a signed value a later answer may be newer.
      enough: () => found?.kind === "content",
    });
    return found;
  }

  /** Puts again what is due: own values over a lookup, others' on the nodes we know nearest. One of each a call. */
  async republish(olderThanMs: number): Promise<void> {
    const { now } = this.#overlay;
    for (const [name, published] of this.#published) {
      if (isPast(published.value, this.#wallClock())) this.#published.delete(name);
      else if (now - published.at >= (published.nodes > 0 ? olderThanMs : RETRY_MS)) {
        published.at = now;
        published.nodes = 0;
        published.nodes = await this.#put(published.value);
        break;
      }
    }
    const wallClock = this.#wallClock();
    const [due] = this.#store.due(wallClock - olderThanMs);
    if (due === undefined) return;
    this.#store.renewed(due, wallClock);
    const { table, options } = this.#overlay;
    const lifeMs = this.#store.leftMs(due.key, wallClock);
    await this.#send(due, lifeMs, table.closest(due.key, options.s));
  }

  async #put(value: Value, signal?: AbortSignal): Promise<number> {
    const nodes = await this.#overlay.lookup(value.key, { signal });
    if (this.#overlay.isOurs(value.key)) this.#store.put(value, this.#wallClock());
    return this.#send(value, VALUE_LIFE_MS, nodes, signal);
  }

  /** To all at once; resolves with how many keep it now. Rejects with the signal's reason. */
  async #send(
    value: Value,
    lifeMs: number,
    nodes: readonly NodeContact[],
    signal?: AbortSignal,
  ): Promise<number> {
    const message = StoreRequest.of({ value: value.bytes, lifeMs });
    const reply = StoreResponse;
    const asking = new Set<AbortController>();
    const stop = (): void => {
      for (const end of asking) end.abort(signal?.reason);
    };
    const began = (end: AbortController): void => {
      asking.add(end);
      if (signal?.aborted === true) end.abort(signal.reason);
    };
    signal?.addEventListener("abort", stop, { once: true });
    const outcomes = await Promise.allSettled(
      nodes.map((to) => this.#overlay.request({ to, message, reply }, began)),
    );
    signal?.removeEventListener("abort", stop);
    signal?.throwIfAborted();
    return outcomes.filter(
      (outcome) => outcome.status === "fulfilled" && outcome.value === STORED.stored,
    ).length;
  }

  #read(bytes: Uint8Array, key: Uint8Array, from: NodeContact): Value | undefined {
    const { network } = this.#overlay;
    try {
      const value = readValue(bytes, network.networkId);
      return toHex(value.key) === toHex(key) && !isPast(value, this.#wallClock())
        ? value
        : undefined;
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      network.logger.debug({ peer: from.id, error }, "a node handed out a broken value");
      return undefined;
    }
  }

  #wallClock(): number {
    return this.#overlay.network.runtime.wallClock();
  }
}

function isPast(value: Value, now: number): boolean {
  return value.kind === "signed" && value.expiresAt <= now;
}

function isNewer(value: Value, than: Value | undefined): boolean {
  if (than === undefined) return true;
  return value.kind === "signed" && than.kind === "signed" && value.seq > than.seq;
}
