/**
 * Congestion control on imagined bottlenecks, in virtual time: how much arrives, how much waits in the
 * queue, and who gets which part. The same numbers every run.
 */

import { describe, expect, it } from "vitest";
import { BDP, BITS_PER_SECOND, shareBottleneck } from "../../../../test/support/kcp-bottleneck.ts";
import { kcpEchoes } from "../../../../test/support/kcp-echoes.ts";
import { KcpEnd, kcpPair, Transfer } from "../../../../test/support/kcp-pair.ts";
import { Link, SimulatedTime } from "../../../../test/support/link.ts";
import type { CongestionControl } from "../../src/kcp/congestion.ts";
import type { KcpOptions } from "../../src/kcp/machine.ts";

describe("delay control, at 20 Mbit/s and 50 ms with a buffer of 50 ms", () => {
  it.each([0, 0.01])("one sender, loss %f: fills the path and not the buffer", (lossRate) => {
    const { goodput, queue } = shareBottleneck({ lossRate });
    expect(goodput).toBeGreaterThan(0.9);
    expect(queue).toBeLessThan(0.5);
  });

  it.each([
    [0, 0],
    [5_000, 0],
    [20_000, 0],
    [0, 0.01],
    [5_000, 0.01],
    [20_000, 0.01],
  ])("two senders, the second %i ms later, loss %f: share evenly", (later, lossRate) => {
    const { goodput, queue, shares } = shareBottleneck({ lossRate, starts: [0, later] });
    expect(Math.max(...shares)).toBeLessThan(0.6);
    expect(goodput).toBeGreaterThan(0.85);
    expect(queue).toBeLessThan(0.5);
  });

  it("five senders share evenly", () => {
    const { shares, queue } = shareBottleneck({
      starts: [0, 1_000, 2_000, 3_000, 4_000],
      warmMs: 5_000,
    });
    expect(Math.max(...shares)).toBeLessThan(0.25);
    expect(Math.min(...shares)).toBeGreaterThan(0.15);
    expect(queue).toBeLessThan(0.5);
  });

  it("is not slowed by loss that is none of its doing", () => {
    expect(shareBottleneck({ lossRate: 0.05 }).goodput).toBeGreaterThan(0.8);
    expect(shareBottleneck({ lossRate: 0.1 }).goodput).toBeGreaterThan(0.7);
    expect(shareBottleneck({ lossRate: 0.3 }).goodput).toBeGreaterThan(0.3);
  });

  it("is not slowed by jitter", () => {
    expect(shareBottleneck({ jitterMs: 10 }).goodput).toBeGreaterThan(0.85);
    expect(shareBottleneck({ jitterMs: 50 }).goodput).toBeGreaterThan(0.85);
  });

  it("starts without overrunning the buffer", () => {
    const { overflowed, most } = shareBottleneck({ warmMs: 0, lookMs: 3_000 });
    expect(overflowed).toBe(0);
    expect(most).toBeLessThan(0.9);
  });

  it("loses little at a buffer far shorter than its share", () => {
    const { goodput, overflowed } = shareBottleneck({ bufferBytes: BDP / 10 });
    expect(goodput).toBeGreaterThan(0.85);
    expect(overflowed).toBeLessThan(3_000);
  });
});

describe("delay control elsewhere", () => {
  it("fills 1 Gbit/s at 2 ms", () => {
    const weather = { bitsPerSecond: 1e9, latencyMs: 1, bufferBytes: 500_000 };
    const { goodput } = shareBottleneck({ ...weather, warmMs: 200, lookMs: 500 });
    expect(goodput).toBeGreaterThan(0.9);
  });

  it("fills 1 Mbit/s at 50 ms with a buffer of 100 ms", () => {
    const { goodput } = shareBottleneck({ bitsPerSecond: 1e6, bufferBytes: 12_500 });
    expect(goodput).toBeGreaterThan(0.85);
  });

  it("remembers through a quiet time what the path carries", () => {
    const time = new SimulatedTime();
    const weather = { latencyMs: 25, bitsPerSecond: BITS_PER_SECOND, bufferBytes: BDP };
    const there = new Link(time, weather, 1);
    const [from, to] = kcpPair(time, there, new Link(time, { latencyMs: 25 }, 2), { stream: true });
    const first = new Transfer(from, to, 10_000_000);
    first.start();
    expect(time.run(10_000, () => first.done)).toBe(true);
    for (let i = 0; i < 1_000; i++) {
      from.send(new Uint8Array(10));
      time.run(20);
    }
    const began = time.now;
    const second = new Transfer(from, to, 2_000_000);
    second.start();
    expect(time.run(10_000, () => second.received >= second.total)).toBe(true);
    expect((second.total * 8) / (time.now - began) / 1_000).toBeGreaterThan(15);
  });

  it("finds the way back after a cut", () => {
    const time = new SimulatedTime();
    const there = new Link(
      time,
      { latencyMs: 25, bitsPerSecond: BITS_PER_SECOND, bufferBytes: BDP },
      1,
    );
    const [from, to] = kcpPair(time, there, new Link(time, { latencyMs: 25 }, 2), { stream: true });
    const transfer = new Transfer(from, to, Number.MAX_SAFE_INTEGER);
    transfer.start();
    time.run(5_000);
    there.change({ lossRate: 1 });
    const given = there.count.given;
    time.run(3_000);
    expect(there.count.given - given).toBeLessThan(600);
    there.change({ lossRate: 0 });
    time.run(2_000);
    const before = transfer.received;
    time.run(5_000);
    expect(((transfer.received - before) * 8) / (5 * BITS_PER_SECOND)).toBeGreaterThan(0.85);
  });
});

describe("the others", () => {
  it("reno is slow where one in a hundred is lost, which is why it is not the default", () => {
    expect(
      shareBottleneck({ lossRate: 0.01, options: { congestion: "reno" } }).goodput,
    ).toBeLessThan(0.5);
    expect(shareBottleneck({ options: { congestion: "reno" } }).goodput).toBeGreaterThan(0.5);
  });

  it("off floods the buffer, which is why it is not the default", () => {
    const { overflowed, most } = shareBottleneck({ options: { congestion: "off" }, lookMs: 5_000 });
    expect(most).toBeGreaterThan(0.95);
    expect(overflowed).toBeGreaterThan(5_000);
  });

  it("one's own is asked before a segment is touched", () => {
    let told = 0;
    const own: CongestionControl = {
      name: "own",
      window: 3,
      pace: Number.POSITIVE_INFINITY,
      onAck: () => told++,
      onLoss: () => {},
      onTimeout: () => {},
    };
    const time = new SimulatedTime();
    const link = new Link(time, { latencyMs: 10 }, 1);
    const asked: number[] = [];
    const congestion = ({ maxWindow }: { maxWindow: number }): CongestionControl => {
      asked.push(maxWindow);
      return own;
    };
    const options = { congestion, sendWindow: 50, mtu: 100, stream: true };
    const [from, to] = kcpPair(time, link, link, options);
    new KcpEnd(time, link, 1, options);
    const transfer = new Transfer(from, to, 760);
    transfer.start();
    expect([from.kcp.statistics.inFlight, from.kcp.statistics.timeouts]).toEqual([3, 0]);
    expect(time.run(1_000, () => transfer.done)).toBe(true);
    expect(time.now).toBe(70);
    expect(told).toBeGreaterThan(2);
    expect(asked).toEqual([50, 50, 50]);
  });
});

describe("a message every 20 ms and its echo, with round trips of 60 to 125 ms", () => {
  const mean = (all: readonly number[]): number => all.reduce((a, b) => a + b) / all.length;

  // The C implementation's own test loses a tenth of the round trips, in order; here also a tenth each way.
  it.each([
    [0.05, true],
    [0.05, false],
    [0.1, true],
    [0.1, false],
  ])("loss %f each way, in order %s: 140 ms on average, 360 ms at worst", (lossRate, inOrder) => {
    for (let seed = 1; seed <= 20; seed++) {
      const took = kcpEchoes({ lossRate, inOrder }, seed);
      expect(mean(took)).toBeLessThan(140);
      expect(Math.max(...took)).toBeLessThan(360);
    }
  });

  it("takes longer under the classic policy", () => {
    const options: KcpOptions = { policy: "classic", congestion: "off", sendWindow: 128 };
    const weather = { lossRate: 0.05, inOrder: true };
    expect(mean(kcpEchoes(weather, 1, options))).toBeGreaterThan(mean(kcpEchoes(weather, 1)) + 20);
  });
});
