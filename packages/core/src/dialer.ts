/**
 * Dialer: from an address to a link. The alternatives of one address are one race (RFC 8305).
 *
 * Each way that a stack of ours speaks is tried, in order of preference, the next one when the one before
 * failed or after a head start; the first that has shaken hands wins and the others are cancelled. What
 * cannot be dialled as it is written is not dialled at all. When no way works, the error has them all.
 */

import { type Address, type Route, shownRoute } from "./address.ts";
import {
  type Attempt,
  asError,
  asNetworkError,
  NetworkError,
  networkError,
  type Stage,
} from "./errors.ts";
import { race } from "./race.ts";
import type { Link, Stack, StackOptions } from "./stack.ts";

/**
 * Which ways may be taken, and which of them first. Names are of stacks (`net~noise`) or of single protocols
 * (`noise`); a transport of several names goes by its own for all of them, and by each for that one: `ws`, `wss`.
 */
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
    this.#stacks = stacks;
    this.#options = options;
    this.#choice = checkChoice(choice);
  }

  /** The stack that speaks a route. Throws `ADDRESS_UNSUPPORTED`. */
  stackFor(route: Route): Stack {
    const stack = this.find(route);
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
    const failures = new Map<Route, Attempt>();
    const failed = (route: Route, stage: Stage, startedAt: number, cause: NetworkError): void => {
      failures.set(route, {
        address: shownRoute(route),
        stage,
        afterMs: Math.round(startedAt - began),
        tookMs: Math.round(runtime.now() - startedAt),
        cause,
      });
    };
    const ordered = this.#ordered(address, options);
    const candidates: Candidate[] = [];
    for (const route of ordered) {
      try {
        candidates.push({ route, stack: this.check(route, options.allow) });
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error;
        failed(route, "parse", began, error);
      }
    }
    const ways = candidates.map(
      (candidate) => (cancelled: AbortSignal) =>
        this.#try(candidate, { ...options, signal: cancelled }, failed),
    );
    const discard = ({ link, way }: Dialled<W>): void => {
      const outrun = (): Error => networkError("STREAM_CLOSED", "another way was faster");
      link.connection.abort(signal.aborted ? asError(signal.reason) : outrun());
      way.over?.();
    };
    try {
      const dialled = await race(ways, { runtime, signal, discard });
      // Between the end of the race and this line the caller may have changed its mind.
      if (signal.aborted) discard(dialled);
      signal.throwIfAborted();
      return dialled;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AggregateError)) throw error;
      throw noneWorked(
        address,
        ordered.flatMap((route) => failures.get(route) ?? []),
      );
    }
  }

  /**
   * The stack that dials this route as it is written. Throws `ADDRESS_UNSUPPORTED` when there is none or the way
   * is not allowed, here or by `allow`, and `ADDRESS_MALFORMED` for what the stack cannot dial.
   */
  check(route: Route, allow?: readonly string[]): Stack {
    const stack = this.stackFor(route);
    stack.check(route, "dialer");
    for (const names of [this.#choice.allow, allow]) {
      if (names === undefined || names.some((name) => matches(route, stack, name))) continue;
      const shown = shownRoute(route);
      throw networkError(
        "ADDRESS_UNSUPPORTED",
        `${shown} is not allowed here; allowed are ${names.join(", ") || "none"}`,
        { address: shown },
      );
    }
    return stack;
  }

  /** The stack that speaks a route, if there is one. */
  find(route: Route): Stack | undefined {
    return this.#stacks.find((candidate) => candidate.speaks(route));
  }

  /** In order of preference: a call's in place of the dialer's, the address's own among equals. */
  #ordered(address: Address, options: Choice): Route[] {
    const prefer = options.prefer ?? this.#choice.prefer ?? [];
    const rank = (route: Route): number => {
      const stack = this.find(route);
      const found = prefer.findIndex((name) => matches(route, stack, name));
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
          // A transport that tries several hosts may still tell of one when another has connected.
          if (stage === "handshake") return;
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

/** A copy of nothing but the choice. Throws `TypeError` for what is no list of texts. */
export function checkChoice({ prefer, allow }: Choice): Choice {
  for (const [name, list] of Object.entries({ prefer, allow })) {
    if (list === undefined) continue;
    if (!Array.isArray(list) || list.some((item) => typeof item !== "string")) {
      throw new TypeError(`${name} must be a list of stacks or protocols, such as ["net~noise"]`);
    }
  }
  return { prefer: prefer?.slice(), allow: allow?.slice() };
}

/** Whether a route is of this stack, or has this protocol in it. */
function matches(route: Route, stack: Stack | undefined, name: string): boolean {
  const names = route.sections.map((section) => section.name);
  if (names.includes(name) || names.join("~") === name) return true;
  return stack !== undefined && (stack.transport.name === name || stack.name === name);
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
