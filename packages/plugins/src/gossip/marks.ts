/**
 * Marks: keeps those of `seen.ts` in a storage, so that what was taken is not taken again in the node's next life.
 *
 *     "testudo/marks/1\n" · u32 crc32 of what follows · what Seen.save() gives
 *
 * Saved seconds after something was taken, and at the end: a process that is killed forgets what it took since. One save
 * at a time. A storage that fails costs memory of the past and nothing else: it is logged, and after growing
 * pauses tried again. What cannot be read is left alone until there is something new to keep.
 */

import {
  asError,
  concat,
  deferred,
  type Network,
  readU32,
  type Timer,
  toUtf8,
  writeU32,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import type { Storage } from "../storage.ts";
import { type Mark, Seen, type SeenOptions } from "./seen.ts";

/** From the first that was taken to the save. */
export const SAVE_AFTER_MS = 5_000;
/** The longest pause after saves that failed. */
const LAST_RETRY_MS = 300_000;
const MAGIC: Uint8Array = /* @__PURE__ */ toUtf8("testudo/marks/1\n");
const HEAD_BYTES = 20;

/** Says when something was taken. */
class Watched extends Seen {
  readonly #taken: () => void;

  constructor(options: SeenOptions, taken: () => void) {
    super(options);
    this.#taken = taken;
  }

  override take(mark: Mark, wallClock: number): void {
    super.take(mark, wallClock);
    this.#taken();
  }
}

export class Marks {
  readonly seen: Seen;
  readonly #network: Network;
  readonly #storage: Storage;
  #timer: Timer | undefined;
  #saving: Promise<void> | undefined;
  /** Something was taken that no save has. */
  #dirty = false;
  #delayMs = SAVE_AFTER_MS;
  #closed = false;

  private constructor(network: Network, storage: Storage, options: SeenOptions) {
    this.#network = network;
    this.#storage = storage;
    this.seen = new Watched(options, () => this.#taken());
  }

  /**
   * Those of the last life; none, and a warning, when they cannot be read, or not in half of the time that
   * a plugin has to start. Never rejects.
   */
  static async load(
    network: Network,
    storage: Storage,
    options: Omit<SeenOptions, "saved">,
  ): Promise<Marks> {
    try {
      const bytes = await inTime(network, storage);
      const saved = bytes === undefined ? undefined : contentOf(bytes);
      return new Marks(network, storage, { ...options, saved });
    } catch (thrown) {
      const error = asError(thrown);
      network.logger.warn({ error }, "gossip's kept marks cannot be read; it starts anew");
      return new Marks(network, storage, options);
    }
  }

  /** Resolves when what was taken is saved, or could not be. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#saving;
    if (this.#dirty) await this.#save();
  }

  #taken(): void {
    this.#dirty = true;
    this.#arm();
  }

  #arm(): void {
    if (this.#closed || this.#timer !== undefined || this.#saving !== undefined) return;
    this.#timer = this.#network.runtime.setTimer(() => {
      this.#timer = undefined;
      this.#saving = this.#save().finally(() => {
        this.#saving = undefined;
        if (this.#dirty) this.#arm();
      });
    }, this.#delayMs);
  }

  async #save(): Promise<void> {
    this.#dirty = false;
    try {
      await this.#storage.save(withHead(this.seen.save()));
      this.#delayMs = SAVE_AFTER_MS;
    } catch (thrown) {
      this.#dirty = true;
      this.#delayMs = Math.min(2 * this.#delayMs, LAST_RETRY_MS);
      const error = asError(thrown);
      this.#network.logger.warn({ error }, "gossip's marks were not saved");
    }
  }
}

async function inTime(
  { runtime, limits }: Network,
  storage: Storage,
): Promise<Uint8Array | undefined> {
  const late = deferred<never>();
  const mostMs = limits.hookTimeoutMs / 2;
  const timer = runtime.setTimer(
    () => late.reject(new Error(`not there after ${mostMs} ms`)),
    mostMs,
  );
  try {
    return await Promise.race([storage.load(), late.promise]);
  } finally {
    timer.cancel();
  }
}

function withHead(content: Uint8Array): Uint8Array {
  const checksum = new Uint8Array(4);
  writeU32(checksum, 0, provider.crc32(content));
  return concat(MAGIC, checksum, content);
}

/** Throws `RangeError` for what was not saved here, or is damaged: a single wrong bit could make all that comes seem old. */
function contentOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length < HEAD_BYTES || !MAGIC.every((byte, at) => byte === bytes[at])) {
    throw new RangeError("what was kept does not begin as marks do");
  }
  const content = bytes.subarray(HEAD_BYTES);
  if (provider.crc32(content) !== readU32(bytes, MAGIC.length)) {
    throw new RangeError("what was kept is damaged");
  }
  return content;
}
