/**
 * Watch: who is silent, of all peers, with one timer for the quiet and one for the silent.
 *
 * A peer is quiet when nothing came from it for an interval: it is asked. It is silent when it was asked
 * and not a single byte came until the timeout: it is closed. A peer is never judged while the silence
 * may be our own: while our plugins pause it, while our own bytes wait for its connection, or when this
 * process itself slept through the deadline.
 */

import { Deadlines, type Network, type Peer } from "@testudo/core";

interface Watched {
  readonly peer: Peer;
  bytesIn: number;
  askedAt: number;
}

export interface WatchOptions {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Asks; resolves when the peer answered. */
  readonly ask: (peer: Peer) => Promise<unknown>;
}

export class Watch {
  readonly #network: Network;
  readonly #options: WatchOptions;
  readonly #watched = new Map<Peer, Watched>();
  readonly #quiet: Deadlines<Watched>;
  readonly #silent: Deadlines<Watched>;

  constructor(network: Network, options: WatchOptions) {
    const { runtime } = network;
    this.#network = network;
    this.#options = options;
    this.#quiet = new Deadlines(runtime, options.intervalMs, (watched) => this.#look(watched));
    this.#silent = new Deadlines(runtime, options.timeoutMs, (watched) => this.#judge(watched));
  }

  add(peer: Peer): void {
    const watched = { peer, bytesIn: peer.bytesIn, askedAt: 0 };
    this.#watched.set(peer, watched);
    this.#quiet.add(watched);
  }

  delete(peer: Peer): void {
    const watched = this.#watched.get(peer);
    if (watched === undefined) return;
    this.#watched.delete(peer);
    this.#quiet.delete(watched);
    this.#silent.delete(watched);
  }

  /** Forgets everybody. Holds no timer afterwards; what was asked ends by its own deadline. */
  stop(): void {
    this.#watched.clear();
    this.#quiet.clear();
    this.#silent.clear();
  }

  #look(watched: Watched): void {
    if (isSilent(watched)) this.#ask(watched);
    else this.#rest(watched);
  }

  #judge(watched: Watched): void {
    const { intervalMs, timeoutMs } = this.#options;
    if (!isSilent(watched)) {
      this.#rest(watched);
    } else if (this.#network.runtime.now() - watched.askedAt > timeoutMs + intervalMs) {
      this.#ask(watched);
    } else {
      watched.peer.close({
        code: "STREAM_IDLE",
        text: `not a byte for ${timeoutMs} ms, though asked`,
      });
    }
  }

  #ask(watched: Watched): void {
    watched.askedAt = this.#network.runtime.now();
    this.#silent.add(watched);
    this.#options.ask(watched.peer).then(
      () => {
        if (this.#watched.get(watched.peer) === watched) this.#rest(watched);
      },
      // No answer is not yet silence, and who left is not watched any more: the deadline judges.
      () => {},
    );
  }

  /** Something came: another interval of peace. */
  #rest(watched: Watched): void {
    watched.bytesIn = watched.peer.bytesIn;
    this.#silent.delete(watched);
    this.#quiet.add(watched);
  }
}

function isSilent({ peer, bytesIn }: Watched): boolean {
  return peer.bytesIn === bytesIn && !peer.paused && peer.queuedBytes === 0;
}
