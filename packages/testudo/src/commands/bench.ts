/**
 * `testudo bench`: what this machine does, over net~noise between two processes: encrypted, checksummed,
 * and counted where a plugin receives it.
 *
 * A quick look in a few seconds. Comparisons with others are made by the repository's own benchmarks.
 */

import { type Message, Network, type Peer } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { Echo, EchoReply, HowMany, Load, SoMany } from "../bench-messages.ts";
import { Child } from "../child.ts";
import type { Command, CommandContext } from "../command.ts";
import { CommandError } from "../failure.ts";
import { Histogram } from "../histogram.ts";

export const bench: Command = {
  about:
    "Measures connecting, throughput, fan-out and latency over net~noise between two processes of\nthis machine. What is counted was received by a plugin.",
  usage: ["bench [--peers N] [--size B]"],
  options: {
    peers: { value: "N", help: "receivers of the fan-out (default 8)" },
    size: { value: "B", help: "bytes of a message's body (default 1024)" },
    time: { value: "MS", help: "milliseconds of each part (default 1000)" },
  },
  positionals: [0, 0],
  run,
};

const START_MS = 20_000;
const BULK_BYTES = 64 * 1024;
/** A sender waits for the oldest of so many windows before it sends on. */
const WINDOWS = 4;
const WINDOW_BYTES = 256 * 1024;
/** Half of what a peer's queue holds. */
const UNDER_WAY_BYTES = 2 * 1024 * 1024;

async function run(context: CommandContext): Promise<undefined> {
  const { args, io, out, leave } = context;
  const peers = args.whole("peers", { least: 1, most: 1_000, fallback: 8 });
  const size = args.whole("size", { least: 0, most: 4 * 1024 * 1024, fallback: 1_024 });
  const timeMs = args.whole("time", { least: 1, most: 600_000, fallback: 1_000 });
  const child = new Child("receiver", ["bench-node", "--peers", String(peers), "--json"], io);
  const network = new Network({ stacks: [[net(), noise()]] });
  const figure = (name: string, value: number, unit: string): void => {
    const shown = value >= 100 ? Math.round(value) : Math.round(value * 1_000) / 1_000;
    const text = `${name.padEnd(42)} ${shown.toLocaleString("en-US")} ${unit}`;
    void out.event("figure", { name, value: shown, unit }, text);
  };
  try {
    const wait = { what: "start", quietMs: START_MS, leave };
    const { addresses } = await child.next(({ event }) => event === "ready", wait);
    const reached = await connect(network, addresses, leave, figure);
    const [first] = reached;
    if (first === undefined) throw new CommandError("CHILD_FAILED", "no receiver came up");
    const timing = { timeMs, leave };
    for (const bytes of size === BULK_BYTES ? [size] : [size, BULK_BYTES]) {
      const load = Load.of(new Uint8Array(bytes));
      const toOne = () => {
        const handed = first.send(load);
        return () => handed;
      };
      const rate = await flood({ peers: [first], load, send: toOne }, timing);
      figure(`one stream, ${bytes}-byte messages`, rate, "messages/s");
      figure(`one stream, ${bytes}-byte messages`, (rate * bytes) / 1e6, "MB/s");
    }
    const load = Load.of(new Uint8Array(size));
    const toAll = () => {
      const delivery = network.broadcast(load);
      return () => delivery.report();
    };
    const fanOut = await flood({ peers: reached, load, send: toAll }, timing);
    figure(`fan-out of ${size} bytes to ${peers}`, fanOut, "deliveries/s");
    const trips = await roundTrips(first, Echo.of(new Uint8Array(size)), timeMs, leave);
    figure(`request and reply of ${size} bytes, p50`, trips.percentile(0.5) ?? 0, "ms");
    figure(`request and reply of ${size} bytes, p99`, trips.percentile(0.99) ?? 0, "ms");
  } finally {
    await network.close();
    await child.kill();
  }
}

async function connect(
  network: Network,
  addresses: unknown,
  signal: AbortSignal,
  figure: (name: string, value: number, unit: string) => void,
): Promise<Peer[]> {
  const known = Array.isArray(addresses) ? addresses.map(String) : [];
  const start = performance.now();
  const reached = await Promise.all(known.map((address) => network.add(address, { signal })));
  const took = performance.now() - start;
  figure(`connecting to ${known.length}`, took, "ms");
  return reached;
}

interface Flood {
  readonly peers: readonly Peer[];
  readonly load: Message;
  /** Sends one load to every peer. What it returns is asked for once a window: it settles when all so far is handed over. */
  readonly send: () => () => Promise<unknown>;
}

/** Sends for a while to warm up, then for `timeMs`, and asks every receiver what came. Gives deliveries a second. */
async function flood(
  { peers, load, send }: Flood,
  { timeMs, leave }: { timeMs: number; leave: AbortSignal },
): Promise<number> {
  const group = Math.max(1, Math.floor(WINDOW_BYTES / (load.body.length + 16)));
  const windows = Math.max(1, Math.min(WINDOWS, Math.floor(UNDER_WAY_BYTES / load.body.length)));
  const once = async (forMs: number): Promise<number> => {
    const start = performance.now();
    const under: Promise<unknown>[] = [];
    let sent = 0;
    while (performance.now() - start < forMs) {
      leave.throwIfAborted();
      let handed = send();
      for (let i = 1; i < group; i++) handed = send();
      sent += group;
      under.push(handed());
      if (under.length >= windows) await under.shift();
    }
    await Promise.all(under);
    const question = HowMany.of(new Uint8Array(0));
    const counts = await Promise.all(peers.map((peer) => peer.request(question, SoMany)));
    const took = performance.now() - start;
    const received = counts.reduce((sum, count) => sum + count, 0);
    const expected = sent * peers.length;
    if (received !== expected) {
      throw new CommandError("FAILED", `${received} of ${expected} messages were received`);
    }
    return (1_000 * received) / took;
  };
  await once(timeMs / 4);
  return once(timeMs);
}

async function roundTrips(
  peer: Peer,
  question: Message,
  timeMs: number,
  signal: AbortSignal,
): Promise<Histogram> {
  const trips = new Histogram();
  const start = performance.now();
  while (performance.now() - start < timeMs) {
    const asked = performance.now();
    await peer.request(question, EchoReply, { signal });
    trips.add(performance.now() - asked);
  }
  return trips;
}
