/**
 * Dialer: from an address to a link. The alternatives of one address are one race (RFC 8305).
 *
 * Each way that a stack of ours speaks is tried, in order of preference, the next one when the one before
 * failed or after a head start; the first that has shaken hands wins and the others are cancelled. What
 * cannot be dialled as it is written is not dialled at all. When no way works, the error has them all.
 */

import { type Address, type Route, shownRoute } from "./address.ts";
import { type Attempt, asNetworkError, NetworkError, networkError, type Stage } from "./errors.ts";
import { race } from "./race.ts";
import type { Link, Stack, StackOptions } from "./stack.ts";

/** Which ways may be taken, and which of them first. Names are of stacks (`net~noise`) or of single protocols (`noise`). */
export interface Choice {
  /** Ways that have one of these go first, in this order; the others after them, as the address has them. */
  readonly prefer?: readonly string[] | undefined;
  /** Only ways that have one of these are taken. Default: all that a stack speaks. */
  readonly allow?: readonly string[] | undefined;
}

/** What the owner of a dial is told of one way, and may refuse. */
export interface Way {
  /** The transport is there and the handshake begins. */
  shaking?(): void;
  /** It failed, or another was faster. Not called for the way that won. */
  over?(): void;
}

export interface DialerOptions<W extends Way = Way> extends Choice {
  readonly signal: AbortSignal;
  /** Told of each way as it begins; `expected` is the key it must prove. A throw refuses the way. */
  readonly begin: (route: Route, expected: Uint8Array | undefined) => W;
}

export interface Dialled<W extends Way = Way> {
  readonly link: Link;
  readonly stack: Stack;
  /** What `begin` gave for it. */
  readonly way: W;
}

/** A route and the stack that speaks it. */
interface Candidate {
  readonly route: Route;
  readonly stack: Stack;
}

const STAGES: readonly Stage[] = ["listen", "parse", "resolve", "connect", "handshake"];

export class Dialer {
  readonly #stacks: readonly Stack[];
  readonly #options: StackOptions;
  readonly #choice: Choice;

  /** Throws `TypeError` for a preference that is no list of texts. */
  constructor(stacks: readonly Stack[], options: StackOptions, choice: Choice = {}) {
    checkChoice(choice);
    this.#stacks = stacks;
    this.#options = options;
    this.#choice = choice;
  }

  /** The stack that speaks a route. Throws `ADDRESS_UNSUPPORTED`. */
  stackFor(route: Route): Stack {
    const stack = this.#stacks.find((candidate) => candidate.speaks(route));
    if (stack !== undefined) return stack;
    const shown = shownRoute(route);
    const known = this.#stacks.map(({ name }) => name).join(", ");
    throw networkError(
      "ADDRESS_UNSUPPORTED",
      `no stack speaks ${shown}; this node has ${known || "none"}`,
      { address: shown },
    );
  }

  /**
   * The first way that shook hands. Rejects with the signal's reason, or with one error that has every
   * way in `attempts`: its code is that of the way that got furthest, of the first among equals.
   */
  async dial<W extends Way>(address: Address, options: DialerOptions<W>): Promise<Dialled<W>> {
    const { runtime } = this.#options;
    const { signal } = options;
    const began = runtime.now();
    const ordered = this.#ordered(address, options);
    const attempts: Attempt[] = [];
    const failed = (route: Route, stage: Stage, startedAt: number, cause: NetworkError): void => {
      const index = ordered.indexOf(route);
      attempts[index] = {
        address: shownRoute(route),
        stage,
        afterMs: Math.round(startedAt - began),
        tookMs: Math.round(runtime.now() - startedAt),
        cause,
      };
    };
    const candidates: Candidate[] = [];
    for (const route of ordered) {
      try {
        candidates.push(this.#candidate(route, options));
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error;
        failed(route, "parse", began, error);
      }
    }
    const ways = candidates.map(
      (candidate) => (cancelled: AbortSignal) =>
        this.#try(candidate, { ...options, signal: cancelled }, failed),
    );
    try {
      return await race(ways, {
        runtime,
        signal,
        discard: ({ link, way }) => {
          link.connection.abort(networkError("STREAM_CLOSED", "another way was faster"));
          way.over?.();
        },
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!(error instanceof AggregateError)) throw error;
      throw noneWorked(
        address,
        attempts.filter((attempt) => attempt !== undefined),
      );
    }
  }

  #candidate(route: Route, options: Choice): Candidate {
    const stack = this.stackFor(route);
    stack.check(route, "dialer");
    for (const allow of [this.#choice.allow, options.allow]) {
      if (allow === undefined || allow.some((name) => matches(route, name))) continue;
      const shown = shownRoute(route);
      throw networkError(
        "ADDRESS_UNSUPPORTED",
        `${shown} is not allowed here; allowed are ${allow.join(", ") || "none"}`,
        { address: shown },
      );
    }
    return { route, stack };
  }

  /** In order of preference: a call's before the dialer's, the address's own among equals. */
  #ordered(address: Address, options: Choice): Route[] {
    const prefer = options.prefer ?? this.#choice.prefer ?? [];
    const rank = (route: Route): number => {
      const found = prefer.findIndex((name) => matches(route, name));
      return found < 0 ? prefer.length : found;
    };
    return address.routes.toSorted((a, b) => rank(a) - rank(b));
  }

  async #try<W extends Way>(
    { route, stack }: Candidate,
    options: DialerOptions<W>,
    failed: (route: Route, stage: Stage, startedAt: number, cause: NetworkError) => void,
  ): Promise<Dialled<W>> {
    const { signal } = options;
    const startedAt = this.#options.runtime.now();
    let stage: Stage = "parse";
    let way: W | undefined;
    try {
      const begun = options.begin(route, stack.expectedKey(route));
      way = begun;
      const link = await stack.dial(route, {
        ...this.#options,
        signal,
        stage: (reached) => {
          stage = reached;
          if (reached === "handshake") begun.shaking?.();
        },
      });
      return { link, stack, way: begun };
    } catch (error) {
      way?.over?.();
      if (!signal.aborted) {
        const why = `cannot reach ${shownRoute(route)}`;
        failed(route, stage, startedAt, asNetworkError(error, "DIAL_REFUSED", why));
      }
      throw error;
    }
  }
}

export function checkChoice({ prefer, allow }: Choice): void {
  for (const [name, list] of Object.entries({ prefer, allow })) {
    if (list === undefined) continue;
    if (!Array.isArray(list) || list.some((item) => typeof item !== "string")) {
      throw new TypeError(`${name} must be a list of stacks or protocols, such as ["net~noise"]`);
    }
  }
}

/** Whether a route is of this stack, or has this protocol in it. */
function matches(route: Route, name: string): boolean {
  const names = route.sections.map((section) => section.name);
  return names.includes(name) || names.join("~") === name;
}

function noneWorked(address: Address, attempts: readonly Attempt[]): NetworkError {
  const furthest = attempts.reduce((best, attempt) =>
    STAGES.indexOf(attempt.stage) > STAGES.indexOf(best.stage) ? attempt : best,
  );
  const { cause } = furthest;
  const peer = cause.peer === undefined ? {} : { peer: cause.peer };
  if (attempts.length === 1) {
    return networkError(cause.code, cause.message, {
      ...peer,
      address: furthest.address,
      attempts,
      cause: cause.cause ?? cause,
    });
  }
  const each = attempts.map((attempt) => `${attempt.address}: ${attempt.cause.message}`);
  return networkError(
    cause.code,
    `none of ${attempts.length} alternatives worked. ${each.join(". ")}`,
    {
      ...peer,
      address: address.routes.map(shownRoute).join(";"),
      attempts,
      cause: new AggregateError(attempts.map((attempt) => attempt.cause)),
    },
  );
}
