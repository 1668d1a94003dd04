/**
 * Bootstrap: the addresses that a node was told to join through, dialled with growing patience until one of them
 * was reached.
 *
 * Says so, once, when none is there; and when an address is of a kind that this node will never reach, however long
 * it waits, such as one with a slip of the pen in it.
 */

import { asError, type Logger, NetworkError } from "@testudo/core";

export interface BootstrapOptions {
  readonly dial: (address: string) => Promise<void>;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** A whole number in [0, bound). */
  readonly random: (bound: number) => number;
  readonly logger: Logger;
  /** Failures after it are those of a node that leaves. */
  readonly signal: AbortSignal;
}

/** Between two rounds, while nobody is known; doubles up to the last. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
/** No later round ends in another way. */
const FOR_EVER: ReadonlySet<string> = new Set(["ADDRESS_MALFORMED", "ADDRESS_UNSUPPORTED"]);

export class Bootstrap {
  readonly #options: BootstrapOptions;
  /** Those that may answer some day. */
  #addresses: readonly string[];
  #reached: boolean;
  #hopeless: NetworkError | undefined;
  #warned = false;
  #retryMs = FIRST_RETRY_MS;
  #retryAt = Number.NEGATIVE_INFINITY;

  constructor(addresses: readonly string[], options: BootstrapOptions) {
    this.#addresses = addresses;
    this.#options = options;
    this.#reached = addresses.length === 0;
  }

  /** One was reached once, or there is none; until then we and those who came through us may be an island. */
  get reached(): boolean {
    return this.#reached;
  }

  /** Why none of them will ever be reached. */
  get hopeless(): NetworkError | undefined {
    return this.#addresses.length === 0 ? this.#hopeless : undefined;
  }

  /** Whether it is time for another round. */
  get due(): boolean {
    return this.#options.now() >= this.#retryAt;
  }

  /** All of them at once. Returns whether one was reached for the first time. Never rejects. */
  async round(): Promise<boolean> {
    const { now, signal, logger } = this.#options;
    this.#retryAt = now() + this.#retryMs;
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
    const results = await Promise.all(this.#addresses.map((address) => this.#dial(address)));
    if (signal.aborted) return false;
    const failed = results.filter((error) => error !== undefined);
    if (failed.length < results.length) {
      const first = !this.#reached;
      this.#reached = true;
      return first;
    }
    const error = failed.find((each) => !isForEver(each));
    if (error !== undefined && !this.#warned) {
      this.#warned = true;
      logger.warn({ error }, "no bootstrap address was reached; they are tried again and again");
    }
    return false;
  }

  /** Any one of them. Never rejects. */
  async any(): Promise<void> {
    const { random } = this.#options;
    const { length } = this.#addresses;
    const address = this.#addresses[length < 2 ? 0 : random(length)];
    if (address !== undefined) await this.#dial(address);
  }

  /** Somebody is known: should that end, the next rounds follow soon. */
  refresh(): void {
    this.#retryMs = FIRST_RETRY_MS;
  }

  async #dial(address: string): Promise<Error | undefined> {
    const { dial, logger, signal } = this.#options;
    try {
      await dial(address);
      return undefined;
    } catch (thrown) {
      const error = asError(thrown);
      if (signal.aborted) return error;
      if (isForEver(error)) {
        this.#hopeless = error;
        this.#addresses = this.#addresses.filter((other) => other !== address);
        logger.warn(
          { error },
          "a bootstrap address cannot be dialled, now or ever; it is left out",
        );
      } else logger.debug({ error }, "a bootstrap address was not reached");
      return error;
    }
  }
}

function isForEver(error: Error): error is NetworkError {
  return error instanceof NetworkError && FOR_EVER.has(error.code);
}
