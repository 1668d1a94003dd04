/**
 * Faulty: a transport whose connections can be cut, or fall silent as when a machine loses its power.
 */

import { type Connection, deferred, type Section, type Transport } from "@testudo/core";

export class Faulty implements Transport {
  readonly name: string;
  readonly halfClose: boolean;
  /** Dialled and accepted by this node, in that order of time. */
  readonly connections: FaultyConnection[] = [];
  /** Told of each connection as it is made. */
  onConnection: (connection: FaultyConnection) => void = () => {};
  readonly #below: Transport;
  #lost = false;

  constructor(below: Transport) {
    this.#below = below;
    this.name = below.name;
    this.halfClose = below.halfClose;
  }

  async dial(section: Section, options: { signal: AbortSignal }): Promise<Connection> {
    return this.#wrap(await this.#below.dial(section, options));
  }

  listen: NonNullable<Transport["listen"]> = (section, accept) => {
    if (this.#below.listen === undefined) throw new TypeError("cannot listen");
    return this.#below.listen(section, (connection) => accept(this.#wrap(connection)));
  };

  /** Every connection falls silent, now and ever after: nothing comes or goes, and neither end is told. */
  loseAll(): void {
    this.#lost = true;
    for (const connection of this.connections) connection.lost = true;
  }

  #wrap(below: Connection): FaultyConnection {
    const connection = new FaultyConnection(below);
    connection.lost = this.#lost;
    this.connections.push(connection);
    this.onConnection(connection);
    return connection;
  }
}

export class FaultyConnection implements Connection {
  lost = false;
  readonly #below: Connection;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #aborted = deferred<Error>();
  readonly closed: Promise<Error | undefined>;

  constructor(below: Connection) {
    this.#below = below;
    this.closed = Promise.race([below.closed, this.#aborted.promise]);
    this.#chunks = below[Symbol.asyncIterator]();
  }

  get remote(): Section {
    return this.#below.remote;
  }

  get local(): boolean {
    return this.#below.local;
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    return this.lost || this.#below.write(...pieces);
  }

  drain(): Promise<void> {
    return this.#below.drain();
  }

  end(): Promise<void> {
    return this.lost ? Promise.resolve() : this.#below.end();
  }

  close(): Promise<void> {
    return this.lost ? Promise.resolve() : this.#below.close();
  }

  abort(reason: Error): void {
    if (this.lost) this.#aborted.resolve(reason);
    else this.#below.abort(reason);
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    const result = await Promise.race([this.#chunks.next(), this.#aborted.promise]);
    if (result instanceof Error) throw result;
    if (!this.lost) return result;
    throw await this.#aborted.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }
}
