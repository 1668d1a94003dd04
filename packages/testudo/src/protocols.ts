/**
 * Protocols: which names of sections this build speaks, and how to load each.
 *
 * The table is all there is: a new transport or transform is one entry. Nothing is loaded before an
 * address names it, what is wrong with a section is known to its protocol alone, and an address is never
 * read as a weaker one.
 */

import {
  type Attempt,
  NetworkError,
  networkError,
  parseAddress,
  type Route,
  type Scope,
  type Section,
  type Side,
  Stack,
  type StackParts,
  shownRoute,
  type Transform,
  type Transport,
} from "@testudo/core";
import type { KcpTransportOptions } from "@testudo/transports/kcp";
import type { KcpgoOptions } from "@testudo/transports/kcpgo";

/** What the options of a command say to the protocols that its addresses name. */
export interface ProtocolOptions {
  /** Of `shs`. Default: the network id. */
  readonly appKey?: Uint8Array;
  /** Of listeners with a host and a port: to whom they advertise themselves, and under which hosts. */
  readonly scope?: readonly Scope[];
  readonly external?: readonly string[];
  /** Of `onion`. */
  readonly proxy?: readonly string[];
  /** Of `wss`: what a listener proves to be, and whom a dialer trusts. In PEM. */
  readonly certificate?: { readonly cert: string; readonly key: string };
  readonly ca?: string;
  readonly kcp?: Pick<KcpTransportOptions, "fec">;
  /** What both ends agreed on beforehand; without it no address of `kcpgo` can be used. */
  readonly kcpgo?: KcpgoOptions;
}

type Load<T> = (options: ProtocolOptions) => Promise<T>;

const TRANSPORTS: Readonly<Record<string, Load<Transport>>> = {
  net: async (options) =>
    (await import("@testudo/transports/net")).net({
      ...pick(options, "scope"),
      ...hostsOf(options),
    }),
  ws: webSocket,
  wss: webSocket,
  unix: async () => (await import("@testudo/transports/unix")).unix(),
  onion: async (options) =>
    (await import("@testudo/transports/onion")).onion(pick(options, "proxy")),
  kcp: async (options) =>
    (await import("@testudo/transports/kcp")).kcp({
      ...options.kcp,
      ...pick(options, "scope"),
      ...hostsOf(options),
    }),
  kcpgo: async (options) =>
    (await import("@testudo/transports/kcpgo")).kcpgo({
      ...options.kcpgo,
      ...pick(options, "scope"),
      ...hostsOf(options),
    }),
};

const TRANSFORMS: Readonly<Record<string, Load<Transform>>> = {
  noise: async () => (await import("@testudo/transports/noise")).noise(),
  "noise-chacha": async () => (await import("@testudo/transports/noise")).noiseChacha(),
  shs: async (options) => (await import("@testudo/transports/shs")).shs(pick(options, "appKey")),
  noauth: async () => (await import("@testudo/transports/noauth")).noauth(),
  gzip: async () => (await import("@testudo/transports/gzip")).gzip(),
};

/** One transport for `ws` and `wss`: with a certificate it listens on either, as the address says. */
async function webSocket(options: ProtocolOptions): Promise<Transport> {
  const { ws } = await import("@testudo/transports/ws");
  const { certificate, ca } = options;
  const common = {
    ...pick(options, "scope", "external"),
    ...(ca === undefined ? {} : { dialTls: { ca } }),
  };
  const plain = ws(common);
  if (certificate === undefined) return plain;
  const secure = ws({ ...common, tls: certificate });
  const meant = ({ name }: Section): Transport => (name === "wss" ? secure : plain);
  return {
    ...plain,
    check: (section, side) => meant(section).check?.(section, side),
    listen: (section, accept, listening) => {
      const { listen } = meant(section);
      if (listen === undefined) throw new TypeError("ws cannot listen here");
      return listen(section, accept, listening);
    },
    advertised: (bound, scope) => meant(bound).advertised?.(bound, scope) ?? [bound],
  };
}

/** The external hosts that are no whole URLs: those mean something to `ws` only. */
function hostsOf({ external = [] }: ProtocolOptions): { readonly external?: readonly string[] } {
  const hosts = external.filter((host) => !host.includes("://"));
  return hosts.length === 0 ? {} : { external: hosts };
}

/** Which side of a route is meant, and whether the route may do without a transform. */
export interface Use {
  readonly side: Side;
  readonly bare?: boolean;
}

/** A route, the stack that speaks it, and why it cannot be used; the first when there is one, the last when it cannot. */
export interface Spoken {
  readonly route: Route;
  readonly stack?: Stack;
  readonly problem?: NetworkError;
}

/** The alternatives of an address that can be used. */
export interface Usable {
  readonly routes: readonly Route[];
  /** Those, as one address. */
  readonly text: string;
  /** What is wrong with the others. */
  readonly problems: readonly Attempt[];
}

/** Whether this is the name of a protocol, or of a stack (`net~noise`) of such. */
export function isProtocol(name: string): boolean {
  const [first = "", ...transforms] = name.split("~");
  if (transforms.length === 0 && Object.hasOwn(TRANSFORMS, first)) return true;
  return (
    Object.hasOwn(TRANSPORTS, first) && transforms.every((each) => Object.hasOwn(TRANSFORMS, each))
  );
}

export class Protocols {
  readonly #options: ProtocolOptions;
  /** One transport for all names that are loaded alike. */
  readonly #transports = new Map<Load<Transport>, Promise<Transport>>();
  /** By the names of their sections, in the order they came up. */
  readonly #stacks = new Map<string, Promise<Stack>>();

  constructor(options: ProtocolOptions = {}) {
    this.#options = options;
  }

  /** The stacks that were asked for so far, each once. */
  async stacks(): Promise<StackParts[]> {
    const named = new Map<string, Stack>();
    for (const stack of await Promise.all(this.#stacks.values())) named.set(stack.name, stack);
    return [...named.values()].map(({ transport, transforms }) => [transport, ...transforms]);
  }

  /** The stack that speaks a route, loaded if need be, and what is wrong with the route before anything is dialled. */
  async speak(route: Route, { side, bare = false }: Use): Promise<Spoken> {
    let stack: Stack | undefined;
    try {
      stack = await this.#stackFor(route, bare);
      stack.check(route, side);
      return { route, stack };
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      return { route, problem: error, ...(stack === undefined ? {} : { stack }) };
    }
  }

  /** The alternatives that this build can use. Throws `AddressError` when there is none; a listener needs them all. */
  async usable(address: string, use: Use): Promise<Usable> {
    const all = parseAddress(address).routes;
    const spoken = await Promise.all(all.map((route) => this.speak(route, use)));
    const routes = spoken.flatMap(({ route, problem }) => (problem === undefined ? [route] : []));
    const problems = spoken.flatMap(({ route, problem }): Attempt[] =>
      problem === undefined
        ? []
        : [{ address: shownRoute(route), stage: "parse", afterMs: 0, tookMs: 0, cause: problem }],
    );
    const [first] = problems;
    if (first !== undefined && (routes.length === 0 || use.side === "listener")) {
      throw problems.length === 1 || use.side === "listener" ? first.cause : noneOf(problems);
    }
    return { routes, text: routes.map(({ text }) => text).join(";"), problems };
  }

  #stackFor(route: Route, bare: boolean): Promise<Stack> {
    const address = shownRoute(route);
    const [transport, ...transforms] = route.sections;
    if (transport === undefined) throw new TypeError("route has no sections");
    const load = loadOf(TRANSPORTS, transport, "transport", address);
    const loads = transforms.map((each) => loadOf(TRANSFORMS, each, "transform", address));
    if (transport.name === "kcpgo" && this.#options.kcpgo === undefined) {
      throw networkError(
        "ADDRESS_UNSUPPORTED",
        "kcpgo needs the password of its listener: --kcpgo-password-file F",
        { address },
      );
    }
    if (transforms.length === 0 && !bare) {
      throw networkError(
        "ADDRESS_UNSUPPORTED",
        `${transport.text} names no transform; add one, such as ${transport.text}~noise`,
        { address },
      );
    }
    const names = route.sections.map(({ name }) => name).join("~");
    const stack = this.#stacks.get(names) ?? this.#stack(load, loads);
    this.#stacks.set(names, stack);
    return stack;
  }

  async #stack(load: Load<Transport>, loads: readonly Load<Transform>[]): Promise<Stack> {
    const transport = this.#transports.get(load) ?? load(this.#options);
    this.#transports.set(load, transport);
    const transforms = loads.map((each) => each(this.#options));
    return new Stack([await transport, ...(await Promise.all(transforms))]);
  }
}

/**
 * One error for alternatives of which none worked: those that were not even tried stand before what a
 * dial says of the others.
 */
export function noneOf(problems: readonly Attempt[], dialled?: NetworkError): NetworkError {
  const attempts = [...problems, ...(dialled?.attempts ?? [])];
  const each = attempts.map(({ address, cause }) => `${address}: ${cause.message}`).join(". ");
  return networkError(
    dialled?.code ?? problems[0]?.cause.code ?? "ADDRESS_UNSUPPORTED",
    `none of ${attempts.length} alternatives worked. ${each}`,
    {
      address: attempts.map(({ address }) => address).join(";"),
      attempts,
      ...(dialled?.peer === undefined ? {} : { peer: dialled.peer }),
      cause: dialled,
    },
  );
}

function loadOf<T>(
  table: Readonly<Record<string, Load<T>>>,
  { name }: Section,
  kind: string,
  address: string,
): Load<T> {
  const load = Object.hasOwn(table, name) ? table[name] : undefined;
  if (load !== undefined) return load;
  const known = Object.keys(table).join(", ");
  throw networkError(
    "ADDRESS_UNSUPPORTED",
    `${name} is no ${kind} of this build; it has ${known}`,
    { address },
  );
}

/** Some of the options: those that were given. */
function pick<K extends keyof ProtocolOptions>(
  options: ProtocolOptions,
  ...names: readonly K[]
): Pick<ProtocolOptions, K> {
  const given = names.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]])) as Pick<ProtocolOptions, K>;
}
