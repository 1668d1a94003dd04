/**
 * Finder: from a peer id to addresses, by asking the plugins that may know (`findPeer`).
 *
 * One after another, in order of registration: the first good answer ends the search, so a cheap plugin is
 * registered before one that asks half the network. What a plugin says is not believed: only routes that name
 * the key are ever dialled.
 */

import { type Address, formatAddress, parseAddress, type Route, shownRoute } from "./address.ts";
import { NetworkError, networkError } from "./errors.ts";
import type { PeerId } from "./identity.ts";
import type { Logger } from "./logger.ts";
import type { Plugin } from "./plugin.ts";
import { Deadline, type Runtime } from "./runtime.ts";

/** A plugin that may know where a node is. */
export interface Finder {
  readonly name: string;
  /** It has started, and is neither suspended nor closed. */
  readonly ready: boolean;
  readonly find: NonNullable<Plugin["findPeer"]>;
  /** It did its work, whether it knew the node or not. */
  found(): void;
  /** It broke its contract. */
  failed(error: unknown): void;
}

export interface SearchOptions {
  readonly runtime: Runtime;
  /** Each finder's time. */
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** Ends the search. */
  readonly signal: AbortSignal;
  /** The text of the key that a route names. */
  readonly keyOf: (route: Route) => string | undefined;
}

/**
 * What each finder gives, as it gives it: an address that names the key in every route, or why what it gave
 * cannot be dialled. Throws the signal's reason, and `ADDRESS_UNSUPPORTED` when there is no finder at all.
 */
export async function* search(
  id: PeerId,
  finders: readonly Finder[],
  options: SearchOptions,
): AsyncGenerator<Address | NetworkError> {
  if (finders.length === 0) {
    throw networkError(
      "ADDRESS_UNSUPPORTED",
      `no plugin can find peer ${id.short}; add its address, or register a plugin with findPeer`,
      { peer: id.text },
    );
  }
  for (const finder of finders) {
    if (!finder.ready) continue;
    const given = await ask(finder, id, options);
    options.signal.throwIfAborted();
    if (given !== undefined) yield checked(finder, id, given, options);
  }
}

async function ask(
  finder: Finder,
  id: PeerId,
  { runtime, timeoutMs, logger, signal }: SearchOptions,
): Promise<string | undefined> {
  let end = (_: unknown): void => {};
  const ended = new Promise<never>((_, reject) => {
    end = reject;
  });
  const late = (): Error => new Error(`not done after ${timeoutMs} ms`);
  const limit = new Deadline(runtime, timeoutMs, late, signal, (reason) => end(reason));
  ended.catch(() => {});
  try {
    const given = await Promise.race([finder.find(id, { signal: limit.signal }), ended]);
    if (given !== undefined && typeof given !== "string")
      throw new TypeError("findPeer must resolve with an address or undefined");
    finder.found();
    return given;
  } catch (error) {
    // That the network did not help it is not its fault.
    if (error instanceof NetworkError)
      logger.debug({ plugin: finder.name, peer: id.text, error }, "a search failed");
    else if (!signal.aborted) finder.failed(error);
    return undefined;
  } finally {
    limit.clear();
  }
}

function checked(
  finder: Finder,
  id: PeerId,
  given: string,
  { keyOf }: SearchOptions,
): Address | NetworkError {
  try {
    const { routes } = parseAddress(given);
    const right = routes.filter((route) => keyOf(route) === id.text);
    if (right.length > 0) return parseAddress(formatAddress(right));
    const shown = routes.map(shownRoute).join(";");
    return networkError(
      "PEER_UNEXPECTED",
      `${finder.name} gave ${shown} for peer ${id.short}, which this node cannot reach it by: no route it speaks names that key`,
      { peer: id.text, address: shown },
    );
  } catch (error) {
    if (error instanceof NetworkError) return error;
    throw error;
  }
}
