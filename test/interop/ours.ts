/** Our side of the interop tests: a listener and a dialer of one kind or several, and bytes through a pipe. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type BytePipe,
  concat,
  deferred,
  Identity,
  MultiServer,
  type MultiServerOptions,
  type MultiStream,
  type NetworkError,
  type Serving,
  type StackParts,
  type Transport,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { type ShsOptions, shs } from "@testudo/transports/shs";
import { unix } from "@testudo/transports/unix";
import { ws } from "@testudo/transports/ws";
import type MultiServerOriginal from "multiserver";
import type { Kind } from "./kinds.ts";
import { within } from "./within.ts";

export interface OurOptions {
  readonly identity: Identity;
  readonly appKey: Uint8Array;
  /** For `shs` alone, in place of the node's identity. */
  readonly keys?: ShsOptions["keys"];
  readonly authenticate?: ShsOptions["authenticate"];
  readonly limits?: MultiServerOptions["limits"];
}

/** A key pair as both sides want it. */
export interface Pair {
  readonly identity: Identity;
  readonly keys: MultiServerOriginal.Keys;
}

export function pairOf(identity: Identity = Identity.generate()): Pair {
  const [publicKey, secretKey] = [identity.publicKey, identity.secret()].map(Buffer.from);
  if (publicKey === undefined || secretKey === undefined) throw new Error("no keys");
  return { identity, keys: { publicKey, secretKey } };
}

/** Listens on loopback, and on a socket file in `folder`; without one it is only for dialling. */
export function ourNode(kinds: readonly Kind[], options: OurOptions, folder?: string): MultiServer {
  const { identity, limits } = options;
  return new MultiServer(
    kinds.map((kind) => stackOf(kind, options, folder)),
    { identity, ...(limits === undefined ? {} : { limits }) },
  );
}

export function dialWithOurs(
  address: string,
  kinds: readonly Kind[],
  options: OurOptions,
): Promise<MultiStream> {
  return within(`dialling ${address}`, ourNode(kinds, options).client(address));
}

export class OurListener {
  readonly node: MultiServer;
  /** What arrived and was refused. */
  readonly errors: NetworkError[];
  readonly #serving: Serving;
  readonly #folder: string;
  readonly #streams: ReadonlySet<MultiStream>;

  private constructor(
    node: MultiServer,
    serving: Serving,
    errors: NetworkError[],
    folder: string,
    streams: ReadonlySet<MultiStream>,
  ) {
    this.node = node;
    this.errors = errors;
    this.#serving = serving;
    this.#folder = folder;
    this.#streams = streams;
  }

  /** All kinds in one node, on loopback. */
  static async open(
    kinds: readonly Kind[],
    options: OurOptions,
    onStream: (stream: MultiStream) => void | Promise<void>,
  ): Promise<OurListener> {
    const folder = await mkdtemp(join(tmpdir(), "testudo-ours-"));
    const node = ourNode(kinds, options, folder);
    const errors: NetworkError[] = [];
    const streams = new Set<MultiStream>();
    const taken = (stream: MultiStream): void | Promise<void> => {
      streams.add(stream);
      return onStream(stream);
    };
    const onError = (error: NetworkError): void => void errors.push(error);
    const serving = await within("listening", node.server(taken, { onError }));
    return new OurListener(node, serving, errors, folder, streams);
  }

  get address(): string {
    return this.#serving.addresses.join(";");
  }

  /** Cuts what is open: an original that was not told to end does not answer a goodbye. */
  async close(): Promise<void> {
    for (const stream of this.#streams) stream.abort(new Error("the test is over"));
    await within("closing", this.#serving.close({ graceMs: 0 }));
    await rm(this.#folder, { recursive: true });
  }
}

function stackOf(
  kind: Kind,
  { appKey, authenticate, keys }: OurOptions,
  folder: string | undefined,
): StackParts {
  const transform =
    kind.transform === "noauth"
      ? noauth()
      : shs({
          appKey,
          ...(authenticate === undefined ? {} : { authenticate }),
          ...(keys === undefined ? {} : { keys }),
        });
  return [transportOf(kind, folder), transform];
}

function transportOf({ transport, transform }: Kind, folder: string | undefined): Transport {
  if (transport === "unix") {
    return unix(folder === undefined ? {} : { path: join(folder, transform) });
  }
  const place = { host: "127.0.0.1", port: 0 };
  return transport === "ws" ? ws(place) : net(place);
}

/** Writes in pieces of `step` bytes, as fast as it is taken. */
export async function send(
  pipe: BytePipe,
  bytes: Uint8Array,
  step: number = bytes.length,
): Promise<void> {
  for (let at = 0; at < bytes.length; at += step) {
    if (!pipe.write(bytes.subarray(at, at + step))) await within("drain", pipe.drain());
  }
}

/** All bytes to the end; rejects with the pipe's error when the end is none. */
export function readAll(pipe: BytePipe): Promise<Uint8Array> {
  const reading = async (): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of pipe) chunks.push(chunk);
    return concat(...chunks);
  };
  return within("the end", reading());
}

/** Exactly so many bytes; more is an error, and so is an end before. */
export function readExactly(pipe: BytePipe, length: number): Promise<Uint8Array> {
  const reading = async (): Promise<Uint8Array> => {
    const chunks: Uint8Array[] = [];
    let got = 0;
    const iterator = pipe[Symbol.asyncIterator]();
    while (got < length) {
      const { done, value } = await iterator.next();
      if (done) throw new Error(`ended after ${got} of ${length} bytes`);
      chunks.push(value);
      got += value.length;
    }
    if (got > length) throw new Error(`${got} bytes came, not ${length}`);
    return concat(...chunks);
  };
  return within(`${length} bytes`, reading());
}

/** Sends back what comes, and ends when the other side has ended. */
export async function echo(pipe: BytePipe): Promise<void> {
  for await (const chunk of pipe) {
    if (!pipe.write(chunk)) await pipe.drain();
  }
  await pipe.end();
}

/** How the pipe ended. */
export function outcome(pipe: BytePipe): Promise<Error | undefined> {
  return within("the pipe's end", pipe.closed);
}

/** A stream that somebody else hands over. */
export function awaited<T>(what: string): {
  readonly take: (value: T) => void;
  readonly value: () => Promise<T>;
} {
  const { promise, resolve } = deferred<T>();
  return { take: resolve, value: () => within(what, promise) };
}
