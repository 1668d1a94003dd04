/**
 * Bastion: a `MultiServer` that echoes over every way, with a shs door on each. Whatever is done to it,
 * `mustServe` says whether it still does its work, and `close` whether anything of it is left.
 */

import {
  type Address,
  concat,
  Identity,
  type Limits,
  MultiServer,
  type MultiStream,
  type NetworkError,
  parseAddress,
  type Section,
  type Serving,
  type StackParts,
  toUtf8,
} from "@testudo/core";
import { type ShsOptions, shs } from "@testudo/transports/shs";
import { expect } from "vitest";
import { folder, type Stranger, transportOf, WAYS, type Way } from "./ways.ts";

export const APP_KEY: Uint8Array = new Uint8Array(32).fill(7);

/** Those that hang in these tests are not waited for longer. */
export const LIMITS: Partial<Limits> = { handshakeTimeoutMs: 1_000, closeTimeoutMs: 300 };

export interface BastionOptions {
  readonly ways?: readonly Way[];
  readonly limits?: Partial<Limits>;
  readonly authenticate?: ShsOptions["authenticate"];
  readonly onStream?: (stream: MultiStream) => void | Promise<void>;
}

export class Bastion implements AsyncDisposable {
  readonly identity: Identity;
  readonly node: MultiServer;
  /** What it was told of those who came to nothing. */
  readonly errors: NetworkError[] = [];
  readonly streams: MultiStream[] = [];
  readonly #ways: readonly Way[];
  readonly #serving: Serving;
  readonly #folder: AsyncDisposable;

  private constructor(made: {
    identity: Identity;
    node: MultiServer;
    ways: readonly Way[];
    serving: Serving;
    folder: AsyncDisposable;
  }) {
    this.identity = made.identity;
    this.node = made.node;
    this.#ways = made.ways;
    this.#serving = made.serving;
    this.#folder = made.folder;
  }

  static async start(options: BastionOptions = {}): Promise<Bastion> {
    const { ways = WAYS, limits = {}, authenticate, onStream = echo } = options;
    const identity = Identity.generate();
    const place = await folder();
    const sealed = (): ReturnType<typeof shs> =>
      shs({ appKey: APP_KEY, ...(authenticate === undefined ? {} : { authenticate }) });
    const stacks: StackParts[] = ways.map((way) => [way.listening(place.path), sealed()]);
    const node = new MultiServer(stacks, { identity, limits: { ...LIMITS, ...limits } });
    let bastion: Bastion | undefined;
    const serving = await node.server(
      (stream) => {
        bastion?.streams.push(stream);
        return onStream(stream);
      },
      { onError: (error) => void bastion?.errors.push(error) },
    );
    bastion = new Bastion({ identity, node, ways, serving, folder: place });
    return bastion;
  }

  /** Where it listens by this way, as others dial it. */
  address(way: Way): string {
    const at = this.#ways.indexOf(way);
    return this.#serving.addresses[at] ?? "";
  }

  parsed(way: Way): Address {
    return parseAddress(this.address(way));
  }

  section(way: Way): Section {
    return transportOf(this.parsed(way).routes[0]);
  }

  stranger(way: Way): Promise<Stranger> {
    return way.stranger(this.section(way));
  }

  /** A node that dials by all ways, and serves nothing. */
  visitor(limits: Partial<Limits> = {}): MultiServer {
    const stacks: StackParts[] = WAYS.map((way) => [way.dialling(), shs({ appKey: APP_KEY })]);
    return new MultiServer(stacks, { limits });
  }

  /** The codes of what it was told, each once. */
  get codes(): string[] {
    return [...new Set(this.errors.map(({ code }) => code))];
  }

  /** By every way an honest newcomer is answered. */
  async mustServe(): Promise<void> {
    for (const way of this.#ways) {
      const stream = await this.visitor().client(this.address(way));
      const line = toUtf8(`honest, by ${way.name}`);
      stream.write(line);
      await stream.end();
      const chunks: Uint8Array[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      expect(concat(...chunks), `the echo by ${way.name}`).toEqual(line);
      expect(stream.remote?.text).toBe(this.identity.id.text);
    }
  }

  /** Everybody has gone, and every place came back. */
  async mustBeEmpty(): Promise<void> {
    const { admission } = this.node;
    await expect
      .poll(() => [admission.places, admission.halfOpen], { timeout: 5_000 })
      .toEqual([0, 0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#serving.close({ graceMs: 0 });
    await this.#folder[Symbol.asyncDispose]();
    expect([this.node.admission.places, this.node.admission.halfOpen]).toEqual([0, 0]);
  }
}

export async function echo(stream: MultiStream): Promise<void> {
  for await (const chunk of stream) {
    if (!stream.write(chunk)) await stream.drain();
  }
  await stream.end();
}
