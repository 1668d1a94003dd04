/**
 * Multi world: nodes that serve and dial streams of bytes on one line of virtual time, and what came of it.
 */

import { settled, VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { vouch } from "../../../../test/support/vouch.ts";
import { MemoryHub, type MemoryOptions, memory } from "../../../transports/src/memory/index.ts";
import { section } from "../../src/address.ts";
import { concat } from "../../src/bytes.ts";
import type { Connection } from "../../src/connection.ts";
import type { NetworkError } from "../../src/errors.ts";
import { Identity } from "../../src/identity.ts";
import type { MultiStream } from "../../src/multi-stream.ts";
import {
  MultiServer,
  type MultiServerOptions,
  type ServerOptions,
  type Serving,
} from "../../src/multiserver.ts";
import type { StackParts } from "../../src/stack.ts";
import type { Transport } from "../../src/transport.ts";

export const IDENTITY: Identity = Identity.fromSecret(new Uint8Array(32).fill(1));
export const KEY: string = IDENTITY.id.text;
export const TEXT: Uint8Array = Uint8Array.of(1, 2, 3);

export class MultiWorld {
  readonly runtime = new VirtualRuntime();
  readonly hub = new MemoryHub();
  /** What a server's `onError` was told. */
  readonly errors: NetworkError[] = [];
  /** What a server's `onStream` was given, and what was dialled. */
  readonly streams: MultiStream[] = [];
  readonly servings: Serving[] = [];

  /** Closes everything; throws when a listener or a timer is left. */
  async end(): Promise<void> {
    for (const serving of this.servings) await this.runtime.during(serving.close({ graceMs: 0 }));
    for (const stream of this.streams) stream.abort(new Error("the test is over"));
    await settled();
    const left = [...this.hub.names, ...(this.runtime.pending > 0 ? ["a timer"] : [])];
    if (left.length > 0) throw new Error(`left open: ${left.join(", ")}`);
  }

  /** `memory`, whose options say to listen under that name. */
  line(name?: string, options: MemoryOptions = {}): Transport {
    const transport = memory({ ...options, hub: this.hub, runtime: this.runtime });
    return name === undefined ? transport : { ...transport, place: section("memory", name) };
  }

  node(stacks: readonly StackParts[], options: MultiServerOptions = {}): MultiServer {
    return new MultiServer(stacks, { identity: IDENTITY, runtime: this.runtime, ...options });
  }

  async serve(
    server: MultiServer,
    onStream: (stream: MultiStream) => void | Promise<void> = () => {},
    options: ServerOptions = { onError: (error) => void this.errors.push(error) },
  ): Promise<Serving> {
    const serving = await server.server((stream) => {
      this.streams.push(stream);
      return onStream(stream);
    }, options);
    this.servings.push(serving);
    return serving;
  }

  async dial(
    address: string,
    by: MultiServer = this.node([[this.line(), vouch()]]),
  ): Promise<MultiStream> {
    const stream = await this.runtime.during(by.client(address));
    this.streams.push(stream);
    await settled();
    return stream;
  }

  /** Somebody who connects to `memory:NAME` and then says what he is told to. */
  shaker(name: string = "a"): Shaker {
    return new Shaker(this.line(), name);
  }
}

export class Shaker {
  readonly closed: Promise<Error | undefined>;
  #connection: Connection | undefined;

  constructor(transport: Transport, name: string) {
    const signal = new AbortController().signal;
    this.closed = transport.dial(section("memory", name), { signal }).then((connection) => {
      this.#connection = connection;
      return connection.closed;
    });
  }

  say(bytes: Uint8Array): void {
    this.#connection?.write(bytes);
  }

  leave(): void {
    this.#connection?.abort(new Error("gone"));
  }
}

export async function echo(stream: MultiStream): Promise<void> {
  for await (const chunk of stream) {
    if (!stream.write(chunk)) await stream.drain();
  }
  await stream.end();
}

export async function readAll(from: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of from) chunks.push(chunk);
  return concat(...chunks);
}
