/** A side of a reconciliation on virtual time, and peers that are functions. */

import {
  Identity,
  type Message,
  type Network,
  networkError,
  type Peer,
  silent,
} from "@testudo/core";
import { afterEach, beforeEach, expect } from "vitest";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
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

export const EVERY_MS = 30_000;
export const QUESTION_MS = 5_000;

/** New for each test, if it calls `useWorld`. */
export const world: { runtime: VirtualRuntime; opened: Sync[] } = {
  runtime: new VirtualRuntime(),
  opened: [],
};

/** A world for each test of a file, and nothing left of it afterwards. */
export function useWorld(): void {
  beforeEach(() => {
    world.runtime = new VirtualRuntime();
    world.opened = [];
  });
  afterEach(() => {
    for (const sync of world.opened) sync.close();
    expect(world.runtime.pending).toBe(0);
  });
}

export interface Side {
  readonly window: Window;
  readonly sync: Sync;
  /** Who was asked, whether he answered. */
  readonly asked: [Peer, boolean][];
}

export function sided(options: Partial<SyncOptions> = {}, window: Window = new Window()): Side {
  const asked: [Peer, boolean][] = [];
  const sync = new Sync({
    network: { runtime: world.runtime, logger: silent } as unknown as Network,
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
  world.opened.push(sync);
  return { window, sync, asked };
}

export function fill(window: Window, brought: readonly Brought[]): void {
  for (const { item, ageMs } of brought) window.add(readItem(item), world.runtime.now(), ageMs);
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
export function said(by: number, window: Window, count: number, size = 10): string[] {
  return Array.from({ length: count }, () => {
    const item = (authors[by] as Author).next({ opcode: 1_000, body: new Uint8Array(size) }, 0);
    window.add(item, world.runtime.now(), 60_000);
    return item.id;
  });
}

export interface Other {
  readonly peer: Peer;
  /** What was asked of it, in order. */
  readonly log: string[];
  /** Bytes of bodies that it was brought. */
  readonly brought: number[];
  readonly closed: unknown[];
}

/** A peer that answers for `side`, but for what `instead` says. */
export function peerOf(
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
export function silentPeer(): Other {
  const log: string[] = [];
  const request = (_: Message, __: unknown, terms: { signal: AbortSignal; timeoutMs: number }) => {
    log.push("asked");
    return new Promise((_, reject) => {
      const timer = world.runtime.setTimer(
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
