/**
 * Providers: with several eager links, the peers that push to this node. The first is the tree's own link.
 */

/** Messages others delivered since a link that should push last did. */
const MAX_QUIET = 16;

interface Provider {
  readonly peer: string;
  quiet: number;
}

export class Providers {
  readonly #most: number;
  #all: Provider[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** The tree's own link. */
  get parent(): string | undefined {
    return this.#all[0]?.peer;
  }

  get isFull(): boolean {
    return this.#all.length >= this.#most;
  }

  /** It pushed something; returns whether it is one of them. */
  heard(peer: string): boolean {
    const known = this.#all.find((provider) => provider.peer === peer);
    if (known !== undefined) known.quiet = 0;
    return known !== undefined;
  }

  /** `must`: in the place of the quietest when none is free. Returns whether it is one of them only now. */
  add(peer: string, must: boolean): boolean {
    if (this.heard(peer)) return false;
    if (this.isFull) {
      if (!must) return false;
      let quietest = 0;
      this.#all.forEach(({ quiet }, at) => {
        if (quiet > (this.#all[quietest]?.quiet ?? 0)) quietest = at;
      });
      this.#all.splice(quietest, 1);
    }
    this.#all.push({ peer, quiet: 0 });
    return true;
  }

  delete(peer: string): void {
    this.#all = this.#all.filter((provider) => provider.peer !== peer);
  }

  /** `from` brought a message first. Returns those that have been silent too long, and are none any more. */
  silentSince(from: string): readonly string[] {
    const silent: string[] = [];
    for (const provider of this.#all) {
      if (provider.peer === from) continue;
      provider.quiet++;
      if (provider.quiet > MAX_QUIET) silent.push(provider.peer);
    }
    for (const peer of silent) this.delete(peer);
    return silent;
  }
}
