import { type Deferred, deferred, type Goodbye, type Network, type Peer } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { Watch } from "../../src/keepalive/watch.ts";

const INTERVAL_MS = 1_000;
const TIMEOUT_MS = 5_000;

/** As much of a peer as the watch looks at. */
class Watchee {
  bytesIn = 0;
  queuedBytes = 0;
  paused = false;
  readonly goodbyes: Goodbye[] = [];

  close(goodbye: Goodbye): void {
    this.goodbyes.push(goodbye);
  }

  get asPeer(): Peer {
    return this as unknown as Peer;
  }
}

/** Time that can be slept through: timers stand still meanwhile, the clock does not. */
class SleepyRuntime extends VirtualRuntime {
  sleptMs = 0;

  override now(): number {
    return super.now() + this.sleptMs;
  }
}

class World {
  readonly runtime = new SleepyRuntime();
  readonly asked: number[] = [];
  readonly answers: Deferred<void>[] = [];
  readonly watch: Watch;
  readonly peer = new Watchee();

  constructor() {
    this.watch = new Watch({ runtime: this.runtime } as unknown as Network, {
      intervalMs: INTERVAL_MS,
      timeoutMs: TIMEOUT_MS,
      ask: () => {
        this.asked.push(this.runtime.now());
        const answer = deferred<void>();
        this.answers.push(answer);
        return answer.promise;
      },
    });
    this.watch.add(this.peer.asPeer);
  }

  /** Something came from the peer. */
  hear(bytes: number = 1): void {
    this.peer.bytesIn += bytes;
  }

  async answer(): Promise<void> {
    this.hear(30);
    for (const answer of this.answers) answer.resolve();
    await settled();
  }
}

describe("watch", () => {
  it("asks a peer that was quiet for an interval", async () => {
    const world = new World();
    await world.runtime.advance(INTERVAL_MS - 1);
    expect(world.asked).toEqual([]);
    await world.runtime.advance(1);
    expect(world.asked).toEqual([INTERVAL_MS]);
  });

  it("asks again an interval after each answer, and never closes who answers", async () => {
    const world = new World();
    for (let i = 0; i < 100; i++) {
      await world.runtime.advance(INTERVAL_MS + 300);
      await world.answer();
    }
    expect(world.asked).toEqual(Array.from({ length: 100 }, (_, i) => 1_000 + 1_300 * i));
    expect(world.peer.goodbyes).toEqual([]);
  });

  it("never asks a peer from which something comes in every interval", async () => {
    const world = new World();
    for (let i = 0; i < 200; i++) {
      world.hear();
      await world.runtime.advance(INTERVAL_MS / 2);
    }
    expect(world.asked).toEqual([]);
  });

  it("closes a silent peer once, when its time is over and not before", async () => {
    const world = new World();
    await world.runtime.advance(INTERVAL_MS + TIMEOUT_MS - 1);
    expect(world.peer.goodbyes).toEqual([]);
    await world.runtime.advance(1);
    expect(world.peer.goodbyes).toEqual([
      { code: "STREAM_IDLE", text: "not a byte for 5000 ms, though asked" },
    ]);
    world.watch.delete(world.peer.asPeer);
    await world.runtime.advance(100_000);
    expect(world.peer.goodbyes).toHaveLength(1);
  });

  it("takes a single byte, or a rejected question, for what it is", async () => {
    const world = new World();
    await world.runtime.advance(INTERVAL_MS);
    world.answers[0]?.reject(new Error("REQUEST_TIMEOUT or the like"));
    await world.runtime.advance(TIMEOUT_MS - 1);
    world.hear();
    await world.runtime.advance(1);
    expect(world.peer.goodbyes).toEqual([]);
    await world.runtime.advance(INTERVAL_MS);
    expect(world.asked).toHaveLength(2);
    await world.runtime.advance(TIMEOUT_MS);
    expect(world.peer.goodbyes).toHaveLength(1);
  });

  it("does not judge a peer that our own plugins pause", async () => {
    const world = new World();
    await world.runtime.advance(INTERVAL_MS);
    world.peer.paused = true;
    await world.runtime.advance(100_000);
    expect(world.peer.goodbyes).toEqual([]);
    expect(world.asked).toHaveLength(1);
    world.peer.paused = false;
    await world.runtime.advance(INTERVAL_MS + TIMEOUT_MS);
    expect(world.peer.goodbyes).toHaveLength(1);
  });

  it("does not judge a peer while our own bytes wait for it", async () => {
    const world = new World();
    world.peer.queuedBytes = 1;
    await world.runtime.advance(100_000);
    expect(world.asked).toEqual([]);
    world.peer.queuedBytes = 0;
    await world.runtime.advance(INTERVAL_MS);
    expect(world.asked).toHaveLength(1);
    world.peer.queuedBytes = 1;
    await world.runtime.advance(TIMEOUT_MS);
    expect(world.peer.goodbyes).toEqual([]);
  });

  it("asks again when this process slept through the deadline", async () => {
    const world = new World();
    await world.runtime.advance(INTERVAL_MS);
    world.runtime.sleptMs = 3_600_000;
    await world.runtime.advance(TIMEOUT_MS);
    expect(world.peer.goodbyes).toEqual([]);
    expect(world.asked).toHaveLength(2);
    await world.runtime.advance(TIMEOUT_MS);
    expect(world.peer.goodbyes).toHaveLength(1);
  });

  it("watches any number of peers with two timers, each by its own clock", async () => {
    const world = new World();
    const others = Array.from({ length: 500 }, () => new Watchee());
    for (const other of others) {
      await world.runtime.advance(1);
      world.watch.add(other.asPeer);
    }
    expect(world.runtime.pending).toBe(1);
    await world.runtime.advance(INTERVAL_MS);
    expect(world.asked).toHaveLength(501);
    expect(world.runtime.pending).toBe(1);
    await world.runtime.advance(TIMEOUT_MS - 500);
    const closed = (): number => others.filter(({ goodbyes }) => goodbyes.length > 0).length;
    expect(closed()).toBe(0);
    await world.runtime.advance(250);
    expect(closed()).toBe(250);
  });

  it("forgets a peer that left, and an answer that comes after", async () => {
    const world = new World();
    await world.runtime.advance(INTERVAL_MS);
    world.watch.delete(world.peer.asPeer);
    world.watch.delete(world.peer.asPeer);
    await world.answer();
    await world.runtime.advance(100_000);
    expect(world.asked).toHaveLength(1);
    expect(world.peer.goodbyes).toEqual([]);
    expect(world.runtime.pending).toBe(0);
  });

  it("holds no timer once it is stopped, and ignores late answers", async () => {
    const world = new World();
    world.watch.add(new Watchee().asPeer);
    await world.runtime.advance(INTERVAL_MS);
    expect(world.asked).toHaveLength(2);
    world.watch.stop();
    expect(world.runtime.pending).toBe(0);
    await world.answer();
    expect(world.runtime.pending).toBe(0);
  });
});
