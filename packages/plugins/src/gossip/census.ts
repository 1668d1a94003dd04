/**
 * Census: how many nodes have a message? A machine.
 *
 * The question follows the message along the links that it was pushed over, and answers come back added up. Each node
 * counts itself once: who is asked a second time, by another link, answers nothing. One question a message, and
 * only of a message that one has: nobody can ask a network what it never said. Every question has a deadline, shorter
 * from step to step, so that a silent part of the tree costs its own nodes and not the rest of the answer.
 *
 * The answer is what others say: a node can claim any number of nodes behind it. It is for people, not for proofs.
 */

import { LastIds } from "./spreading.ts";

export interface CensusOut {
  ask(to: string, id: string, leftMs: number): void;
  answer(to: string, id: string, nodes: number, complete: boolean): void;
}

interface Count {
  /** Whom to answer: a peer, or who asked here. */
  readonly answer: (nodes: number, complete: boolean) => void;
  readonly waiting: Set<string>;
  readonly deadline: number;
  nodes: number;
  complete: boolean;
}

/** What is left of a deadline after a step. */
const PART = 0.85;
const LEAST_MS = 20;
const MOST_NODES = 2 ** 31;

export interface CensusOptions {
  readonly out: CensusOut;
  /** Questions open at a time. Default 256. */
  readonly maxOpen?: number;
}

export class Census {
  readonly #out: CensusOut;
  readonly #maxOpen: number;
  readonly #open = new Map<string, Count>();
  readonly #asked: LastIds = new LastIds(4_096);

  constructor({ out, maxOpen = 256 }: CensusOptions) {
    this.#out = out;
    this.#maxOpen = maxOpen;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Counts those behind `peers`; this node is not counted. `done` is called once, by `leftMs` at the latest. */
  begin(
    id: string,
    peers: Iterable<string>,
    leftMs: number,
    now: number,
    done: (nodes: number, complete: boolean) => void,
  ): void {
    if (this.#open.size >= this.#maxOpen || !this.#asked.add(id)) done(0, false);
    else this.#count(id, peers, leftMs, now, done);
  }

  /** `has`: whether this node has the message. `peers`: whom it pushed it to. */
  receiveQuestion(
    from: string,
    id: string,
    leftMs: number,
    has: boolean,
    peers: Iterable<string>,
    now: number,
  ): void {
    if (!has || this.#open.size >= this.#maxOpen) {
      this.#out.answer(from, id, 0, false);
    } else if (!this.#asked.add(id)) {
      this.#out.answer(from, id, 0, true);
    } else {
      const others = [...peers].filter((peer) => peer !== from);
      this.#count(id, others, leftMs, now, (nodes, complete) =>
        this.#out.answer(from, id, Math.min(MOST_NODES, nodes + 1), complete),
      );
    }
  }

  receiveAnswer(from: string, id: string, nodes: number, complete: boolean): void {
    const count = this.#open.get(id);
    if (count?.waiting.delete(from) !== true) return;
    count.nodes = Math.min(MOST_NODES, count.nodes + nodes);
    count.complete &&= complete;
    if (count.waiting.size === 0) this.#end(id, count);
  }

  /** A link is gone: it answers nothing any more. */
  down(peer: string): void {
    for (const id of [...this.#open.keys()]) this.receiveAnswer(peer, id, 0, false);
  }

  /** Ends what waits too long. Returns when to be called next, in ms. */
  poll(now: number): number | undefined {
    let next: number | undefined;
    for (const [id, count] of [...this.#open]) {
      if (count.deadline <= now) {
        count.complete = false;
        this.#end(id, count);
      } else if (next === undefined || count.deadline < next) next = count.deadline;
    }
    return next;
  }

  #count(
    id: string,
    peers: Iterable<string>,
    leftMs: number,
    now: number,
    answer: (nodes: number, complete: boolean) => void,
  ): void {
    const waiting = new Set(peers);
    const left = Math.floor(leftMs * PART);
    const count = { answer, waiting, deadline: now + leftMs, nodes: 0, complete: left >= LEAST_MS };
    if (waiting.size === 0 || left < LEAST_MS) {
      answer(0, waiting.size === 0);
      return;
    }
    this.#open.set(id, count);
    for (const peer of [...waiting]) this.#out.ask(peer, id, left);
  }

  #end(id: string, count: Count): void {
    this.#open.delete(id);
    count.answer(count.nodes, count.complete);
  }
}
