/**
 * `testudo demo-node`: one of the demo's three nodes. Only `testudo demo` calls it.
 *
 * It listens, and does what the JSON lines on stdin say: `dial` an address, `stream` a file to everybody.
 * What happens goes to stdout as JSON lines. It ends when stdin ends.
 */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { fromUtf8, type Network, type PeerContext, type Plugin } from "@testudo/core";
import { keepalive } from "@testudo/plugins/keepalive";
import type { Command, CommandContext } from "../command.ts";
import { checksumOf, End, Line, LineChecker } from "../demo/line.ts";
import { CommandError, failureOf, fileTrouble, UsageError } from "../failure.ts";
import { interruptible } from "../io.ts";
import { linesOf } from "../lines.ts";
import { createNode } from "../node.ts";
import type { Usable } from "../protocols.ts";
import { NODE_OPTIONS, readSettings } from "../settings.ts";

export const demoNode: Command = {
  about: "One node of testudo demo, driven by JSON lines on stdin.",
  usage: ["demo-node <address> [--stack A]..."],
  options: {
    stack: { value: "A", multiple: true, help: "an address it may be told to dial later" },
    ...NODE_OPTIONS,
  },
  positionals: [1, 1],
  run,
};

const MAX_ORDER_BYTES = 64 * 1024;
/** A longer line travels as several messages. */
const MAX_LINE_BYTES = 1024 * 1024;
/** Bytes on their way to the peers before the next line waits for them. */
const WINDOW_BYTES = 64 * 1024;
const PROGRESS_MS = 100;

interface Order {
  readonly do?: unknown;
  readonly address?: unknown;
  readonly file?: unknown;
  readonly linesPerSecond?: unknown;
}

async function run(context: CommandContext): Promise<undefined> {
  const { args, io, out, leave } = context;
  const settings = await readSettings(context);
  const usable = (address: string): Promise<Usable> =>
    settings.protocols.usable(address, { side: "listener" });
  const own = await usable(args.positionals[0] ?? "");
  for (const address of args.all("stack")) await usable(address);
  const network = await createNode(settings);
  const checker = new LineChecker(now, ({ latencies, ...verdict }) => {
    void out.event("verdict", { ...verdict, latencies: latencies.toJSON() });
  });
  let told = 0;
  const progress = setInterval(() => {
    if (checker.verified === told) return;
    told = checker.verified;
    void out.event("received", { messages: told });
  }, PROGRESS_MS);
  try {
    await network.registerPlugin(reporter(context));
    await network.registerPlugin(checker);
    await network.registerPlugin(keepalive({ redial: false }));
    const address = await network.listen(own.text);
    await out.event("ready", { id: network.id.text, address });
    for await (const lines of linesOf(interruptible(io.stdin, leave), MAX_ORDER_BYTES)) {
      for (const { bytes } of lines) await obey(context, network, bytes);
    }
  } catch (error) {
    if (!leave.aborted) throw error;
  } finally {
    clearInterval(progress);
    await network.close();
  }
}

function reporter({ out }: CommandContext): Plugin {
  return {
    name: "reporter",
    nodeAdded: ({ peer }: PeerContext) =>
      out.event("nodeAdded", { id: peer.id.text, address: peer.address, side: peer.side }),
    nodeDeleted({ peer, reason }: PeerContext) {
      const { code, message } = failureOf(reason);
      return out.event("nodeDeleted", { id: peer.id.text, reason: { code, message } });
    },
  };
}

async function obey(context: CommandContext, network: Network, bytes: Uint8Array): Promise<void> {
  const order = JSON.parse(fromUtf8(bytes) ?? "") as Order;
  if (order.do === "dial" && typeof order.address === "string") {
    await network.add(order.address, { signal: context.leave });
  } else if (order.do === "stream" && typeof order.file === "string") {
    const pace = typeof order.linesPerSecond === "number" ? order.linesPerSecond : 0;
    await stream(context, network, order.file, pace);
  } else {
    throw new UsageError("demo-node does not know that order");
  }
}

/** Broadcasts the file, a line a message; `linesPerSecond` 0 is as fast as the peers take them. */
async function stream(
  { out, leave }: CommandContext,
  network: Network,
  file: string,
  linesPerSecond: number,
): Promise<void> {
  const trouble = (error: unknown): never => {
    throw new CommandError("FILE_UNREADABLE", `cannot read ${file}: ${fileTrouble(error)}`);
  };
  const { size } = await stat(file).catch(trouble);
  let number = 0;
  let bytesRead = 0;
  let checksum = 0;
  let underBytes = 0;
  const start = now();
  let told = start;
  const input = createReadStream(file);
  const chunks = interruptible(input, leave);
  for await (const lines of linesOf(chunks, MAX_LINE_BYTES)) {
    for (const { bytes } of lines) {
      if (linesPerSecond > 0) await until(start + (1_000 * number) / linesPerSecond);
      checksum = checksumOf(bytes, checksum);
      const delivery = network.broadcast(Line.of({ number, checksum, sentAt: now(), bytes }));
      number++;
      underBytes += bytes.length + 64;
      if (underBytes >= WINDOW_BYTES) {
        underBytes = 0;
        const [failed] = (await delivery.report()).failed;
        if (failed !== undefined) throw failed.error;
      }
      bytesRead += bytes.length + 1;
      if (now() - told > PROGRESS_MS) {
        told = now();
        await out.event("sent", { messages: number, part: part(bytesRead, size) });
      }
    }
  }
  const [failed] = (await network.broadcast(End.of(number)).report()).failed;
  if (failed !== undefined) throw failed.error;
  await out.event("streamed", { messages: number });
}

function part(done: number, whole: number): number {
  return whole === 0 ? 1 : Math.min(1, done / whole);
}

/** Milliseconds of the clock that all processes of this machine share. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

async function until(time: number): Promise<void> {
  const left = time - now();
  // Timers are no finer than a millisecond; lines that are due together go together.
  if (left >= 1) await new Promise((resolve) => setTimeout(resolve, left));
}
