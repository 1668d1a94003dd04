/**
 * Clocks, statistics, and the sending loops that several workloads share.
 */

/** Microseconds of the machine's monotonic clock: the same in every process. */
export function nowUs() {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1e6 + nanos / 1e3;
}

/** CPU time of this process in microseconds, user and system. */
export function cpuUs() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** @param {number} ms */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/**
 * @param {ArrayLike<number>} values
 * @param {number} q  0 to 1
 */
export function quantile(values, q) {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

/** The middle value, or the mean of the two middle ones. @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN;
  return ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/**
 * Sends for `durationMs`, never more than `perTurn` messages before the event loop turns, and waits
 * whenever the sink says so. Returns how many were sent.
 * @param {{ send: (body: Uint8Array) => boolean, drain: () => Promise<void> }} sink
 * @param {{ body: Uint8Array, durationMs: number, perTurn: number, maximum?: number }} options
 */
export async function flood(
  sink,
  { body, durationMs, perTurn, maximum = Number.POSITIVE_INFINITY },
) {
  const end = nowUs() + durationMs * 1e3;
  let sent = 0;
  while (nowUs() < end && sent < maximum) {
    let room = true;
    for (let i = 0; i < perTurn && room && sent < maximum; i++) {
      room = sink.send(body);
      sent++;
    }
    if (room) await nextTurn();
    else await sink.drain();
  }
  return sent;
}

/**
 * One warmed-up, counted flood: sends, waits until the listener has received everything, and gives the
 * receiver's rate and the CPU time of both processes.
 * @param {import("./types.mjs").Remote} remote
 * @param {{ send: (body: Uint8Array) => boolean, drain: () => Promise<void> }} sink
 * @param {{ body: Uint8Array, durationMs: number, warmupMs: number, perTurn: number, copies?: number, maximum?: number }} options
 *   `copies`: how many receivers one send reaches.
 */
export async function countedFlood(remote, sink, options) {
  const { body, durationMs, warmupMs, perTurn, copies = 1, maximum } = options;
  await remote.call("count");
  const warm = await flood(sink, { body, durationMs: warmupMs, perTurn, maximum });
  await remote.call("received", warm * copies);
  await remote.call("count");
  const cpuBefore = cpuUs();
  const start = nowUs();
  const sent = await flood(sink, { body, durationMs, perTurn, maximum });
  const { lastUs, cpuUs: listenerCpu } = await remote.call("received", sent * copies);
  const dialerCpu = cpuUs() - cpuBefore;
  const received = sent * copies;
  return {
    received,
    perSecond: received / ((lastUs - start) / 1e6),
    cpuUsPerMessage: (dialerCpu + listenerCpu) / received,
    dialerCpuUs: dialerCpu,
    listenerCpuUs: listenerCpu,
  };
}
