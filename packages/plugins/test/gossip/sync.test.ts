/** Reconciliation with one peer after the other, on virtual time, among peers that are functions. */

import {
  Identity,
  type Message,
  type Network,
  networkError,
  type Peer,
  silent,
} from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import {
  type Brought,
  ItemsMessage,
  ReconcileMessage,
  WantMessage,
} from "../../src/gossip/messages.ts";
import { Author, readItem } from "../../src/gossip/origin.ts";
import { answer, type Range } from "../../src/gossip/reconcile.ts";
import { Sync, type SyncOptions } from "../../src/gossip/sync.ts";
import { Window } from "../../src/gossip/window.ts";

const EVERY_MS = 30_000;
const QUESTION_MS = 5_000;

let runtime: VirtualRuntime;
let opened: Sync[];
beforeEach(() => {
  runtime = new VirtualRuntime();
  opened = [];
});
afterEach(() => {
  for (const sync of opened) sync.close();
  expect(runtime.pending).toBe(0);
});

interface Side {
  readonly window: Window;
  readonly sync: Sync;
  /** Who was asked, whether he answered. */
  readonly asked: [Peer, boolean][];
}

function sided(options: Partial<SyncOptions> = {}, window: Window = new Window()): Side {
  const asked: [Peer, boolean][] = [];
  const sync = new Sync({
    network: { runtime, logger: silent } as unknown as Network,
    window,
    everyMs: EVERY_MS,
    questionMs: QUESTION_MS,
    patienceMs: 30_000,
    maxBytes: 2 ** 25,
    any: () => undefined,
    answered: (peer, did) => asked.push([peer, did]),
    take: (_, brought) => fill(window, brought),
    ...options,
  });
  opened.push(sync);
  return { window, sync, asked };
}

function fill(window: Window, brought: readonly Brought[]): void {
  for (const { item, ageMs } of brought) window.add(readItem(item), runtime.now(), ageMs);
}

const authors = Array.from(
  { length: 2 },
  (_, i) =>
    new Author({
      identity: Identity.fromSecret(new Uint8Array(32).fill(i + 1)),
      networkId: new Uint8Array(32),
      epoch: 1_000,
      now: 0,
    }),
);

/** Puts items of the author there, long settled. Returns their ids. */
function said(by: number, window: Window, count: number, size = 10): string[] {
  return Array.from({ length: count }, () => {
    const item = (authors[by] as Author).next({ opcode: 1_000, body: new Uint8Array(size) }, 0);
    window.add(item, runtime.now(), 60_000);
    return item.id;
  });
}

interface Other {
  readonly peer: Peer;
  /** What was asked of it, in order. */
  readonly log: string[];
  /** Bytes of bodies that it was brought. */
  readonly brought: number[];
  readonly closed: unknown[];
}

/** A peer that answers for `side`, but for what `instead` says. */
function peerOf(
  side: Side,
  instead: Partial<{
    ranges: (asked: readonly Range[]) => readonly Range[];
    items: (wanted: readonly string[]) => readonly Brought[];
  }> = {},
): Other {
  const log: string[] = [];
  const brought: number[] = [];
  const closed: unknown[] = [];
  const { ranges = (asked) => answer(side.window.ids, asked) } = instead;
  const { items = (wanted) => side.sync.answer(wanted) } = instead;
  const peer = {
    id: { text: "other" },
    connected: true,
    request: async ({ opcode, body }: Message) => {
      if (opcode === ReconcileMessage.opcode) {
        log.push("ranges");
        return ranges(ReconcileMessage.decode(body));
      }
      log.push("want");
      return items(WantMessage.decode(body));
    },
    send: async ({ body }: Message) => {
      log.push("items");
      const parts = ItemsMessage.decode(body);
      brought.push(body.length);
      fill(side.window, parts);
    },
    close: (reason: unknown) => closed.push(reason),
  };
  return { peer: peer as unknown as Peer, log, brought, closed };
}

/** One that never answers. */
function silentPeer(): Other {
  const log: string[] = [];
  const request = (_: Message, __: unknown, terms: { signal: AbortSignal; timeoutMs: number }) => {
    log.push("asked");
    return new Promise((_, reject) => {
      const timer = runtime.setTimer(
        () => reject(networkError("REQUEST_TIMEOUT", "no answer", {})),
        terms.timeoutMs,
      );
      terms.signal.addEventListener("abort", () => {
        timer.cancel();
        reject(terms.signal.reason);
      });
    });
  };
  const peer = { id: { text: "silent" }, connected: true, request } as unknown as Peer;
  return { peer, log, brought: [], closed: [] };
}

describe("a reconciliation", () => {
  it("leaves both sides with all that either has", async () => {
    const [mine, theirs] = [sided(), sided()];
    const ids = [...said(0, mine.window, 40), ...said(1, theirs.window, 700)];
    const { peer } = peerOf(theirs);
    mine.sync.with(peer);
    await settled();
    for (const { window } of [mine, theirs]) {
      expect(ids.filter((id) => !window.has(id))).toEqual([]);
      expect(window.size).toBe(740);
    }
    expect(mine.asked).toEqual([[peer, true]]);
  });

  it("is one question where both have the same", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(0, mine.window, 100);
    fill(theirs.window, mine.sync.answer(mine.window.ids.slice(0, 100)));
    const { peer, log } = peerOf(theirs);
    mine.sync.with(peer);
    await settled();
    expect(log).toEqual(["ranges"]);
  });

  it("goes in parts of a bounded size", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(0, mine.window, 20, 50_000);
    said(1, theirs.window, 20, 50_000);
    const sizes: number[] = [];
    const { peer, brought } = peerOf(theirs, {
      items: (wanted) => {
        const parts = theirs.sync.answer(wanted);
        sizes.push(parts.reduce((sum, { item }) => sum + item.length, 0));
        return parts;
      },
    });
    mine.sync.with(peer);
    await settled();
    expect([mine.window.size, theirs.window.size]).toEqual([40, 40]);
    expect(sizes).toHaveLength(10);
    expect(brought).toHaveLength(10);
    for (const size of [...sizes, ...brought]) expect(size).toBeLessThan(131_072);
  });

  it("moves only so many bytes each way; the rest waits for the next", async () => {
    const [mine, theirs] = [sided({ maxBytes: 250_000 }), sided()];
    said(0, mine.window, 20, 50_000);
    said(1, theirs.window, 20, 50_000);
    const { peer, brought } = peerOf(theirs);
    mine.sync.with(peer);
    await settled();
    // Parts of two each, until a quarter of a million is reached.
    expect([mine.window.size, theirs.window.size]).toEqual([26, 26]);
    expect(brought).toHaveLength(3);
    mine.sync.with(peer);
    await settled();
    expect(mine.window.size).toBe(32);
  });

  it("answers with one item that is larger than a part, and not with none", () => {
    const { window, sync } = sided();
    const ids = said(0, window, 2, 200_000);
    expect(sync.answer(["?".repeat(16), ...ids])).toHaveLength(1);
  });

  it("ends with one who brings what nobody asked for, again and again", async () => {
    const [mine, theirs] = [sided({ maxBytes: 20_000 }), sided()];
    said(1, theirs.window, 30);
    const spare = sided();
    const junk = said(0, spare.window, 1);
    const { peer, log } = peerOf(theirs, { items: () => spare.sync.answer(junk) });
    mine.sync.with(peer);
    await runtime.advance(30_000);
    expect(mine.asked).toHaveLength(1);
    expect(log.filter((what) => what === "want").length).toBeLessThanOrEqual(30);
  });

  it("asks no faster than what comes is taken, and brings no faster than it may be", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(1, theirs.window, 1_000);
    said(0, mine.window, 4_000);
    let room = 300;
    const slow = sided(
      {
        take: (_, brought) => {
          fill(mine.window, brought.slice(0, room));
          room = 0;
        },
      },
      mine.window,
    );
    const { peer, log } = peerOf(theirs);
    slow.sync.with(peer);
    await runtime.advance(500);
    for (let second = 0; second < 3; second++) {
      room = 300;
      await runtime.advance(1_000);
    }
    expect(mine.window.size).toBe(5_000);
    expect(log.filter((what) => what === "want").length).toBeLessThanOrEqual(6);
    expect(theirs.window.size).toBeLessThan(5_000);
    await runtime.advance(2_000);
    expect(theirs.window.size).toBe(5_000);
  });

  it("ends with one who has nothing of what it said it has", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(1, theirs.window, 600);
    const { peer, log } = peerOf(theirs, { items: () => [] });
    mine.sync.with(peer);
    await settled();
    expect(log.filter((what) => what === "want")).toHaveLength(2);
    expect(mine.asked).toEqual([[peer, true]]);
  });

  it("closes one whose answer does not fit, and goes on with the next", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(0, mine.window, 3);
    const end = { time: Number.POSITIVE_INFINITY, id: "" };
    const liar = peerOf(theirs, { ranges: () => [{ to: end, content: "list" }] });
    const honest = peerOf(theirs);
    mine.sync.with(liar.peer);
    mine.sync.with(honest.peer);
    await settled();
    expect(liar.closed).toMatchObject([{ code: "BODY_MALFORMED" }]);
    expect(theirs.window.size).toBe(3);
  });
});

describe("who is asked", () => {
  it("is somebody else when one is silent, three times; then it is left to the next round", async () => {
    const others = Array.from({ length: 8 }, silentPeer);
    let at = 0;
    const { sync, asked } = sided({ any: () => others[at++]?.peer, everyMs: 1_000_000 });
    sync.with(silentPeer().peer);
    await runtime.advance(QUESTION_MS);
    expect(asked).toHaveLength(1);
    await runtime.advance(10 * QUESTION_MS);
    expect(others.map(({ log }) => log.length)).toEqual([1, 1, 1, 0, 0, 0, 0, 0]);
    expect(asked.map(([, did]) => did)).toEqual([false, false, false, false]);
    sync.with(silentPeer().peer);
    await runtime.advance(10 * QUESTION_MS);
    expect(others.map(({ log }) => log.length)).toEqual([1, 1, 1, 1, 1, 1, 0, 0]);
  });

  it("is somebody else until one answers", async () => {
    const theirs = sided({ everyMs: 1_000_000 });
    said(1, theirs.window, 5);
    const [quiet, good, spare] = [silentPeer(), peerOf(theirs), silentPeer()];
    const others = [quiet, good, spare];
    const mine = sided({ any: () => others.shift()?.peer, everyMs: 1_000_000 });
    mine.sync.with(silentPeer().peer);
    await runtime.advance(5 * QUESTION_MS);
    expect(mine.window.size).toBe(5);
    expect(mine.asked.map(([, did]) => did)).toEqual([false, false, true]);
    expect(spare.log).toEqual([]);
  });

  it("is one at a time, and nobody who is gone by then", async () => {
    const mine = sided({ everyMs: 1_000_000 });
    const [first, gone, left, last] = Array.from({ length: 4 }, silentPeer) as [
      Other,
      Other,
      Other,
      Other,
    ];
    for (const { peer } of [first, gone, left, last]) mine.sync.with(peer);
    Object.assign(gone.peer, { connected: false });
    mine.sync.left(left.peer);
    await runtime.advance(QUESTION_MS - 1);
    expect([first, gone, left, last].map(({ log }) => log.length)).toEqual([1, 0, 0, 0]);
    await runtime.advance(1);
    expect([first, gone, left, last].map(({ log }) => log.length)).toEqual([1, 0, 0, 1]);
    await runtime.advance(QUESTION_MS);
    expect(mine.asked.map(([peer]) => peer)).toEqual([first.peer, last.peer]);
  });

  it("waits in a bounded line", async () => {
    const mine = sided({ everyMs: 1_000_000 });
    const others = Array.from({ length: 20 }, silentPeer);
    for (const { peer } of others) mine.sync.with(peer);
    await runtime.advance(30 * QUESTION_MS);
    expect(others.filter(({ log }) => log.length > 0)).toHaveLength(9);
  });

  it("is a random one in every round, which are not all at one moment", async () => {
    const times: number[] = [];
    sided({
      any: () => {
        times.push(runtime.now());
        return undefined;
      },
    });
    await runtime.advance(100 * EVERY_MS);
    const spans = times.slice(1).map((time, at) => time - (times[at] as number));
    expect(times.length).toBeGreaterThan(80);
    expect(times.length).toBeLessThan(125);
    for (const span of spans) {
      expect(span).toBeGreaterThanOrEqual(EVERY_MS / 2);
      expect(span).toBeLessThanOrEqual(1.5 * EVERY_MS);
    }
    expect(new Set(spans).size).toBeGreaterThan(50);
  });
});

describe("a new neighbour", () => {
  it("is asked at once by who has nothing, and when what is under way has settled", async () => {
    const [mine, theirs] = [sided({ everyMs: 1_000_000 }), sided({ everyMs: 1_000_000 })];
    said(1, theirs.window, 5);
    const { peer, log } = peerOf(theirs);
    mine.sync.meet(peer);
    await settled();
    expect(mine.window.size).toBe(5);
    const asked = log.length;
    await runtime.advance(1_499);
    expect(log).toHaveLength(asked);
    await runtime.advance(1);
    expect(log.length).toBeGreaterThan(asked);
  });

  it("is asked a moment later by who has something, and not again when it comes and goes", async () => {
    const [mine, theirs] = [sided({ everyMs: 1_000_000 }), sided({ everyMs: 1_000_000 })];
    said(0, mine.window, 1);
    const { peer, log } = peerOf(theirs);
    mine.sync.meet(peer);
    await runtime.advance(1_499);
    expect(log).toEqual([]);
    await runtime.advance(1);
    expect(theirs.window.size).toBe(1);
    const asked = log.length;
    mine.sync.meet(peer);
    await runtime.advance(10_000);
    expect(log).toHaveLength(asked);
    await runtime.advance(1_000_000);
    mine.sync.meet(peer);
    await runtime.advance(1_500);
    expect(log.length).toBeGreaterThan(asked);
  });

  it("is one of eight at most", async () => {
    const mine = sided({ everyMs: 1_000_000 });
    said(0, mine.window, 1);
    const others = Array.from({ length: 20 }, silentPeer);
    for (const { peer } of others) mine.sync.meet(peer);
    await runtime.advance(30 * QUESTION_MS);
    expect(others.filter(({ log }) => log.length > 0)).toHaveLength(8);
  });
});

describe("closing", () => {
  it("ends the question under way and all that wait; nobody is asked any more", async () => {
    const mine = sided();
    said(0, mine.window, 1);
    const [first, second, third, fourth] = Array.from({ length: 4 }, silentPeer) as [
      Other,
      Other,
      Other,
      Other,
    ];
    mine.sync.with(first.peer);
    mine.sync.with(second.peer);
    mine.sync.meet(third.peer);
    await runtime.advance(10);
    mine.sync.close();
    mine.sync.with(fourth.peer);
    mine.sync.meet(fourth.peer);
    await settled();
    expect(runtime.pending).toBe(0);
    expect([first, second, third, fourth].map(({ log }) => log.length)).toEqual([1, 0, 0, 0]);
    expect(mine.asked).toEqual([]);
  });
});
