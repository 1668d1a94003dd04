/** Turns of those who share a socket. */

import type { Timer } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { type Resident, Turns } from "../../src/udp/turns.ts";

describe("turns", () => {
  const soonOf =
    (runtime: VirtualRuntime) =>
    (callback: () => void): Timer =>
      runtime.setTimer(callback, 0);

  it("drop whoever throws, and keep one timer for the others", async () => {
    const runtime = new VirtualRuntime(1);
    const turns = new Turns(runtime, soonOf(runtime));
    const at: number[] = [];
    const dropped: string[] = [];
    const every = (ms: number): Resident => ({
      turn: (now) => void at.push(now),
      due: (now) => now + ms,
      drop: (error) => void dropped.push(error.message),
    });
    turns.add(every(100));
    turns.add(every(250));
    const seat = turns.add({
      ...every(10),
      turn: () => {
        throw new Error("oh");
      },
      drop: (error) => {
        dropped.push(error.message);
        seat.leave();
      },
    });
    await runtime.advance(505);
    expect(dropped).toEqual(["oh"]);
    expect(at).toEqual([0, 0, 100, 200, 250, 300, 400, 500, 500]);
    expect(runtime.pending).toBe(1);
    turns.close();
    seat.wake();
    expect(runtime.pending).toBe(0);
  });

  it("come after what has arrived was read, but are not put off for ever", async () => {
    const runtime = new VirtualRuntime(1);
    let soon = 0;
    const turns = new Turns(runtime, (callback) => {
      soon++;
      return runtime.setTimer(callback, 0);
    });
    const at: number[] = [];
    const seat = turns.add({
      turn: () => void at.push(soon),
      due: () => Number.POSITIVE_INFINITY,
      drop: () => {},
    });
    for (let i = 0; i < 32; i++) turns.read();
    await runtime.advance(1);
    expect(at).toEqual([2]);
    const flood = runtime.setTimer.bind(runtime);
    runtime.setTimer = (callback, delayMs) =>
      flood(() => {
        for (let i = 0; i < 32; i++) turns.read();
        callback();
      }, delayMs);
    seat.wake();
    await runtime.advance(1);
    expect(at).toEqual([2, 11]);
    turns.close();
  });
});
