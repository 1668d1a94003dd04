/**
 * Connection over a session: the pipe of bytes that a machine above UDP packets carries.
 *
 * A reader that does not read closes the receive window, so the other side's writer waits. Holds no timer.
 */

import { type Connection, type Deferred, deferred, Inbox, type Section } from "@testudo/core";

/** Below: the machine. */
export interface PipeSession {
  /** False: taken, but wait for `writable`. Keeps the pieces by reference. */
  write(pieces: readonly Uint8Array[]): boolean;
  readonly full: boolean;
  /** Ends our direction behind all that was written. */
  end(): void;
  /** The reader is behind: nothing is to be handed on. */
  pause(): void;
  resume(): void;
}

/** What the machine tells. */
export interface PipeEvents {
  data(chunk: Uint8Array): void;
  /** The other side has ended its direction. */
  ended(): void;
  /** Writing is welcome again. */
  writable(): void;
  /** All that was written has arrived. */
  flushed(): void;
  /** Once: with the error when it was cut, without when both directions ended. */
  settled(error: Error | undefined): void;
}

export abstract class SessionConnection implements Connection {
  abstract readonly session: PipeSession;
  readonly remote: Section;
  readonly local: boolean;
  /** For the session, when it is made. */
  protected readonly events: PipeEvents;
  readonly #inbox: Inbox;
  #ending: Deferred<void> | undefined;
  #drained: Deferred<void> | undefined;
  #over = false;
  readonly #closed: Deferred<Error | undefined> = deferred();

  constructor(remote: Section, local: boolean) {
    this.remote = remote;
    this.local = local;
    this.#inbox = new Inbox({
      pause: () => this.session.pause(),
      resume: () => this.session.resume(),
    });
    this.events = {
      data: (chunk) => this.#inbox.push(chunk),
      ended: () => this.#inbox.finish(),
      writable: () => this.#welcome(),
      flushed: () => this.#ending?.resolve(),
      settled: (error) => this.settle(error),
    };
  }

  /** Cuts the session now, and tells the other side if there is a word for it. */
  protected abstract cut(reason: Error): void;

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

  /** Waits until the session is over as long as nobody calls `abort`; what arrives can still be read. */
  async close(): Promise<void> {
    await this.end();
    await this.#closed.promise;
  }

  abort(reason: Error): void {
    if (this.#over) return;
    this.#inbox.clear();
    this.cut(reason);
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#inbox;
  }

  protected settle(error: Error | undefined): void {
    this.#over = true;
    this.#inbox.finish(error);
    this.#ending?.resolve();
    this.#welcome();
    this.#closed.resolve(error);
  }

  #welcome(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.resolve();
  }
}
