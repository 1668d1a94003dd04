/**
 * Tree model: Plumtree machines on the links of a membership model, in virtual time.
 *
 * Every message takes one hop's time, so that the first to arrive came by the fewest hops. The machines are
 * the plugin's own. Counts follow the Plumtree paper: payload is every copy sent, control every
 * announcement, prune and graft.
 */

import {
  type Announcement,
  Plumtree,
  type PlumtreeOptions,
} from "@testudo/plugins/gossip/machines";

export interface TreeModelOptions {
  readonly nodes: number;
  /** Milliseconds. Default 10. */
  readonly hopMs?: number;
  /** In hops. Default 40: more than the longest way through a tree with any sender. */
  readonly timer1Hops?: number;
  /** In hops. Default 4. */
  readonly timer2Hops?: number;
  readonly eagerLinks?: number;
  readonly optimise?: number;
  /** Default: everybody lives. */
  readonly isAlive?: (node: number) => boolean;
  /** `peer` announced to `node` and did not answer its graft. */
  readonly blamed?: (node: number, peer: number) => void;
  /** Of a broadcast, in the order of arrival. */
  readonly delivered?: (node: number, hops: number, afterMs: number) => void;
}

export interface BroadcastFigures {
  /** Nodes that have the message, the origin among them. */
  readonly reached: number;
  readonly payload: number;
  readonly announcements: number;
  readonly prunes: number;
  readonly grafts: number;
  /** Announcements, prunes and grafts. */
  readonly control: number;
  readonly lastHop: number;
  readonly lastMs: number;
  /** Grafts nobody answered in time. */
  readonly broken: number;
}

type What = "push" | "announce" | "prune" | "graft";

interface Event {
  readonly at: number;
  readonly to: number;
  readonly from: number;
  readonly what: What;
  readonly id: string | undefined;
  readonly hops: number;
  readonly entries: readonly Announcement[] | undefined;
}

/** The messages are empty: who has which id is all there is to know. */
const PAYLOAD = null;

export class TreeModel {
  readonly machines: readonly Plumtree<null>[];
  /** Virtual time, in ms. */
  now = 0;
  readonly #hopMs: number;
  readonly #isAlive: (node: number) => boolean;
  readonly #delivered: TreeModelOptions["delivered"];
  /** Nodes that take part but push to nobody. */
  readonly #silent = new Set<number>();
  /** All take one hop's time: the order of sending is the order of arrival. */
  #events: Event[] = [];
  #at = 0;
  readonly #timers = new Timers();
  readonly #armed: Float64Array;
  #sent = 0;
  #counts = { push: 0, announce: 0, prune: 0, graft: 0 };
  #broken = 0;
  #reached = 0;
  #lastHop = 0;
  #lastMs = 0;
  #startedAt = 0;

  constructor(options: TreeModelOptions) {
    this.#hopMs = options.hopMs ?? 10;
    this.#isAlive = options.isAlive ?? (() => true);
    this.#delivered = options.delivered;
    this.#armed = new Float64Array(options.nodes).fill(Number.POSITIVE_INFINITY);
    const { eagerLinks = 1, optimise } = options;
    const settings: Omit<PlumtreeOptions<null>, "out"> = {
      timer1Ms: (options.timer1Hops ?? 40) * this.#hopMs,
      timer2Ms: (options.timer2Hops ?? 4) * this.#hopMs,
      eagerLinks,
      ...(optimise === undefined ? {} : { optimise }),
      limits: { messages: 8 },
    };
    this.machines = Array.from({ length: options.nodes }, (_, node) => {
      const out = {
        deliver: (_id: string, _payload: null, _from: string, hops: number): void => {
          this.#reached++;
          if (hops > this.#lastHop) this.#lastHop = hops;
          this.#lastMs = this.now - this.#startedAt;
          this.#delivered?.(node, hops, this.#lastMs);
        },
        push: (to: string, id: string, _payload: null, hops: number): void => {
          if (!this.#silent.has(node)) this.#send(node, to, "push", id, hops, undefined);
          else this.#send(node, to, "announce", undefined, 0, [{ id, hops }]);
        },
        announce: (to: string, entries: readonly Announcement[]): void => {
          this.#send(node, to, "announce", undefined, 0, entries);
        },
        prune: (to: string): void => this.#send(node, to, "prune", undefined, 0, undefined),
        graft: (to: string, id: string | undefined, hops: number): void => {
          this.#send(node, to, "graft", id, hops, undefined);
        },
        penalise: (peer: string, why: string): void => {
          if (why !== "promise") return;
          this.#broken++;
          options.blamed?.(node, Number(peer));
        },
      };
      return new Plumtree<null>({ ...settings, out });
    });
  }

  up(node: number, peer: number): void {
    this.machines[node]?.up(String(peer));
  }

  down(node: number, peer: number): void {
    this.machines[node]?.down(String(peer));
  }

  /** They receive, announce to everybody, and send payload to nobody, whatever is asked. */
  silence(nodes: Iterable<number>): void {
    for (const node of nodes) this.#silent.add(node);
  }

  isSilent(node: number): boolean {
    return this.#silent.has(node);
  }

  /** One message, until everything it caused is over. */
  broadcast(origin: number): BroadcastFigures {
    this.#startedAt = this.now;
    this.#counts = { push: 0, announce: 0, prune: 0, graft: 0 };
    this.#broken = 0;
    this.#reached = 1;
    this.#lastHop = 0;
    this.#lastMs = 0;
    this.machines[origin]?.broadcast(`m${this.#sent++}`, PAYLOAD, this.now);
    this.#arm(origin);
    this.#run();
    const { push: payload, announce: announcements, prune: prunes, graft: grafts } = this.#counts;
    return {
      reached: this.#reached,
      payload,
      announcements,
      prunes,
      grafts,
      control: announcements + prunes + grafts,
      lastHop: this.#lastHop,
      lastMs: this.#lastMs,
      broken: this.#broken,
    };
  }

  /** Lets virtual time pass between broadcasts. */
  wait(ms: number): void {
    this.now += ms;
  }

  #send(
    from: number,
    to: string,
    what: What,
    id: string | undefined,
    hops: number,
    entries: readonly Announcement[] | undefined,
  ): void {
    this.#counts[what]++;
    const at = this.now + this.#hopMs;
    this.#events.push({ at, to: Number(to), from, what, id, hops, entries });
  }

  #run(): void {
    for (;;) {
      const event = this.#events[this.#at];
      const timer = this.#timers.first();
      if (event === undefined && timer === undefined) break;
      if (event !== undefined && (timer === undefined || event.at <= timer)) {
        this.#at++;
        this.now = event.at;
        if (!this.#isAlive(event.to)) continue;
        this.#handle(event);
        this.#arm(event.to);
      } else this.#fire();
    }
    this.#events = [];
    this.#at = 0;
  }

  #handle({ to, from, what, id, hops, entries }: Event): void {
    const machine = this.machines[to];
    if (machine === undefined) return;
    const peer = String(from);
    if (what === "push") machine.receivePush(peer, id ?? "", PAYLOAD, hops, this.now);
    else if (what === "announce") machine.receiveAnnounce(peer, entries ?? [], this.now);
    else if (what === "prune") machine.receivePrune(peer, this.now);
    else machine.receiveGraft(peer, id, hops, this.now);
  }

  #fire(): void {
    const { at, node } = this.#timers.take();
    this.#armed[node] = Number.POSITIVE_INFINITY;
    if (!this.#isAlive(node)) return;
    // A timer whose reason is gone moves nothing, not even the clock.
    if ((this.machines[node]?.deadline ?? Number.POSITIVE_INFINITY) > at) {
      this.#arm(node);
      return;
    }
    this.now = at;
    this.machines[node]?.poll(at);
    this.#arm(node);
  }

  #arm(node: number): void {
    const deadline = this.machines[node]?.deadline;
    if (deadline === undefined || deadline >= (this.#armed[node] ?? 0)) return;
    this.#armed[node] = deadline;
    this.#timers.add(deadline, node);
  }
}

/** A heap of times. */
class Timers {
  readonly #at: number[] = [];
  readonly #node: number[] = [];

  first(): number | undefined {
    return this.#at[0];
  }

  add(at: number, node: number): void {
    let i = this.#at.length;
    this.#at.push(at);
    this.#node.push(node);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((this.#at[parent] ?? 0) <= at) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  /** The first; only when there is one. */
  take(): { at: number; node: number } {
    const taken = { at: this.#at[0] ?? 0, node: this.#node[0] ?? 0 };
    const last = this.#at.length - 1;
    this.#swap(0, last);
    this.#at.pop();
    this.#node.pop();
    let i = 0;
    for (;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < last && (this.#at[child] ?? 0) < (this.#at[least] ?? 0)) least = child;
      }
      if (least === i) return taken;
      this.#swap(i, least);
      i = least;
    }
  }

  #swap(a: number, b: number): void {
    const at = this.#at[a] ?? 0;
    const node = this.#node[a] ?? 0;
    this.#at[a] = this.#at[b] ?? 0;
    this.#node[a] = this.#node[b] ?? 0;
    this.#at[b] = at;
    this.#node[b] = node;
  }
}
