import type { Runtime } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { Alarm } from "../../src/gossip/alarm.ts";

/** An alarm that says when it rang; `next` is what it answers. */
function alarmed(next: (now: number) => number | undefined = () => undefined) {
  const runtime = new VirtualRuntime();
  const rang: number[] = [];
  const alarm = new Alarm(runtime, (now) => {
    rang.push(now);
    return next(now);
  });
  return { runtime, rang, alarm };
}

describe("an alarm", () => {
  it("rings when it is wanted, by the earliest of all wishes, with one timer", async () => {
    const { runtime, rang, alarm } = alarmed();
    alarm.want(500);
    alarm.want(200);
    alarm.want(300);
    alarm.want(undefined);
    expect(runtime.pending).toBe(1);
    await runtime.advance(1_000);
    expect(rang).toEqual([200]);
    expect(runtime.pending).toBe(0);
    alarm.want(1_400);
    await runtime.advance(1_000);
    expect(rang).toEqual([200, 1_400]);
  });

  it("rings again when the machine says so, and at once for what is past", async () => {
    const { runtime, rang, alarm } = alarmed((now) => (now < 300 ? now + 100 : undefined));
    await runtime.advance(50);
    alarm.want(20);
    await runtime.advance(1_000);
    expect(rang).toEqual([50, 150, 250, 350]);
  });

  it("is silent for good once it is stopped", async () => {
    const { runtime, rang, alarm } = alarmed();
    alarm.want(100);
    alarm.stop();
    expect(runtime.pending).toBe(0);
    alarm.want(200);
    expect(runtime.pending).toBe(0);
    await runtime.advance(1_000);
    expect(rang).toEqual([]);
  });

  it("stays silent when the machine stops it while it rings", async () => {
    const { runtime, rang, alarm } = alarmed((now) => {
      alarm.stop();
      return now + 1;
    });
    alarm.want(100);
    await runtime.advance(1_000);
    expect(rang).toEqual([100]);
    expect(runtime.pending).toBe(0);
  });
});

describe("a late alarm", () => {
  /** A process that is busy: its timers fire when somebody lets them. */
  class Busy {
    at = 0;
    readonly delays: number[] = [];
    #timer: (() => void) | undefined;

    readonly runtime = {
      now: () => this.at,
      setTimer: (callback: () => void, delayMs: number) => {
        this.delays.push(delayMs);
        this.#timer = callback;
        return {
          cancel: () => {
            this.#timer = undefined;
          },
        };
      },
    } as unknown as Runtime;

    fire(now: number): void {
      this.at = now;
      const timer = this.#timer;
      this.#timer = undefined;
      timer?.();
    }
  }

  it("lets the sockets be read first, once", () => {
    const busy = new Busy();
    const rang: number[] = [];
    const alarm = new Alarm(busy.runtime, (now) => {
      rang.push(now);
      return undefined;
    });
    alarm.want(100);
    busy.fire(151);
    expect(rang).toEqual([]);
    expect(busy.delays).toEqual([100, 0]);
    busy.fire(900);
    expect(rang).toEqual([900]);
  });

  it("does not wait when it is as good as in time", () => {
    const busy = new Busy();
    const rang: number[] = [];
    const alarm = new Alarm(busy.runtime, (now) => {
      rang.push(now);
      return undefined;
    });
    alarm.want(100);
    busy.fire(150);
    expect(rang).toEqual([150]);
  });
});
