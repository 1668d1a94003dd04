/**
 * `testudo demo`: the main job. Three node processes over three different stacks, a file streamed line by
 * line as broadcasts, order and checksum verified at every receiver, one node killed, the others noticing.
 *
 * The figures are the receivers' own: what their plugins verified. This process only asks and adds up.
 */

import { createReadStream, existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Child, type ChildEvent } from "../child.ts";
import type { Command, CommandContext } from "../command.ts";
import { PROGRAM } from "../demo/program.ts";
import { Screen } from "../demo/screen.ts";
import { CommandError, fileTrouble } from "../failure.ts";
import { Histogram } from "../histogram.ts";

export const demo: Command = {
  about:
    "Starts three nodes on this machine, each in a process of its own and over a stack of its own,\nconnects them, broadcasts a file line by line, kills one, and prints what came of it.",
  usage: ["demo [--file F]"],
  options: {
    file: { value: "F", help: "the text to stream (default: the README of this repository)" },
    rate: {
      value: "N",
      help: "lines a second, 0: as fast as they are taken (default: 2 s for all)",
    },
  },
  positionals: [0, 0],
  run,
};

const NAMES = ["one", "two", "three"] as const;
/** The last is the one that is killed: of TCP the system tells at once, over UDP nobody does. */
const STACKS = ["net:127.0.0.1:0~noise", "kcp:127.0.0.1:0~noise", "net:127.0.0.1:0~shs"];
/** A small file is spread over so long, so that one can watch. */
const SHOW_MS = 2_000;
/** From here on a file goes as fast as the receivers take it. */
const MANY_LINES = 10_000;
/** So long without a word from a node that should be busy, and the demo has failed. */
const QUIET_MS = 20_000;
const LINE_FEED = 10;

/** A node of the demo: its process, and what is known of it. */
interface Node {
  readonly name: string;
  readonly child: Child;
  readonly id: string;
  readonly address: string;
}

interface Figures {
  readonly messages: number;
  readonly deliveries: number;
  readonly losses: number;
  readonly latencies: Histogram;
}

async function run(context: CommandContext): Promise<number | undefined> {
  const { args, io, out } = context;
  const file = args.text("file") ?? readme();
  const linesPerSecond = await rateFor(context, file);
  const screen = new Screen(context);
  const children = NAMES.map((name, index) => {
    const others = STACKS.filter((_, other) => other !== index).flatMap((a) => ["--stack", a]);
    return new Child(name, ["demo-node", STACKS[index] ?? "", "--json", ...others], io);
  });
  try {
    const nodes = await Promise.all(children.map((child) => ready(context, child)));
    const stacks = nodes.map(({ address }) => stackOf(address));
    const text = `three nodes, three processes, three stacks: ${stacks.join(", ")} (kcp: over UDP)`;
    screen.say("nodes", { stacks }, text);
    for (const { name, child, id, address } of nodes) {
      const fields = { name, pid: child.pid, id, address };
      screen.say("node", fields, `  ${name.padEnd(5)}  process ${child.pid}  ${address}`);
    }
    await connect(context, screen, nodes);
    const figures = await stream(context, screen, nodes, { file, linesPerSecond });
    await kill(context, screen, nodes);
    const { messages, deliveries, losses, latencies } = figures;
    const p50Ms = rounded(latencies.percentile(0.5));
    const p99Ms = rounded(latencies.percentile(0.99));
    if (out.json) {
      await out.event("result", { messages, deliveries, losses, p50Ms, p99Ms, program: PROGRAM });
    } else {
      await out.lines(
        `messages ${messages}\ndeliveries ${deliveries}\nlosses ${losses}\np50 ${p50Ms} ms\np99 ${p99Ms} ms\n\nThe same in one program:\n\n${PROGRAM}`,
      );
    }
    return losses === 0 ? 0 : 1;
  } finally {
    await Promise.all(children.map((child) => child.kill()));
  }
}

/** The README beside the packages, or the package's own once installed. */
function readme(): string {
  for (const place of ["../../../../README.md", "../../README.md"]) {
    const file = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(file)) return file;
  }
  throw new CommandError("FILE_UNREADABLE", "there is no README here; name a text with --file");
}

function wait(context: CommandContext, what: string) {
  return { what, quietMs: QUIET_MS, leave: context.leave };
}

async function ready(context: CommandContext, child: Child): Promise<Node> {
  const event = await child.next(({ event }) => event === "ready", wait(context, "start"));
  return { name: child.name, child, id: String(event.id), address: String(event.address) };
}

/** Every node dials the one before it: three pairs, three stacks. */
async function connect(
  context: CommandContext,
  screen: Screen,
  nodes: readonly Node[],
): Promise<void> {
  await Promise.all(
    nodes.map(async (node, index) => {
      const target = nodes[(index + 1) % nodes.length] ?? node;
      const met = (id: string) => (event: ChildEvent) =>
        event.event === "nodeAdded" && event.id === id;
      const both = Promise.all([
        node.child.next(met(target.id), wait(context, `dial ${target.name}`)),
        target.child.next(met(node.id), wait(context, `meet ${node.name}`)),
      ]);
      node.child.tell({ do: "dial", address: target.address });
      await both;
      const stack = stackOf(target.address);
      const fields = { from: node.name, to: target.name, stack };
      screen.say("connected", fields, `  ${node.name} and ${target.name} connected over ${stack}`);
    }),
  );
}

/** `net~noise` of an address with places and keys. */
function stackOf(address: string): string {
  return address.replace(/:[^~]*/g, "");
}

/** Lines a second; throws `FILE_UNREADABLE`. */
async function rateFor({ args }: CommandContext, file: string): Promise<number> {
  const rate = args.whole("rate", { least: 0, most: 1_000_000_000, fallback: -1 });
  const unreadable = (why: string): CommandError =>
    new CommandError("FILE_UNREADABLE", `cannot read ${file}: ${why}; name a text with --file`);
  let lines = 0;
  try {
    if (!(await stat(file)).isFile()) throw unreadable("it is no regular file");
    for await (const chunk of createReadStream(file)) {
      for (const byte of chunk as Uint8Array) if (byte === LINE_FEED) lines++;
      if (rate >= 0 || lines > MANY_LINES) break;
    }
  } catch (error) {
    throw error instanceof CommandError ? error : unreadable(fileTrouble(error));
  }
  if (rate >= 0) return rate;
  return lines > MANY_LINES ? 0 : Math.max(1, Math.ceil((1_000 * lines) / SHOW_MS));
}

async function stream(
  context: CommandContext,
  screen: Screen,
  [sender, ...receivers]: readonly Node[],
  options: { file: string; linesPerSecond: number },
): Promise<Figures> {
  if (sender === undefined) throw new TypeError("no nodes");
  screen.say("streaming", { file: options.file }, `streaming ${options.file} from ${sender.name}`);
  const counts = new Map(receivers.map(({ name }) => [name, 0]));
  let progress = { sent: 0, part: 0 };
  const show = (): void => {
    const received = [...counts].map(([name, messages]) => ({ name, messages }));
    screen.progress({ ...progress, received });
  };
  const stops = receivers.map(({ name, child }) =>
    child.onEvent((event) => {
      if (event.event !== "received") return;
      counts.set(name, Number(event.messages));
      show();
    }),
  );
  stops.push(
    sender.child.onEvent((event) => {
      if (event.event !== "sent") return;
      progress = { sent: Number(event.messages), part: Number(event.part) };
      show();
    }),
  );
  try {
    const all = Promise.all([
      sender.child.next(({ event }) => event === "streamed", wait(context, "stream")),
      ...receivers.map(({ child }) =>
        child.next(({ event }) => event === "verdict", wait(context, "receive")),
      ),
    ]);
    sender.child.tell({ do: "stream", ...options });
    const [streamed, ...verdicts] = await all;
    return addUp(screen, Number(streamed?.messages), receivers, verdicts);
  } finally {
    for (const stop of stops) stop();
  }
}

function addUp(
  screen: Screen,
  messages: number,
  receivers: readonly Node[],
  verdicts: readonly ChildEvent[],
): Figures {
  const latencies = new Histogram();
  let deliveries = 0;
  for (const [index, verdict] of verdicts.entries()) {
    const name = receivers[index]?.name ?? "";
    const verified = Number(verdict.verified);
    deliveries += verified;
    latencies.merge(Histogram.from(verdict.latencies));
    const fields = { name, messages: verified, losses: messages - verified };
    const right = verified === messages ? "all in order, every checksum right" : "NOT ALL RIGHT";
    screen.say("verified", fields, `  ${name} verified ${verified} of ${messages}: ${right}`);
  }
  return { messages, deliveries, losses: messages * receivers.length - deliveries, latencies };
}

/** Kills the last node and waits until every other has noticed. */
async function kill(
  context: CommandContext,
  screen: Screen,
  nodes: readonly Node[],
): Promise<void> {
  const victim = nodes.at(-1);
  if (victim === undefined) throw new TypeError("no nodes");
  const others = nodes.slice(0, -1);
  const noticing = others.map(async ({ name, child }) => {
    const gone = (event: ChildEvent): boolean =>
      event.event === "nodeDeleted" && event.id === victim.id;
    const { reason } = await child.next(gone, wait(context, `notice that ${victim.name} is gone`));
    const text = `  ${name} noticed: ${victim.name} left: ${reason?.message} (${reason?.code})`;
    screen.say("noticed", { by: name, name: victim.name, id: victim.id, reason }, text);
  });
  screen.say("killing", { name: victim.name, id: victim.id }, `killing ${victim.name} (SIGKILL)`);
  await Promise.all([victim.child.kill(), ...noticing]);
}

/** `0.312`; `0` when there was nothing to measure. */
function rounded(ms: number | undefined): number {
  return Math.round((ms ?? 0) * 1_000) / 1_000;
}
