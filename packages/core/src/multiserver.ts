/**
 * MultiServer: several stacks behind one address, over bytes and without a `Network`.
 *
 *     const node = new MultiServer([[net({ port: 3333 }), shs({ keys })], [ws({ port: 4444 }), noise()]]);
 *     const serving = await node.server((stream) => void stream.end());
 *     const stream = await node.client("net:example.org:3333~shs:KEY");
 *
 * A new protocol is served beside the old one and found by its name in the address; nothing is ever
 * negotiated, and nothing is dialled in a weaker form than it is written. `Network` dials and listens here
 * too, and takes links where others take streams.
 */

import { type Address, makeRoute, parseAddress, type Route, type Section } from "./address.ts";
import { Admission } from "./admission.ts";
import {
  type Choice,
  checkChoice,
  Dialer,
  type DialerOptions,
  type Dialled,
  type Way,
} from "./dialer.ts";
import { type Door, Doors, type Taker } from "./doors.ts";
import { asNetworkError, NetworkError, networkError } from "./errors.ts";
import { Identity, networkIdOf } from "./identity.ts";
import { type Limits, withDefaults } from "./limits.ts";
import { MultiStream } from "./multi-stream.ts";
import { Deadline, type Runtime, systemRuntime } from "./runtime.ts";
import { readScopes, type Scope } from "./scope.ts";
import { Stack, type StackOptions, type StackParts, type Wrap } from "./stack.ts";

export interface MultiServerOptions extends Choice {
  /** Whose key is proved, where a transform has none of its own. Default: a fresh one. */
  readonly identity?: Identity;
  /** 32 bytes, or a text of which the SHA-256 is taken. Default: `testudo`. */
  readonly networkId?: Uint8Array | string;
  /** Default: the system's. */
  readonly runtime?: Runtime;
  /** Changes to the defaults in `limits.ts`: those about peers, handshakes and dials hold here. */
  readonly limits?: Partial<Limits>;
  /** Allows `noauth` on a listener that others than this machine can reach. Default: false. */
  readonly allowPublicNoauth?: boolean;
  /** Given every connection before its transforms; see `Connection.meta`. */
  readonly wrap?: Wrap;
}

export interface ServerOptions {
  /** An arrival that came to nothing, or a failing `onStream`; `address` says where it came from. Default: nobody is told. */
  readonly onError?: (error: NetworkError) => void;
}

export interface ClientOptions extends Choice {
  readonly signal?: AbortSignal;
}

export interface Serving extends AsyncDisposable {
  /** What others dial, one address for each listener. */
  readonly addresses: readonly string[];
  /**
   * Stops listening at once, gives the streams that are open `graceMs` (default `limits.closeTimeoutMs`)
   * to end, then ends them, and resolves when none is left. Idempotent.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** One alternative of an address, as this node sees it. */
export interface ParsedRoute {
  readonly address: string;
  readonly sections: readonly Section[];
  /** The name of the stack that speaks it. */
  readonly stack?: string;
  /** Why it cannot be dialled. */
  readonly problem?: NetworkError;
}

export class MultiServer {
  readonly identity: Identity;
  readonly admission: Admission;
  readonly limits: Readonly<Limits>;
  readonly #stacks: readonly Stack[];
  readonly #options: StackOptions;
  readonly #dialer: Dialer;
  readonly #allowPublicNoauth: boolean;
  #serving: Doors | undefined;

  /** Throws `TypeError` or `RangeError` for stacks or options that make no sense. */
  constructor(stacks: readonly StackParts[], options: MultiServerOptions = {}) {
    if (!Array.isArray(stacks)) throw new TypeError("stacks must be a list of stacks");
    this.limits = withDefaults(options.limits);
    const runtime = options.runtime ?? systemRuntime;
    this.identity = options.identity ?? Identity.generate((length) => runtime.randomBytes(length));
    this.#options = {
      identity: this.identity,
      networkId: networkIdOf(options.networkId ?? "testudo"),
      runtime,
      dialTimeoutMs: this.limits.dialTimeoutMs,
      handshakeTimeoutMs: this.limits.handshakeTimeoutMs,
      ...(options.wrap === undefined ? {} : { wrap: options.wrap }),
    };
    this.admission = new Admission(this.limits);
    this.#allowPublicNoauth = options.allowPublicNoauth ?? false;
    this.#stacks = stacks.map((parts: StackParts) => new Stack(parts));
    this.#dialer = new Dialer(this.#stacks, this.#options, options);
  }

  /** The names of the stacks, in the order they were given: `net~shs`, `ws~noise`. */
  get protocols(): readonly string[] {
    return this.#stacks.map(({ name }) => name);
  }

  /** The identities that transforms have of their own. */
  get identities(): readonly Identity[] {
    return this.#stacks.flatMap(({ transforms }) =>
      transforms.flatMap(({ identity }) => (identity === undefined ? [] : [identity])),
    );
  }

  /** Each alternative of an address with the stack that speaks it, or why none does. Throws `AddressError` for text that is no address. */
  parse(address: string): readonly ParsedRoute[] {
    return parseAddress(address).routes.map((route) => {
      const { text, sections } = route;
      let stack: Stack | undefined;
      try {
        stack = this.#dialer.stackFor(route);
        stack.check(route, "dialer");
        return { address: text, sections, stack: stack.name };
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error;
        const speaks = stack === undefined ? {} : { stack: stack.name };
        return { address: text, sections, ...speaks, problem: error };
      }
    });
  }

  /**
   * The address that others within `scope` (default `device`) dial: of what listens, or, before `server`, of
   * what the transports' options name. Empty when nothing serves that scope.
   */
  stringify(scope: Scope = "device"): string {
    const [checked = scope] = readScopes(scope, "scope");
    const doors = this.#serving?.open;
    const bound: { stack: Stack; section: Section }[] =
      doors === undefined
        ? this.#places().filter(({ stack, route }) => dialable(stack, route))
        : doors.map(({ stack, listener }) => ({
            stack,
            section: listener.bound ?? listener.section,
          }));
    return bound
      .flatMap(({ stack, section }) => stack.advertised(section, checked, this.identity))
      .join(";");
  }

  /**
   * Listens on every stack whose transport says where (`net({ port })`), on all or on none. `onStream` gets
   * each stream once its handshakes are done. Rejects `LISTEN_FAILED` with every failure in `attempts`.
   */
  async server(
    onStream: (stream: MultiStream) => void | Promise<void>,
    options: ServerOptions = {},
  ): Promise<Serving> {
    const { onError = () => {} } = options;
    if (typeof onStream !== "function") throw new TypeError("onStream must be a function");
    if (typeof onError !== "function") throw new TypeError("onError must be a function");
    if (this.#serving !== undefined) throw new TypeError("server is running; close it first");
    const places = this.#places();
    if (places.length === 0) {
      throw new TypeError(
        "no stack says where to listen; give one a place, as in net({ port: 0 })",
      );
    }
    const streams = new Set<MultiStream>();
    const doors = this.doors((_connection, error) => onError(error));
    this.#serving = doors;
    let opened: Door[];
    try {
      opened = await doors.listenAll(places, (link, ticket, stack) => {
        const stream = new MultiStream(link, stack);
        ticket.settle();
        streams.add(stream);
        void stream.closed.then(() => {
          streams.delete(stream);
          ticket.leave();
        });
        hand(stream, onStream, onError);
      });
    } catch (error) {
      this.#serving = undefined;
      throw error;
    }
    let closed: Promise<void> | undefined;
    const close = async (graceMs: number): Promise<void> => {
      doors.cut(networkError("NETWORK_CLOSED", "the server is closing"));
      await doors.closeAll();
      if (this.#serving === doors) this.#serving = undefined;
      await this.#end(streams, graceMs);
    };
    const serving: Serving = {
      addresses: opened.map(({ address }) => address),
      close: ({ graceMs = this.limits.closeTimeoutMs } = {}) => {
        if (!(graceMs >= 0)) throw new RangeError("graceMs must be 0 or more");
        closed ??= close(graceMs);
        return closed;
      },
      [Symbol.asyncDispose]: () => serving.close(),
    };
    return serving;
  }

  /**
   * A stream to whoever is at the address. Its alternatives are raced, see `dialer.ts`; `attempts` of the
   * error says what became of each. Rejects `AddressError`, `DialError`, `HandshakeError`, or the signal's reason.
   */
  async client(address: string, options: ClientOptions = {}): Promise<MultiStream> {
    const parsed = parseAddress(address);
    checkChoice(options);
    const { signal = new AbortController().signal, ...choice } = options;
    signal.throwIfAborted();
    const ticket = this.admission.dial();
    try {
      const { link, stack } = await this.dial(parsed, { ...choice, signal, begin: () => ({}) });
      const stream = new MultiStream(link, stack);
      void stream.closed.then(() => ticket.leave());
      return stream;
    } catch (error) {
      ticket.leave();
      throw error;
    }
  }

  /** For who wants links: the way to a node that was first to shake hands. Takes no place in `admission`. */
  dial<W extends Way>(address: Address, options: DialerOptions<W>): Promise<Dialled<W>> {
    return this.#dialer.dial(address, options);
  }

  /** The key a route promises, if a stack speaks it and it names one. Throws `AddressError` for a key that cannot be read. */
  expectedKey(route: Route): Uint8Array | undefined {
    return this.#stacks.find((stack) => stack.speaks(route))?.expectedKey(route);
  }

  /** For who wants links: listeners of their own over these stacks. */
  doors(refused: ConstructorParameters<typeof Doors>[0]["refused"]): Doors {
    return new Doors({
      stackOptions: this.#options,
      admission: this.admission,
      allowPublicNoauth: this.#allowPublicNoauth,
      refused,
    });
  }

  /** Listens on every route of an address, on all or on none. */
  listen(doors: Doors, { routes }: Address, taker: Taker): Promise<Door[]> {
    const places = routes.map((route) => ({ route, stack: this.#dialer.stackFor(route) }));
    return doors.listenAll(places, taker);
  }

  #places(): { stack: Stack; section: Section; route: Route }[] {
    return this.#stacks.flatMap((stack) => {
      const { place: section, listen } = stack.transport;
      if (section === undefined || listen === undefined) return [];
      const own = stack.transforms.map((transform) =>
        transform.section(transform.identity ?? this.identity),
      );
      return [{ stack, section, route: makeRoute([section, ...own]) }];
    });
  }

  /** Waits for the streams to end, then ends them, then cuts them. */
  async #end(streams: ReadonlySet<MultiStream>, graceMs: number): Promise<void> {
    const { runtime } = this.#options;
    const late = (): Error => networkError("NETWORK_CLOSED", "the server is closing");
    const within = async (ms: number): Promise<void> => {
      const all = Promise.all([...streams].map((stream) => stream.closed));
      await new Promise<void>((resolve) => {
        const limit = new Deadline(runtime, ms, late, undefined, () => resolve());
        void all.then(() => {
          limit.clear();
          resolve();
        });
      });
    };
    if (streams.size > 0 && graceMs > 0) await within(graceMs);
    for (const stream of streams) void stream.close().catch(() => {});
    if (streams.size > 0) await within(this.limits.closeTimeoutMs);
    for (const stream of streams) stream.abort(late());
    await Promise.all([...streams].map((stream) => stream.closed));
  }
}

function dialable(stack: Stack, route: Route): boolean {
  try {
    stack.check(route, "dialer");
    return true;
  } catch {
    return false;
  }
}

/** A taker that fails costs its own stream and nothing else. */
function hand(
  stream: MultiStream,
  onStream: (stream: MultiStream) => void | Promise<void>,
  onError: (error: NetworkError) => void,
): void {
  const failed = (thrown: unknown): void => {
    const error = asNetworkError(thrown, "STREAM_CLOSED", "onStream failed", {
      address: stream.address,
    });
    stream.abort(error);
    onError(error);
  };
  try {
    void Promise.resolve(onStream(stream)).catch(failed);
  } catch (error) {
    failed(error);
  }
}
