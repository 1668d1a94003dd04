/**
 * The whole transport on real sockets, whatever a relay between them does: every byte right, and every end heard of.
 * A few MiB over the worst of these paths, or as many as `TESTUDO_KCP_SOCKET_MIB` says: 256 takes some minutes.
 */

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { failureOf, pattern } from "../../../../test/support/traffic.ts";
import type { RelayWeather } from "../../../../test/support/udp-relay.ts";
import type { KcpConnection, KcpTransportOptions } from "../../src/kcp/index.ts";
import { through } from "./through.ts";

const MIB = 1 << 20;
const LARGE: number = Number(process.env["TESTUDO_KCP_SOCKET_MIB"] ?? 2) * MIB;
const CHUNK_BYTES = 65_521;
const BAD: RelayWeather = { lossRate: 0.1, duplicateRate: 0.05, reorderRate: 0.1, delayMs: 50 };
/** Slower than anything here on a machine that is not busy with something else. */
const SLOWEST_BYTES_PER_MS = 50;

const timeoutFor = (bytes: number): number => 20_000 + bytes / SLOWEST_BYTES_PER_MS;

/** Writes so many bytes, then ends, and gives their hash. Calls back when half of them are written. */
async function write(to: KcpConnection, bytes: number, half = (): void => {}): Promise<string> {
  const hash = createHash("sha256");
  for (let left = bytes, told = false; left > 0; left -= CHUNK_BYTES) {
    const chunk = pattern(Math.min(left, CHUNK_BYTES), left);
    hash.update(chunk);
    if (!to.write(chunk)) await to.drain();
    if (told || left > bytes / 2) continue;
    told = true;
    half();
  }
  await to.end();
  return hash.digest("hex");
}

async function hashOf(from: KcpConnection): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of from) hash.update(chunk);
  return hash.digest("hex");
}

describe("a transfer on real sockets", () => {
  expectNoLeaks();

  it(
    "over 10 % loss, 5 % doubles, 10 % disorder and 50 ms jitter",
    async () => {
      const { dialer, accepted, relay, end } = await through(BAD, 1);
      const [sent, got, back, gotBack] = await Promise.all([
        write(dialer, LARGE),
        hashOf(accepted),
        write(accepted, MIB / 2),
        hashOf(dialer),
      ]);
      expect([got, gotBack]).toEqual([sent, back]);
      expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
      const { given, lost, doubled, reordered } = relay.count;
      for (const [count, rate] of [
        [lost, 0.1],
        [doubled, 0.05],
        [reordered, 0.1],
      ] as const) {
        expect(count / given).toBeGreaterThan(rate / 2);
      }
      await end();
    },
    timeoutFor(LARGE),
  );

  it(
    "over 30 % loss",
    async () => {
      const { dialer, accepted, end } = await through({ lossRate: 0.3, delayMs: 10 }, 2);
      const [sent, got] = await Promise.all([write(dialer, MIB), hashOf(accepted)]);
      expect(got).toBe(sent);
      await end();
    },
    timeoutFor(MIB),
  );

  it(
    "over a path that changes in the middle: another port of the dialer, and smaller datagrams",
    async () => {
      const { dialer, accepted, relay, end } = await through({ lossRate: 0.02, delayMs: 5 }, 3);
      let narrowed: Promise<number> | undefined;
      const change = (): void => {
        relay.weather.mtu = 1_250;
        narrowed = relay.move();
      };
      const [sent, got] = await Promise.all([write(dialer, 2 * MIB, change), hashOf(accepted)]);
      expect(got).toBe(sent);
      expect(relay.count.tooLong).toBeGreaterThan(0);
      expect(accepted.session.place.port).toBe(await narrowed);
      expect(dialer.statistics.mtu).toBeLessThanOrEqual(1_250);
      await end();
    },
    timeoutFor(2 * MIB),
  );
});

describe("an end on real sockets", () => {
  expectNoLeaks();

  it(
    "brings all that was accepted before a close, and is heard on both sides",
    async () => {
      const { dialer, accepted, end } = await through(BAD, 4);
      const sent = pattern(700_000);
      dialer.write(sent);
      const closing = dialer.close();
      const got = hashOf(accepted);
      void accepted.end();
      await closing;
      expect(await got).toBe(createHash("sha256").update(sent).digest("hex"));
      expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
      await end();
    },
    timeoutFor(MIB),
  );

  it("is reported within the timeout when the other side vanishes, to reader and writer", async () => {
    const options: KcpTransportOptions = { idleTimeoutMs: 600, keepaliveMs: 200 };
    const { dialer, accepted, relay, end } = await through({}, 5, options);
    await Promise.all([dialer.write(pattern(10)), accepted[Symbol.asyncIterator]().next()]);
    relay.weather.lossRate = 1;
    dialer.write(pattern(100_000));
    const ended = dialer.end();
    const [ours, theirs] = await Promise.all([dialer.closed, accepted.closed]);
    for (const error of [ours, theirs]) expect(error).toMatchObject({ code: "TRUNCATED" });
    expect(await failureOf(hashOf(accepted))).toMatchObject({ code: "TRUNCATED" });
    await ended;
    await end();
  });
});
