/**
 * MultiServer: several stacks behind one address, over bytes and without a `Network`.
 *
 *     const server = new MultiServer([[net({ port: 3333 }), shs({ keys })], [ws({ port: 4444 }), noise()]]);
 *     const serving = await server.server(async (stream) => {
 *       for await (const chunk of stream) if (!stream.write(chunk)) await stream.drain();
 *       await stream.end();
 *     });
 *     const address = server.stringify(); // net:localhost:3333~shs:KEY;ws://localhost:4444~noise:KEY
 *
 *     const client = new MultiServer([[net(), shs()], [ws(), noise()]]);
 *     const stream = await client.client(address); // by the alternative that shakes hands first
 *     console.log(stream.stack, stream.remote?.text);
 *     await serving.close();
 *
 * Whom a listener serves is its transport's business: with `net({ port, scope: "public" })` others than this
 * machine reach it, and `stringify("public")` says where.
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
import { type Door, Doors, type Place, type Taker } from "./doors.ts";
import { aboutAddress, asError, asNetworkError, NetworkError, networkError } from "./errors.ts";
import { Identity, networkIdOf } from "./identity.ts";
import { type Limits, withDefaults } from "./limits.ts";
import { MultiStream } from "./multi-stream.ts";
import { type Runtime, systemRuntime } from "./runtime.ts";
import { readScopes, type Scope } from "./scope.ts";
import { type Link, Stack, type StackOptions, type StackParts, type Wrap } from "./stack.ts";

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
  /**
   * Told of an arrival that came to nothing, and of what `onStream` threw or rejected with; `address` says where
   * it came from. What it throws itself goes nowhere. Default: nobody is told.
   */
  readonly onError?: (error: NetworkError) => void;
}

export interface ClientOptions extends Choice {
  readonly signal?: AbortSignal;
}

export interface Serving extends AsyncDisposable {
  /** What others dial, in the order of the stacks, one address for each listener; `;` is in one of several hosts. */
  readonly addresses: readonly string[];
  /**
   * Stops listening and cuts the handshakes under way at once; gives the streams that arrived `graceMs` (default
   * `limits.closeTimeoutMs`) to end; then ends those that are left, and cuts them `limits.closeTimeoutMs` later.
   * Resolves when none is left. Idempotent: a further call changes nothing. Throws `RangeError`.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** One alternative of an address, as this node sees it. */
export interface ParsedRoute {
  /** As it was given, with whatever secrets are in it. */
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
  /** `server` was called and its `close` has not closed the listeners yet. */
  #running = false;
  /** What is listened on, once all of it is. */
  #serving: Doors | undefined;

  /** Throws `TypeError` or `RangeError` for stacks or options that make no sense. */
  constructor(stacks: readonly StackParts[], options: MultiServerOptions = {}) {
    if (!Array.isArray(stacks)) throw new TypeError("stacks must be a list of stacks");
    if (options.wrap !== undefined && typeof options.wrap !== "function") {
      throw new TypeError("wrap must be a function");
    }
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
      const stack = this.#dialer.find(route);
      const parsed = {
        address: text,
        sections,
        ...(stack === undefined ? {} : { stack: stack.name }),
      };
      try {
        this.#dialer.check(route);
        return parsed;
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error;
        return { ...parsed, problem: error };
      }
    });
  }

  /**
   * The address that others within `scope` (default `device`) dial: of what listens or, while nothing does, of
   * what the transports' options name. Empty when nothing serves that scope. Throws `TypeError` for no scope.
   */
  stringify(scope: Scope = "device"): string {
    const [checked] = readScopes(scope, "scope");
    if (checked !== scope) throw new TypeError("scope must be one scope");
    const serving = this.#serving?.open.map(({ stack, listener }) => ({
      stack,
      section: listener.bound ?? listener.section,
    }));
    return (serving ?? this.#places().filter(isDialable))
      .flatMap(({ stack, section }) => stack.advertised(section, scope, this.identity))
      .join(";");
  }

  /**
   * Listens on every stack whose transport says where (`net({ port })`), on all or on none, and lets nobody in
   * before all are open. `onStream` gets each stream once its handshakes are done; it ends the stream, or keeps
   * it, and when it throws or rejects the stream is aborted. Rejects with every failure in `attempts` and the code
   * of the first, `LISTEN_FAILED` for a port in use; `TypeError` when no stack says where, or one server is running.
   */
  async server(
    onStream: (stream: MultiStream) => void | Promise<void>,
    options: ServerOptions = {},
  ): Promise<Serving> {
    if (typeof onStream !== "function") throw new TypeError("onStream must be a function");
    const tell = harmless(options.onError);
    const places = this.#places();
    if (places.length === 0) {
      throw new TypeError(
        "no stack says where to listen; give one a place, as in net({ port: 0 })",
      );
    }
    if (this.#running) throw new TypeError("server is running; close it first");
    this.#running = true;
    const streams = new Set<MultiStream>();
    const doors = this.doors((_connection, error) => tell(error));
    try {
      const opened = await doors.listenAll(places, (link, ticket, stack) => {
        const stream = this.#streamOf(link, stack);
        ticket.settle();
        streams.add(stream);
        void stream.closed.then(() => {
          streams.delete(stream);
          ticket.leave();
        });
        hand(stream, onStream, tell);
      });
      this.#serving = doors;
      return this.#handle(opened, doors, streams);
    } catch (error) {
      this.#running = false;
      throw error;
    }
  }

  /**
   * A stream to whoever is at the address. Its alternatives are raced, see `dialer.ts`; `attempts` of the
   * error says what became of each, in order of preference. The signal cancels the dial, not the stream. Rejects
   * `AddressError`, `DialError`, `HandshakeError` (also for `limits.maxPeers`), or the signal's reason.
   */
  async client(address: string, options: ClientOptions = {}): Promise<MultiStream> {
    const parsed = parseAddress(address);
    const choice = checkChoice(options);
    const { signal = new AbortController().signal } = options;
    signal.throwIfAborted();
    const ticket = this.admission.dial();
    try {
      const { link, stack } = await this.dial(parsed, { ...choice, signal, begin: () => ({}) });
      const stream = this.#streamOf(link, stack);
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
    return this.#dialer.find(route)?.expectedKey(route);
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

  /** Where the transports' options say to listen. */
  #places(): (Place & { readonly section: Section })[] {
    return this.#stacks.flatMap((stack) => {
      const { place: section, listen } = stack.transport;
      if (section === undefined || listen === undefined) return [];
      const own = stack.transforms.map((transform) =>
        transform.section(transform.identity ?? this.identity),
      );
      return [{ stack, section, route: makeRoute([section, ...own]) }];
    });
  }

  #streamOf(link: Link, stack: Stack): MultiStream {
    try {
      const { runtime } = this.#options;
      return new MultiStream(link, stack, { runtime, closeTimeoutMs: this.limits.closeTimeoutMs });
    } catch (error) {
      // A session that breaks its contract, say with a key that is none.
      link.connection.abort(asError(error));
      throw error;
    }
  }

  #handle(opened: readonly Door[], doors: Doors, streams: ReadonlySet<MultiStream>): Serving {
    let closed: Promise<void> | undefined;
    const close = async (graceMs: number): Promise<void> => {
      doors.cut(networkError("NETWORK_CLOSED", "the server is closing"));
      await doors.closeAll();
      this.#serving = undefined;
      this.#running = false;
      await this.#end(streams, graceMs);
    };
    const serving: Serving = {
      addresses: opened.map(({ address }) => address),
      close: async ({ graceMs = this.limits.closeTimeoutMs } = {}) => {
        if (typeof graceMs !== "number" || !(graceMs >= 0)) {
          throw new RangeError("graceMs must be 0 or more");
        }
        closed ??= close(graceMs);
        await closed;
      },
      [Symbol.asyncDispose]: () => serving.close(),
    };
    return serving;
  }

  /** Waits for the streams to end, then ends them, then cuts them. */
  async #end(streams: ReadonlySet<MultiStream>, graceMs: number): Promise<void> {
    const ended = Promise.all([...streams].map(({ closed }) => closed));
    const within = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = this.#options.runtime.setTimer(resolve, ms);
        void ended.then(() => {
          timer.cancel();
          resolve();
        });
      });
    if (streams.size > 0 && graceMs > 0) await within(graceMs);
    for (const stream of streams) void stream.close();
    if (streams.size > 0) await within(this.limits.closeTimeoutMs);
    for (const stream of streams) {
      stream.abort(networkError("NETWORK_CLOSED", "the server closed before this stream ended"));
    }
    await ended;
  }
}

/** Something that others could dial as it is: not port 0. */
function isDialable({ stack, route }: Place): boolean {
  try {
    stack.check(route, "dialer");
    return true;
  } catch {
    return false;
  }
}

/** The same, whose failures stay its own. Throws `TypeError` for what is no function. */
function harmless(onError: ServerOptions["onError"] = () => {}): (error: NetworkError) => void {
  if (typeof onError !== "function") throw new TypeError("onError must be a function");
  const nobody = (): void => {
    // It was the one to tell.
  };
  return (error) => {
    try {
      void Promise.resolve(onError(error)).catch(nobody);
    } catch {
      nobody();
    }
  };
}

/** A taker that fails costs its own stream and nothing else. */
function hand(
  stream: MultiStream,
  onStream: (stream: MultiStream) => void | Promise<void>,
  tell: (error: NetworkError) => void,
): void {
  const failed = (thrown: unknown): void => {
    const { address } = stream;
    const error = asNetworkError(thrown, "STREAM_CLOSED", "onStream failed", { address });
    stream.abort(error);
    tell(error.address === undefined ? aboutAddress(error, address) : error);
  };
  try {
    void Promise.resolve(onStream(stream)).catch(failed);
  } catch (error) {
    failed(error);
  }
}
