/** The imagined link itself: it must lose, delay and queue as told, and the same way for the same seed. */

import { describe, expect, it } from "vitest";
import { Link, type LinkWeather, SimulatedTime } from "../../../../test/support/link.ts";

/** Sends numbered datagrams a millisecond apart and gives what arrived: number and time. */
function arrivals(weather: LinkWeather, count: number, seed = 1, size = 100): [number, number][] {
  const time = new SimulatedTime();
  const link = new Link(time, weather, seed);
  const came: [number, number][] = [];
  for (let i = 0; i < count; i++) {
    time.at(i, () => {
      const datagram = new Uint8Array(size).fill(i);
      link.send(datagram, (bytes) => came.push([bytes[0] as number, time.now]));
      datagram.fill(255);
    });
  }
  time.run(10_000);
  return came;
}

describe("an imagined link", () => {
  it("delays", () => {
    expect(arrivals({ latencyMs: 20 }, 3)).toEqual([
      [0, 20],
      [1, 21],
      [2, 22],
    ]);
  });

  it("loses, doubles and mixes up, the same way for the same seed", () => {
    const weather = { lossRate: 0.2, duplicateRate: 0.1, jitterMs: 10, reorderRate: 0.1 };
    const once = arrivals(weather, 200);
    expect(arrivals(weather, 200)).toEqual(once);
    expect(arrivals(weather, 200, 2)).not.toEqual(once);
    const numbers = once.map(([number]) => number);
    expect(new Set(numbers).size).toBeGreaterThan(130);
    expect(new Set(numbers).size).toBeLessThan(190);
    expect(numbers.length).toBeGreaterThan(new Set(numbers).size + 5);
    expect(numbers).not.toEqual(numbers.toSorted((a, b) => a - b));
  });

  it("keeps order when told to", () => {
    const numbers = arrivals({ jitterMs: 50, inOrder: true }, 100).map(([number]) => number);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  });

  it("lets through what its width allows, queues what its buffer holds, and drops the rest", () => {
    // 8,000 bit/s carry one byte a millisecond: 100 bytes with their header of 28 take 128 ms.
    const narrow = { bitsPerSecond: 8_000, bufferBytes: 300 };
    expect(arrivals(narrow, 4)).toEqual([
      [0, 128],
      [1, 256],
    ]);
  });

  it("measures the queue", () => {
    const time = new SimulatedTime();
    const link = new Link(time, { bitsPerSecond: 8_000, headerBytes: 0 }, 1);
    const send = (): void => link.send(new Uint8Array(100), () => {});
    send();
    send();
    time.run(400);
    // A triangle, 200 bytes high and 200 ms long, over 400 ms.
    expect(link.queue).toEqual({ mean: 50, most: 200 });
    link.measure();
    time.run(100);
    expect(link.queue).toEqual({ mean: 0, most: 0 });
  });

  it("swallows what is too large", () => {
    expect(arrivals({ mtu: 99 }, 1)).toEqual([]);
    expect(arrivals({ mtu: 100 }, 1)).toEqual([[0, 0]]);
  });

  it("tells the address that the sender had when it sent", () => {
    const time = new SimulatedTime();
    const link = new Link(time, { latencyMs: 5 }, 1);
    const from: string[] = [];
    link.send(new Uint8Array(1), (_, address) => from.push(address));
    link.address = "second";
    link.send(new Uint8Array(1), (_, address) => from.push(address));
    time.run(10);
    expect(from).toEqual(["first", "second"]);
  });

  it("changes its weather for what is sent from then on", () => {
    const time = new SimulatedTime();
    const link = new Link(time, { lossRate: 1 }, 1);
    let came = 0;
    const send = (): void => link.send(new Uint8Array(1), () => came++);
    send();
    link.change({ lossRate: 0 });
    send();
    time.run(10);
    expect([came, link.count.lost]).toEqual([1, 1]);
  });
});
