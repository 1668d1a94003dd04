/** Whom a node reconciles with, and when, on virtual time. */

import { describe, expect, it } from "vitest";
import { settled } from "../../../../test/support/virtual-runtime.ts";
import {
  EVERY_MS,
  type Other,
  peerOf,
  QUESTION_MS,
  said,
  sided,
  silentPeer,
  useWorld,
  world,
} from "./sync-world.ts";

useWorld();

describe("who is asked", () => {
  it("is somebody else when one is silent, three times; then it is left to the next round", async () => {
    const others = Array.from({ length: 8 }, silentPeer);
    let at = 0;
    const { sync, asked } = sided({ any: () => others[at++]?.peer, everyMs: 1_000_000 });
    sync.with(silentPeer().peer);
    await world.runtime.advance(QUESTION_MS);
    expect(asked).toHaveLength(1);
    await world.runtime.advance(10 * QUESTION_MS);
    expect(others.map(({ log }) => log.length)).toEqual([1, 1, 1, 0, 0, 0, 0, 0]);
    expect(asked.map(([, did]) => did)).toEqual([false, false, false, false]);
    sync.with(silentPeer().peer);
    await world.runtime.advance(10 * QUESTION_MS);
    expect(others.map(({ log }) => log.length)).toEqual([1, 1, 1, 1, 1, 1, 0, 0]);
  });

  it("is somebody else until one answers", async () => {
    const theirs = sided({ everyMs: 1_000_000 });
    said(1, theirs.window, 5);
    const [quiet, good, spare] = [silentPeer(), peerOf(theirs), silentPeer()];
    const others = [quiet, good, spare];
    const mine = sided({ any: () => others.shift()?.peer, everyMs: 1_000_000 });
    mine.sync.with(silentPeer().peer);
    await world.runtime.advance(5 * QUESTION_MS);
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
    await world.runtime.advance(QUESTION_MS - 1);
    expect([first, gone, left, last].map(({ log }) => log.length)).toEqual([1, 0, 0, 0]);
    await world.runtime.advance(1);
    expect([first, gone, left, last].map(({ log }) => log.length)).toEqual([1, 0, 0, 1]);
    await world.runtime.advance(QUESTION_MS);
    expect(mine.asked.map(([peer]) => peer)).toEqual([first.peer, last.peer]);
  });

  it("waits in a bounded line", async () => {
    const mine = sided({ everyMs: 1_000_000 });
    const others = Array.from({ length: 20 }, silentPeer);
    for (const { peer } of others) mine.sync.with(peer);
    await world.runtime.advance(30 * QUESTION_MS);
    expect(others.filter(({ log }) => log.length > 0)).toHaveLength(9);
  });

  it("is a random one in every round, which are not all at one moment", async () => {
    const times: number[] = [];
    sided({
      any: () => {
        times.push(world.runtime.now());
        return undefined;
      },
    });
    await world.runtime.advance(100 * EVERY_MS);
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
    await world.runtime.advance(1_499);
    expect(log).toHaveLength(asked);
    await world.runtime.advance(1);
    expect(log.length).toBeGreaterThan(asked);
  });

  it("is asked a moment later by who has something, and not again when it comes and goes", async () => {
    const [mine, theirs] = [sided({ everyMs: 1_000_000 }), sided({ everyMs: 1_000_000 })];
    said(0, mine.window, 1);
    const { peer, log } = peerOf(theirs);
    mine.sync.meet(peer);
    await world.runtime.advance(1_499);
    expect(log).toEqual([]);
    await world.runtime.advance(1);
    expect(theirs.window.size).toBe(1);
    const asked = log.length;
    mine.sync.meet(peer);
    await world.runtime.advance(10_000);
    expect(log).toHaveLength(asked);
    await world.runtime.advance(1_000_000);
    mine.sync.meet(peer);
    await world.runtime.advance(1_500);
    expect(log.length).toBeGreaterThan(asked);
  });

  it("is one of eight at most", async () => {
    const mine = sided({ everyMs: 1_000_000 });
    said(0, mine.window, 1);
    const others = Array.from({ length: 20 }, silentPeer);
    for (const { peer } of others) mine.sync.meet(peer);
    await world.runtime.advance(30 * QUESTION_MS);
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
    await world.runtime.advance(10);
    mine.sync.close();
    mine.sync.with(fourth.peer);
    mine.sync.meet(fourth.peer);
    await settled();
    expect(world.runtime.pending).toBe(0);
    expect([first, second, third, fourth].map(({ log }) => log.length)).toEqual([1, 0, 0, 0]);
    expect(mine.asked).toEqual([]);
  });
});
