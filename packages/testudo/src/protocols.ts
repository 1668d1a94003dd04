/**
 * Protocols: which names of sections this build speaks, and how to load each.
 *
 * The table is all there is: a new transport or transform is one entry. Nothing is loaded before an
 * address asks for it, and an address is never read as a weaker one.
 */

import {
  type Address,
  hostAndPort,
  NetworkError,
  networkError,
  parseAddress,
  type Route,
  type Section,
  type Side,
  type StackParts,
  sectionKey,
  shownRoute,
  type Transform,
  type Transport,
} from "@testudo/core";

export interface ProtocolOptions {
  /** Of `shs` only. Default: the network id. */
  readonly appKey?: Uint8Array;
}

interface Protocol<T> {
  load(options: ProtocolOptions): Promise<T>;
  /** Throws `AddressError` for a section that can never be used by that side. */
  check(section: Section, side: Side): void;
}

const TRANSPORTS: Readonly<Record<string, Protocol<Transport>>> = {
  net: {
    load: async () => (await import("@testudo/transports/net")).net(),
    check(section, side) {
      if (hostAndPort(section).port === 0 && side === "dialer") {
        throw malformed(
          section.text,
          "port 0 is for listening; dial the port the listener printed",
        );
      }
    },
  },
};

const TRANSFORMS: Readonly<Record<string, Protocol<Transform>>> = {
  noise: {
    load: async () => (await import("@testudo/transports/noise")).noise(),
    check: checkKey,
  },
  "noise-chacha": {
    load: async () => (await import("@testudo/transports/noise")).noiseChacha(),
    check: checkKey,
  },
  shs: {
    load: async (options) => (await import("@testudo/transports/shs")).shs(options),
    check(section, side) {
      checkKey(section);
      if (side === "dialer" && section.args[0] === undefined) {
        throw malformed("shs", "shs dials a key: shs:KEY, as the listener printed it");
      }
    },
  },
  noauth: {
    load: async () => (await import("@testudo/transports/noauth")).noauth(),
    check(section) {
      if (section.args.length > 0) throw malformed("noauth", "noauth takes no arguments");
    },
  },
};

function checkKey(section: Section): void {
  sectionKey(section);
}

/** What can be wrong with a route before anything is loaded or dialled: `undefined` when nothing is. */
export function problemOf(
  route: Route,
  options: { side: Side; bare?: boolean },
): NetworkError | undefined {
  const [transport, ...transforms] = route.sections;
  try {
    if (transport === undefined) throw new TypeError("route has no sections");
    protocolOf(TRANSPORTS, transport, "transport").check(transport, options.side);
    for (const transform of transforms) {
      protocolOf(TRANSFORMS, transform, "transform").check(transform, options.side);
    }
    if (transforms.length === 0 && options.bare !== true) {
      throw networkError(
        "ADDRESS_UNSUPPORTED",
        `${transport.text} names no transform; add one, such as ${transport.text}~noise`,
      );
    }
    return undefined;
  } catch (error) {
    const about = aboutRoutes(error, [route]);
    if (about instanceof NetworkError) return about;
    throw error;
  }
}

/**
 * The error with the whole address it is about, not only the section that failed; that is named by its
 * text. What is secret in an address is left out.
 */
export function aboutRoutes(error: unknown, routes: readonly Route[]): unknown {
  if (!(error instanceof NetworkError)) return error;
  return networkError(error.code, error.message, {
    address: routes.map(shownRoute).join(";"),
    ...(error.peer === undefined ? {} : { peer: error.peer }),
    cause: error,
  });
}

/**
 * The routes of an address that this build can use. Throws `AddressError` when there is none; a listener
 * needs them all.
 */
export function usableRoutes(
  text: string,
  options: { side: Side; bare?: boolean },
): readonly Route[] {
  const address: Address = parseAddress(text);
  const usable: Route[] = [];
  const problems: NetworkError[] = [];
  for (const route of address.routes) {
    const problem = problemOf(route, options);
    if (problem === undefined) usable.push(route);
    else problems.push(problem);
  }
  const [first] = problems;
  if (first !== undefined && (usable.length === 0 || options.side === "listener")) throw first;
  return usable;
}

/** The stacks that the routes need, each once. */
export async function loadStacks(
  routes: readonly Route[],
  options: ProtocolOptions = {},
): Promise<StackParts[]> {
  const chains = new Map<string, Route>();
  for (const route of routes) chains.set(route.sections.map(({ name }) => name).join("~"), route);
  return Promise.all([...chains.values()].map((route) => loadStack(route, options)));
}

async function loadStack(route: Route, options: ProtocolOptions): Promise<StackParts> {
  const [transport, ...transforms] = route.sections;
  if (transport === undefined) throw new TypeError("route has no sections");
  const [loadedTransport, ...loadedTransforms] = await Promise.all([
    protocolOf(TRANSPORTS, transport, "transport").load(options),
    ...transforms.map((section) => protocolOf(TRANSFORMS, section, "transform").load(options)),
  ]);
  return [loadedTransport, ...loadedTransforms];
}

function protocolOf<T>(
  table: Readonly<Record<string, Protocol<T>>>,
  section: Section,
  kind: string,
): Protocol<T> {
  const found = Object.hasOwn(table, section.name) ? table[section.name] : undefined;
  if (found !== undefined) return found;
  throw networkError(
    "ADDRESS_UNSUPPORTED",
    `${section.name} is no ${kind} of this build; it has ${Object.keys(table).join(", ")}`,
  );
}

function malformed(address: string, message: string): NetworkError {
  return networkError("ADDRESS_MALFORMED", message, { address });
}
