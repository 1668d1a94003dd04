/**
 * Our KCP machine against the C implementation, by the npm package node-kcp: `node interop/node-kcp.mjs [MIB]`.
 *
 * Over imagined paths that lose, double, delay and mix up, in both directions at once: every byte, and in message
 * mode every boundary, must come out right. Exits 1 when one does not, and says so and exits 0 where the package
 * is not installed.
 */

import { MISSING, NativeKcp } from "../lib/node-kcp.mjs";

if (NativeKcp === undefined) {
  console.log(`skipped: ${MISSING}`);
  process.exit(0);
}
const { joined, KcpEnd, Link, NativeEnd, SimulatedTime, Transfer } = await import(
  "../lib/virtual.mjs"
);

const MIB = 1 << 20;
const SIZE = Number(process.argv[2] ?? 4) * MIB;
const MESSAGES = 3_000;
const HOUR_MS = 3_600_000;
const BAD = { latencyMs: 20, jitterMs: 50, lossRate: 0.1, duplicateRate: 0.05, reorderRate: 0.1 };
const PATHS = {
  "a good path": { latencyMs: 20 },
  "10 % loss, 5 % doubles, 10 % disorder, 50 ms jitter": BAD,
  "30 % loss": { latencyMs: 25, lossRate: 0.3 },
};
const FAST = { noDelay: /** @type {const} */ (1), intervalMs: 10, fastResend: 2 };
const OURS = {
  modern: { ...FAST, sendWindow: 256, receiveWindow: 256 },
  classic: {
    ...FAST,
    policy: /** @type {const} */ ("classic"),
    congestion: /** @type {const} */ ("off"),
    sendWindow: 256,
    receiveWindow: 256,
  },
};

let failed = 0;
for (const [policy, options] of Object.entries(OURS)) {
  for (const [path, weather] of Object.entries(PATHS)) {
    for (const stream of [true, false]) {
      for (const mtu of stream ? [1_400] : [1_400, 576]) {
        const what = `${policy}, ${stream ? "stream" : "messages"}, mtu ${mtu}, ${path}`;
        try {
          const said = (stream ? streams : messages)({ ...options, stream, mtu }, weather);
          console.log(`ok      ${what}: ${said}`);
        } catch (error) {
          failed++;
          console.log(`FAILED  ${what}: ${error instanceof Error ? error.message : error}`);
        }
      }
    }
  }
}
console.log(failed === 0 ? "all right" : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/**
 * @param {import("../../packages/transports/src/kcp/machine.ts").KcpOptions} options
 * @param {import("../../test/support/link.ts").LinkWeather} weather
 */
function pairOf(options, weather) {
  const time = new SimulatedTime();
  const there = new Link(time, weather, 1);
  const back = new Link(time, weather, 2);
  const { stream = false, mtu = 1_400 } = options;
  const ours = new KcpEnd(time, there, 7, options);
  const native = new NativeEnd(time, back, 7, { ...FAST, window: 256, stream, mtu });
  joined(/** @type {any} */ (ours), native);
  return { time, ours, native };
}

/** @param {{ ours: { faults: number[] }, native: { faults: number[] } }} pair */
function checkFaults({ ours, native }) {
  const faults = [...ours.faults, ...native.faults];
  if (faults.length > 0) throw new Error(`${faults.length} datagrams were refused: ${faults[0]}`);
}

/** A stream each way at once. @type {typeof messages} */
function streams(options, weather) {
  const pair = pairOf(options, weather);
  const { time, ours, native } = pair;
  const other = /** @type {any} */ (native);
  const ways = [new Transfer(ours, other, SIZE), new Transfer(other, ours, SIZE)];
  for (const way of ways) way.start();
  time.run(HOUR_MS, () => ways.every(({ done }) => done));
  for (const { received, wrongAt } of ways) {
    if (wrongAt >= 0) throw new Error(`byte ${wrongAt} is wrong`);
    if (received !== SIZE) throw new Error(`${received} of ${SIZE} bytes arrived`);
  }
  checkFaults(pair);
  return `${SIZE / MIB} MiB each way in ${(time.now / 1e3).toFixed(1)} s of virtual time`;
}

/**
 * Messages of 1 to 20,000 bytes each way at once, which are to come out as they went in.
 * @param {import("../../packages/transports/src/kcp/machine.ts").KcpOptions} options
 * @param {import("../../test/support/link.ts").LinkWeather} weather
 */
function messages(options, weather) {
  const pair = pairOf(options, weather);
  const { time, ours, native } = pair;
  const lengthOf = (/** @type {number} */ i) => 1 + ((i * 7_919) % (i % 10 === 0 ? 20_000 : 600));
  const bytesOf = (/** @type {number} */ i) =>
    new Uint8Array(lengthOf(i)).map((_, at) => (i * 31 + at * 7) & 255);
  let bytes = 0;
  const counts = [ours, native].map((end, side) => {
    const count = { sent: 0, received: 0 };
    const other = side === 0 ? native : ours;
    end.onWritable = () => {
      while (count.sent < MESSAGES && end.kcp.waitSend < 512) {
        if (end.kcp.send(bytesOf(count.sent)) < 0) throw new Error("a message was refused");
        count.sent++;
      }
    };
    other.onReadable = () => {
      for (let one = other.kcp.recv(); one !== undefined; one = other.kcp.recv()) {
        if (Buffer.compare(one, bytesOf(count.received)) !== 0) {
          throw new Error(`message ${count.received} is wrong`);
        }
        bytes += one.length;
        count.received++;
      }
    };
    return count;
  });
  for (const end of [ours, native]) {
    end.onWritable();
    end.drive();
  }
  time.run(HOUR_MS, () => counts.every(({ received }) => received === MESSAGES));
  for (const { received } of counts) {
    if (received !== MESSAGES) throw new Error(`${received} of ${MESSAGES} messages arrived`);
  }
  checkFaults(pair);
  return `${MESSAGES} messages each way, ${(bytes / MIB).toFixed(1)} MiB, in ${(time.now / 1e3).toFixed(1)} s of virtual time`;
}
