/**
 * Transport `memory`: two ends in one process, for tests, simulations and examples. No socket, no port.
 *
 *     const network = new Network({ stacks: [[memory(), noise()]] });
 *     await network.listen("memory:alice~noise");
 *
 * Section `memory:NAME`. With `latencyMs`, `jitterMs`, `lossRate` and `bandwidth` a connection behaves like
 * TCP over such a line, the same way each time for the same `seed`. The dialer's options shape both directions.
 */

import {
  asError,
  type Connection,
  type Listener,
  networkError,
  type Runtime,
  type Section,
  section,
  systemRuntime,
  type Transport,
} from "@testudo/core";
import { connectedPair } from "./connection.ts";
import { checkLinkOptions, Link, type LinkOptions, seededRandom } from "./link.ts";

export type { LinkOptions } from "./link.ts";

export interface MemoryOptions extends LinkOptions {
  /** Where names are known. Default: one for the whole process. */
  hub?: MemoryHub;
  /** Time and timers of the delays. Default: the system's. */
  runtime?: Runtime;
  /** Of jitter and loss. Default 1. */
  seed?: number;
}

type Accept = (connection: Connection) => void;

/** Who listens under which name. Two hubs know nothing of each other. */
export class MemoryHub {
  readonly #names = new Map<string, Accept>();
  #connections = 0;

  /** The names listened on now. */
  get names(): readonly string[] {
    return [...this.#names.keys()];
  }

  /** False when the name is taken. */
  claim(name: string, accept: Accept): boolean {
    if (this.#names.has(name)) return false;
    this.#names.set(name, accept);
    return true;
  }

  release(name: string): void {
    this.#names.delete(name);
  }

  find(name: string): Accept | undefined {
    return this.#names.get(name);
  }

  /** A new number for each connection. */
  count(): number {
    return ++this.#connections;
  }
}

const everybody = /* @__PURE__ */ new MemoryHub();

/** Throws `RangeError` for a line that cannot be. */
export function memory(options: MemoryOptions = {}): Transport {
  const { hub = everybody, runtime = systemRuntime, seed = 1 } = options;
  const line = checkLinkOptions(options);
  const seeds = seededRandom(seed);
  const newLink = (): Link => new Link(line, seededRandom(seeds() * 2 ** 32));
  return {
    name: "memory",
    halfClose: true,
    async dial(to, { signal }) {
      const name = nameOf(to);
      signal.throwIfAborted();
      const [there, back] = [newLink(), newLink()];
      // At least one turn, so that a signal that fires right after the call is still heard.
      if (there.instant) await undefined;
      else await wait(runtime, there.delay() + back.delay(), signal);
      signal.throwIfAborted();
      const accept = hub.find(name);
      if (accept === undefined) {
        throw networkError(
          "DIAL_REFUSED",
          `cannot reach ${to.text}: nobody listens under that name`,
          {
            address: to.text,
          },
        );
      }
      const from = section("memory", `${name}@${hub.count()}`);
      const [near, far] = connectedPair(
        runtime,
        { link: there, remote: to },
        { link: back, remote: from },
      );
      try {
        accept(far);
      } catch (error) {
        far.abort(asError(error));
      }
      return near;
    },
    async listen(at, accept): Promise<Listener> {
      const name = nameOf(at);
      if (!hub.claim(name, accept)) {
        throw networkError("LISTEN_FAILED", `cannot listen on ${at.text}: the name is in use`, {
          address: at.text,
        });
      }
      let open = true;
      return {
        section: at,
        local: true,
        async close() {
          // Only once: the name may be somebody else's by now.
          if (open) hub.release(name);
          open = false;
        },
      };
    },
  };
}

function nameOf(from: Section): string {
  const [name] = from.args;
  if (from.args.length !== 1 || name === undefined || name === "") {
    throw networkError("ADDRESS_MALFORMED", `${from.text} cannot be read: memory needs one NAME`, {
      address: from.text,
    });
  }
  return name;
}

function wait(runtime: Runtime, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      timer.cancel();
      reject(signal.reason);
    };
    const timer = runtime.setTimer(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
