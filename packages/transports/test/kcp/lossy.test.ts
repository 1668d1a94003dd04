/**
 * Every byte right, whatever the path does. 256 MiB over the worst of these paths, or as many as
 * `TESTUDO_KCP_MIB` says: 1024 takes a few seconds.
 */

import { describe, expect, it } from "vitest";
import { type KcpEnd, kcpPair, Transfer } from "../../../../test/support/kcp-pair.ts";
import { Link, type LinkWeather, SimulatedTime } from "../../../../test/support/link.ts";
import type { KcpOptions } from "../../src/kcp/machine.ts";

const MIB = 1 << 20;
const LARGE: number = Number(process.env["TESTUDO_KCP_MIB"] ?? 256) * MIB;
const DAY_MS = 86_400_000;

interface Run {
  readonly there: Link;
  readonly back: Link;
  readonly time: SimulatedTime;
  readonly ends: readonly [KcpEnd, KcpEnd];
  readonly transfer: Transfer;
}

function transfer(
  weather: LinkWeather,
  size: number,
  options: KcpOptions = {},
  start = 0,
  clock?: (now: number) => number,
): Run {
  const time = new SimulatedTime(start);
  const there = new Link(time, weather, 1);
  const back = new Link(time, weather, 2);
  const ends = kcpPair(time, there, back, { stream: true, ...options }, 7, clock);
  const run = { there, back, time, ends, transfer: new Transfer(ends[0], ends[1], size) };
  run.transfer.start();
  return run;
}

/** Runs until everything has arrived, and looks at what did. */
function finish({ time, transfer, ends }: Run): void {
  time.run(DAY_MS, () => transfer.done || ends[0].kcp.dead);
  expect(transfer.wrongAt).toBe(-1);
  expect(transfer.received).toBe(transfer.total);
  time.run(10_000);
  expect(ends[0].kcp.waitSend).toBe(0);
  expect(transfer.received).toBe(transfer.total);
  expect(ends.map((end) => end.faults)).toEqual([[], []]);
}

const BAD: LinkWeather = {
  latencyMs: 20,
  jitterMs: 50,
  lossRate: 0.1,
  duplicateRate: 0.05,
  reorderRate: 0.1,
};

describe("a transfer", () => {
  it("over 10 % loss, 5 % doubles, 10 % disorder and 50 ms jitter", () => {
    finish(transfer(BAD, LARGE));
  });

  it("over the same, under the classic policy", () => {
    const options: KcpOptions = {
      policy: "classic",
      noDelay: 1,
      intervalMs: 10,
      fastResend: 2,
      congestion: "off",
      sendWindow: 256,
      receiveWindow: 256,
    };
    finish(transfer(BAD, 2 * MIB, options));
  });

  it("over 30 % loss", () => {
    finish(transfer({ latencyMs: 25, lossRate: 0.3 }, 4 * MIB));
  });

  it("with numbers and clock that wrap on the way", () => {
    for (const policy of ["modern", "classic"] as const) {
      const run = transfer(BAD, MIB, { policy, initialSn: 0xffff_ff00, noDelay: 1 }, 2 ** 32 - 500);
      finish(run);
      const { statistics } = run.ends[0].kcp;
      expect(statistics.sendNext).toBeGreaterThan(400);
      expect(statistics.sendNext).toBeLessThan(800);
      expect(run.time.now).toBeGreaterThan(2 ** 32);
    }
  });

  it("with a clock that the caller wraps", () => {
    const clock = (now: number): number => now % 2 ** 32;
    const run = transfer(BAD, MIB, {}, 2 ** 32 - 500, clock);
    finish(run);
    expect(run.time.now).toBeGreaterThan(2 ** 32);
    expect(run.ends[0].kcp.statistics.srtt).toBeLessThan(200);
  });

  it("over a path that swallows large datagrams for a while", () => {
    const run = transfer({ latencyMs: 20 }, MIB);
    run.time.run(60);
    run.there.change({ mtu: 1_200 });
    run.time.run(2_000);
    expect(run.transfer.done).toBe(false);
    expect(run.there.count.tooLarge).toBeGreaterThan(10);
    run.there.change({ mtu: 1_400 });
    finish(run);
  });

  it("whose owner changes the size of datagrams on the way", () => {
    const run = transfer({ latencyMs: 20, lossRate: 0.02 }, 2 * MIB, { mtu: 576 });
    for (const mtu of [1_400, 600, 9_000, 500]) {
      run.time.run(100);
      expect(run.transfer.done).toBe(false);
      run.ends[0].kcp.setMtu(Math.min(mtu, 1_500));
    }
    finish(run);
  });

  it("over a path that is cut for ten seconds", () => {
    const run = transfer({ latencyMs: 20 }, 2 * MIB, { deadLink: 100 });
    run.time.run(100);
    run.there.change({ lossRate: 1 });
    run.time.run(10_000);
    const before = run.there.count.given;
    expect(before).toBeLessThan(3_000);
    run.there.change({ lossRate: 0 });
    finish(run);
  });

  it("that a vanished peer ends", () => {
    const run = transfer({ latencyMs: 20 }, 64 * MIB);
    run.time.run(500);
    run.ends[1].stop();
    expect(run.time.run(60_000, () => run.ends[0].kcp.dead)).toBe(true);
  });

  it("to a reader who pauses", () => {
    const run = transfer({ latencyMs: 20, lossRate: 0.02 }, 8 * MIB);
    const read = run.ends[1].onReadable;
    run.time.run(200);
    run.ends[1].onReadable = () => {};
    run.time.run(30_000);
    expect(run.ends[1].kcp.statistics.receiveReady).toBe(1_024);
    expect(run.ends[0].kcp.statistics.remoteWindow).toBe(0);
    run.ends[1].onReadable = read;
    read();
    run.ends[1].drive();
    finish(run);
  });
});
