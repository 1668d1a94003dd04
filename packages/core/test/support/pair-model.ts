/**
 * Pair model: two nodes with nothing but the pairing machine, and a world that orders events at will.
 *
 * Every line between them delivers in order, and nothing else is promised: which line moves next, when a
 * handshake is done, where a line is cut and when a node loses its memory is drawn from a seed. There is
 * no clock; a wait that only a timer could end shows as a line that never comes to rest.
 */

import { PeerId } from "../../src/identity.ts";
import { type Dial, Pairing, type Standing } from "../../src/pairing.ts";

/** The keys of the two nodes that the rules tell apart. */
export const SMALL: PeerId = PeerId.from(new Uint8Array(32).fill(1));
export const LARGE: PeerId = PeerId.from(new Uint8Array(32).fill(2));

type Event = { kind: "welcome"; standing: Standing } | { kind: "confirm" } | { kind: "end" };

/** One end of a line, as its node sees it. */
export class End {
  readonly node: Node;
  readonly line: Line;
  readonly incoming: Event[] = [];
  /** Its handshake is done: the pairing machine knows it. */
  shaken = false;
  /** It waits for a dial of its node's. */
  waiting = false;
  /** It was in its node's table once. */
  entered = false;
  over = false;

  constructor(node: Node, line: Line) {
    this.node = node;
    this.line = line;
  }

  get other(): End {
    return this.line.dialer === this ? this.line.listener : this.line.dialer;
  }
}

export class Line {
  readonly dialer: End;
  readonly listener: End;
  readonly dial: Dial<End>;
  connected = false;
  settled = false;
  /** A node that held an end of it lost its memory: the other end hears nothing more. */
  silent = false;

  constructor(from: Node, to: Node, dial: Dial<End>) {
    this.dialer = new End(from, this);
    this.listener = new End(to, this);
    this.dial = dial;
  }
}

export class Node {
  readonly id: PeerId;
  readonly ends = new Set<End>();
  pairing: Pairing<End>;
  live: End | undefined;
  added = 0;
  deleted = 0;

  constructor(id: PeerId) {
    this.id = id;
    this.pairing = this.#newPairing();
  }

  /** Loses everything it knew; its lines are left hanging, and nobody is told. */
  forget(): void {
    for (const end of this.ends) {
      end.over = true;
      end.line.silent = true;
      if (end === end.line.dialer) end.line.settled = true;
      if (!end.line.connected) end.other.over = true;
    }
    this.ends.clear();
    this.live = undefined;
    this.pairing = this.#newPairing();
  }

  enter(end: End): void {
    if (this.live !== undefined) throw new Error("two live streams at one node");
    if (end.over) throw new Error("a dead stream went live");
    this.live = end;
    end.entered = true;
    this.added++;
  }

  /** The end is over for this node; the other one will hear of it. */
  end(end: End): void {
    if (end.over) return;
    end.over = true;
    this.ends.delete(end);
    end.other.incoming.push({ kind: "end" });
    if (this.live === end) {
      this.live = undefined;
      this.deleted++;
    }
    this.pairing.gone(end.other.node.id, end);
  }

  #newPairing(): Pairing<End> {
    return new Pairing<End>(this.id, {
      welcome: (end, standing) => {
        if (end !== end.line.listener) throw new Error("a dialer said welcome");
        end.other.incoming.push({ kind: "welcome", standing });
      },
      move: () => {
        throw new Error("no dial of this model moves anything");
      },
      confirm: (end, previous) => {
        if (end !== end.line.dialer) throw new Error("a listener said confirm");
        end.other.incoming.push({ kind: "confirm" });
        if (previous !== undefined) this.end(previous);
        this.enter(end);
      },
      decline: (end) => {
        if (end.entered) throw new Error("a stream that was live is declined");
        this.end(end);
      },
      admit: (end, previous) => {
        if (!end.other.entered) throw new Error("admitted what its dialer never confirmed");
        if (previous !== undefined) this.end(previous);
        this.enter(end);
      },
    });
  }
}

export interface Faults {
  /** Lines that may be cut at any point, with or without what was under way. */
  cuts: number;
  /** Times a node may lose its memory. */
  restarts: number;
}

type Random = (below: number) => number;

export class World {
  readonly nodes: readonly [Node, Node];
  readonly lines: Line[] = [];
  /** Whether arrivals may lose patience with a dial at any moment. */
  impatient = false;
  readonly #random: Random;

  constructor(random: Random, ids: readonly [PeerId, PeerId]) {
    this.#random = random;
    this.nodes = [new Node(ids[0]), new Node(ids[1])];
  }

  dial(from: Node): Line {
    const to = from === this.nodes[0] ? this.nodes[1] : this.nodes[0];
    const expected = this.#random(2) === 0 ? to.id.text : undefined;
    const line = new Line(from, to, from.pairing.dialling(expected));
    from.ends.add(line.dialer);
    this.lines.push(line);
    return line;
  }

  /** Starts `dials` dials at random moments, with faults among them, until nothing more can happen. */
  run(dials: readonly Node[], faults: Faults = { cuts: 0, restarts: 0 }): void {
    const starting = [...dials];
    let { cuts, restarts } = faults;
    for (let steps = 0; ; steps++) {
      if (steps > 10_000) throw new Error("never comes to rest");
      const moves = this.lines.flatMap((line) => this.#moves(line));
      const choices = moves.length + starting.length;
      if (choices === 0) return;
      if (cuts > 0 && this.#random(12) === 0) {
        cuts--;
        this.#cut();
      } else if (restarts > 0 && this.#random(24) === 0) {
        restarts--;
        (this.nodes[this.#random(2)] as Node).forget();
      } else {
        const choice = this.#random(choices);
        if (choice < moves.length) moves[choice]?.();
        else this.dial(starting.pop() as Node);
      }
    }
  }

  #moves(line: Line): (() => void)[] {
    const { dialer, listener, dial } = line;
    const moves: (() => void)[] = [];
    if (!line.connected && !dialer.over) {
      moves.push(() => this.#connect(line));
    }
    if (line.connected && !dialer.shaken && !dialer.over) {
      moves.push(() => {
        dialer.shaken = true;
        dialer.node.pairing.shaken(dial, listener.node.id, dialer);
      });
    }
    if (line.connected && !listener.shaken && !listener.over) {
      moves.push(() => {
        listener.shaken = true;
        listener.waiting = listener.node.pairing.arrived(dialer.node.id, listener);
      });
    }
    if (!line.settled && (dialer.entered || dialer.over)) {
      moves.push(() => this.#settle(line));
    }
    if (this.impatient && listener.waiting && !listener.over) {
      moves.push(() => {
        listener.waiting = false;
        listener.node.pairing.outwaited(dialer.node.id, listener);
      });
    }
    for (const end of [dialer, listener]) {
      // A candidate has a timer; a live stream whose other end died in silence has none.
      if (line.silent && !end.over && !end.entered) {
        moves.push(() => end.node.end(end));
      }
      const ready = end.shaken || end.incoming[0]?.kind === "end";
      if (ready && !end.over && end.incoming.length > 0) moves.push(() => this.#deliver(end));
    }
    return moves;
  }

  #connect(line: Line): void {
    line.connected = true;
    line.dial.connected = true;
    line.listener.node.ends.add(line.listener);
  }

  #settle(line: Line): void {
    line.settled = true;
    line.dialer.node.pairing.settled(line.dial);
  }

  #deliver(end: End): void {
    const event = end.incoming.shift() as Event;
    const { node } = end;
    const from = end.other.node.id;
    if (event.kind === "end") node.end(end);
    else if (event.kind === "confirm") node.pairing.confirmed(from, end);
    else node.pairing.welcomed(end.line.dial, from, event.standing);
  }

  /** A line breaks; each direction may lose what was under way. */
  #cut(): void {
    const open = this.lines.filter((line) => !line.dialer.over || !line.listener.over);
    const line = open[this.#random(open.length)];
    if (line === undefined) return;
    for (const end of [line.dialer, line.listener]) {
      if (this.#random(2) === 0) end.incoming.length = 0;
      end.incoming.push({ kind: "end" });
    }
  }
}
