/**
 * `testudo ping`: how long a message takes to a node and back, through its plugins.
 */

import { asError, networkError } from "@testudo/core";
import { keepalive } from "@testudo/plugins/keepalive";
import { latency } from "@testudo/plugins/latency";
import type { Command, CommandContext } from "../command.ts";
import { failureOf } from "../failure.ts";
import { createNode, reach } from "../node.ts";
import { DIAL_OPTIONS, NODE_OPTIONS, readSettings } from "../settings.ts";

export const ping: Command = {
  about: "Dials a node and measures the round trip of messages that its latency plugin answers.",
  usage: ["ping <address> [-c N]"],
  options: {
    count: { value: "N", short: "c", help: "how many (default 4)" },
    interval: { value: "MS", help: "milliseconds between two (default 200)" },
    timeout: { value: "MS", help: "how long one may take (default 5000)" },
    ...DIAL_OPTIONS,
    ...NODE_OPTIONS,
  },
  positionals: [1, 1],
  run,
};

async function run(context: CommandContext): Promise<undefined> {
  const { args, out, leave } = context;
  const count = args.whole("count", { least: 1, most: 1_000_000, fallback: 4 });
  const intervalMs = args.whole("interval", { least: 0, most: 3_600_000, fallback: 200 });
  const timeoutMs = args.whole("timeout", { least: 1, most: 3_600_000, fallback: 5_000 });
  const settings = await readSettings(context);
  const there = await settings.protocols.usable(args.positionals[0] ?? "", { side: "dialer" });
  const network = await createNode(settings);
  try {
    // A long interval would look like death to the other side.
    await network.registerPlugin(keepalive({ redial: false }));
    const audit = await network.registerPlugin(latency({ intervalMs: 0, timeoutMs }));
    const peer = await reach(network, there, leave);
    const times: number[] = [];
    for (let seq = 1; seq <= count; seq++) {
      if (seq > 1) await pause(intervalMs, leave);
      try {
        const rttMs = rounded(await audit.ping(peer, { signal: leave }));
        times.push(rttMs);
        await out.event("ping", { seq, rttMs }, `${seq}  ${rttMs} ms`);
      } catch (error) {
        const { code, message } = failureOf(error);
        if (leave.aborted || code !== "REQUEST_TIMEOUT") throw error;
        await out.event("ping", { seq, error: { code, message } }, `${seq}  lost: ${message}`);
      }
    }
    if (times.length === 0) {
      throw networkError("REQUEST_TIMEOUT", `${peer.address} answered none of ${count} pings`, {
        address: peer.address,
      });
    }
    const sum = times.reduce((total, time) => total + time, 0);
    const figures = {
      sent: count,
      received: times.length,
      minMs: times.reduce((a, b) => Math.min(a, b)),
      avgMs: rounded(sum / times.length),
      maxMs: times.reduce((a, b) => Math.max(a, b)),
    };
    const { received, minMs, avgMs, maxMs } = figures;
    await out.event(
      "summary",
      figures,
      `${received} of ${count} answered; min/avg/max ${minMs}/${avgMs}/${maxMs} ms`,
    );
  } finally {
    await network.close();
  }
}

/** Microseconds are as fine as it gets. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

function pause(ms: number, leave: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onLeave = (): void => {
      clearTimeout(timer);
      reject(asError(leave.reason));
    };
    const timer = setTimeout(() => {
      leave.removeEventListener("abort", onLeave);
      resolve();
    }, ms);
    leave.addEventListener("abort", onLeave, { once: true });
    if (leave.aborted) onLeave();
  });
}
