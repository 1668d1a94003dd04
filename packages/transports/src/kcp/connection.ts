/**
 * Connection over KCP: the pipe of bytes that a session carries, with its datagrams.
 *
 * A reader that does not read closes the receive window, so the other side's writer waits. Holds no timer.
 */

import { type Connection, type Deferred, deferred, Inbox, type Section } from "@testudo/core";
import { KcpDatagrams } from "./datagrams.ts";
import { type Carrier, Session, type SessionParts, type SessionStatistics } from "./session.ts";

export class KcpConnection implements Connection {
  readonly remote: Section;
  readonly local: boolean;
  /** Unreliable messages beside the stream. */
  readonly datagrams: KcpDatagrams;
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
      ended: () => this.#inbox.finish(),
      writable: () => this.#welcome(),
      flushed: () => this.#ending?.resolve(),
      settled: (error) => this.#settle(error),
      datagram: (body) => this.datagrams.receive(body),
    });
    this.datagrams = new KcpDatagrams(
      {
        room: () => this.session.datagramRoom,
        transmit: (body) => this.session.sendDatagram(body),
      },
      parts.side,
    );
  }

  /** What the machine below is doing: round trip, windows, resends, size of datagrams. For statistics. */
  get statistics(): SessionStatistics {
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

  /** Resolves when all that was written has arrived at the other side's machine, or is lost. */
  end(): Promise<void> {
    if (this.#ending === undefined) {
      this.#ending = deferred();
      if (this.#over) this.#ending.resolve();
      else this.session.end();
    }
    return this.#ending.promise;
  }

  /** Waits for the other side's end as long as nobody calls `abort`; what arrives can still be read. */
  async close(): Promise<void> {
    await this.end();
    await this.#closed.promise;
  }

  abort(reason: Error): void {
    if (this.#over) return;
    this.#inbox.clear();
    this.session.abort(reason);
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
    this.datagrams.finish();
    this.#ending?.resolve();
    this.#welcome();
    this.#closed.resolve(error);
  }
}
