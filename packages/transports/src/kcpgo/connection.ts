/**
 * Connection over a kcp-go session: a pipe of bytes whose end the other side is not told of.
 *
 * The protocol knows no end and no cut. `end()` and `close()` wait until all that was written has arrived; the other side
 * notices by its idle timeout, or by a transform's goodbye. A reader that does not read closes the receive window.
 */

import { type Connection, type Deferred, deferred, Inbox, type Section } from "@testudo/core";
import type { KcpStatistics } from "../kcp/machine.ts";
import { type Carrier, Session, type SessionParts } from "./session.ts";

export class KcpgoConnection implements Connection {
  readonly remote: Section;
  readonly local: boolean;
  readonly session: Session;
  readonly #inbox: Inbox;
  #ending: Deferred<void> | undefined;
  #drained: Deferred<void> | undefined;
  #over = false;
  readonly #closed: Deferred<Error | undefined> = deferred();

  constructor(remote: Section, local: boolean, parts: SessionParts, carrier: Carrier) {
    this.remote = remote;
    this.local = local;
    this.#inbox = new Inbox({
      pause: () => this.session.pause(),
      resume: () => this.session.resume(),
    });
    this.session = new Session(parts, carrier, {
      data: (chunk) => this.#inbox.push(chunk),
      writable: () => this.#welcome(),
      flushed: () => this.#ending?.resolve(),
      settled: (error) => this.#settle(error),
    });
  }

  /** What the machine below is doing, and how many datagrams were rebuilt. For statistics. */
  get statistics(): KcpStatistics & { readonly recovered: number } {
    return this.session.statistics;
  }

  write(...pieces: readonly Uint8Array[]): boolean {
    return this.session.write(pieces);
  }

  drain(): Promise<void> {
    if (this.#over || !this.session.full) return Promise.resolve();
    this.#drained ??= deferred();
    return this.#drained.promise;
  }

  /** Resolves when all that was written has arrived at the other side's machine, or is lost. Ends both directions soon after. */
  end(): Promise<void> {
    if (this.#ending === undefined) {
      this.#ending = deferred();
      if (this.#over) this.#ending.resolve();
      else this.session.end();
    }
    return this.#ending.promise;
  }

  /** Reads on until the other side has been quiet for a moment; what arrived can still be read. */
  async close(): Promise<void> {
    await this.end();
    await this.#closed.promise;
  }

  abort(reason: Error): void {
    if (this.#over) return;
    this.#inbox.clear();
    this.session.drop(reason);
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }

  #welcome(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.resolve();
  }

  #settle(error: Error | undefined): void {
    this.#over = true;
    this.#inbox.finish(error);
    this.#ending?.resolve();
    this.#welcome();
    this.#closed.resolve(error);
  }
}
