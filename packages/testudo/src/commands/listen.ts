/**
 * `testudo listen`: runs a node. Says where it listens, then who comes and goes and what arrives, and
 * broadcasts the lines of stdin until a signal comes.
 *
 * The listening line is the first, whatever happens meanwhile. A reader that is slow slows the peers, one
 * by one; a line of stdin waits until the peers have taken the ones before it.
 */

import {
  asError,
  type Deferred,
  type Delivery,
  deferred,
  type MessageContext,
  type Network,
  OPCODES,
  type PeerContext,
  type Plugin,
  type Side,
} from "@testudo/core";
import { keepalive } from "@testudo/plugins/keepalive";
import { latency } from "@testudo/plugins/latency";
import type { Command, CommandContext } from "../command.ts";
import { failureOf } from "../failure.ts";
import type { FirstDials } from "../first-dial.ts";
import { interruptible } from "../io.ts";
import { linesOf } from "../lines.ts";
import { createNode, OPCODE_OPTION, opcodeOf } from "../node.ts";
import { type Output, textOf } from "../output.ts";
import type { Usable } from "../protocols.ts";
import { DIAL_OPTIONS, LISTEN_OPTIONS, NODE_OPTIONS, readSettings } from "../settings.ts";

export const listen: Command = {
  about:
    "Runs a node until SIGINT or SIGTERM. Prints what arrives; the lines of stdin are broadcast.\nPort 0 picks a free one; dial what it prints.",
  usage: ["listen <address>... [--dial A]... [--opcode N]"],
  options: {
    dial: { value: "A", multiple: true, help: "connect to this node, again and again if need be" },
    ...OPCODE_OPTION,
    ...LISTEN_OPTIONS,
    ...DIAL_OPTIONS,
    ...NODE_OPTIONS,
  },
  positionals: [1, Number.POSITIVE_INFINITY],
  run,
};

/** Bytes of typed lines that may be under way to the peers before the next line waits. */
const WINDOW_BYTES = 256 * 1024;

const LIMITS = {
  // The hooks here wait for whoever reads our output, and that may take as long as it takes.
  hookTimeoutMs: 2 ** 31 - 1,
  maxInFlight: 8,
};

async function run(context: CommandContext): Promise<undefined> {
  const { args, out, leave } = context;
  const opcode = opcodeOf(args);
  const settings = await readSettings(context);
  const usable = async (addresses: readonly string[], side: Side): Promise<Usable[]> => {
    const all: Usable[] = [];
    for (const address of addresses) all.push(await settings.protocols.usable(address, { side }));
    return all;
  };
  const listening = await usable(args.positionals, "listener");
  const dialled = await usable(args.all("dial"), "dialer");
  const network = await createNode(settings, LIMITS);
  const events = new Events(out);
  let dials: FirstDials | undefined;
  let typing: Promise<void> | undefined;
  try {
    await network.registerPlugin(events);
    await network.registerPlugin(keepalive());
    await network.registerPlugin(latency());
    const addresses: string[] = [];
    for (const { text } of listening) addresses.push(await network.listen(text));
    await events.begin(network.id.text, addresses);
    if (dialled.length > 0) {
      const { FirstDials } = await import("../first-dial.ts");
      dials = new FirstDials(network, (error) => out.failure(error));
      for (const there of dialled) void dials.keep(there);
    }
    typing = broadcastLines(context, network, opcode);
    await left(leave);
  } finally {
    dials?.close();
    await network.close();
    await typing;
  }
}

/** Opcodes of the plugins that every node runs: their traffic is no news. */
const OWN_OPCODES: ReadonlySet<number> = new Set([
  OPCODES.keepalive,
  OPCODES.keepaliveResponse,
  OPCODES.ping,
  OPCODES.pong,
]);

/** Tells who comes and goes and what arrives. */
class Events implements Plugin {
  readonly name = "events";
  readonly #out: Output;
  readonly #begun: Deferred<void> = deferred();
  #waiting = true;

  constructor(out: Output) {
    this.#out = out;
  }

  /** The first line; then whatever happened before it. */
  async begin(id: string, addresses: readonly string[]): Promise<void> {
    const text = `listening as ${id}\n${addresses.map((address) => `  ${address}`).join("\n")}`;
    if (this.#out.json) await this.#out.event("listening", { id, addresses });
    else await this.#out.lines(text);
    this.#begun.resolve();
    await this.#begun.promise;
    this.#waiting = false;
  }

  nodeAdded({ peer }: PeerContext): Promise<void> | undefined {
    const { address, side, authenticated } = peer;
    const id = peer.id.text;
    const how = side === "dialer" ? "dialled" : "came from";
    const text = `+ ${peer.id.short} ${how} ${address}${authenticated ? "" : " (unproved)"}`;
    return this.#tell("nodeAdded", { id, address, side, authenticated }, text);
  }

  nodeDeleted({ peer, reason }: PeerContext): Promise<void> | undefined {
    const { code, message } = failureOf(reason);
    const text = `- ${peer.id.short} left: ${message} (${code})`;
    return this.#tell("nodeDeleted", { id: peer.id.text, reason: { code, message } }, text);
  }

  newMessage({ peer, message }: MessageContext): Promise<void> | undefined {
    const { opcode, sender, body } = message;
    if (OWN_OPCODES.has(opcode)) return undefined;
    const text = textOf(body);
    const fields = {
      id: sender.text,
      opcode,
      body: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64"),
      ...(text === undefined ? {} : { text }),
    };
    const shown = text ?? `${body.length} bytes: ${fields.body}`;
    return this.#tell("message", fields, `${peer.id.short} [${opcode}] ${shown}`);
  }

  #tell(name: string, fields: object, text: string): Promise<void> | undefined {
    if (!this.#waiting) return this.#out.event(name, fields, text);
    return this.#begun.promise.then(() => this.#out.event(name, fields, text));
  }
}

/** Broadcasts what is typed, line by line, until stdin ends or it is time to leave. Never rejects. */
async function broadcastLines(
  { io, out, leave }: CommandContext,
  network: Network,
  opcode: number,
): Promise<void> {
  const { maxMessageBytes } = network.limits;
  let under: Delivery[] = [];
  let underBytes = 0;
  const settle = async (): Promise<void> => {
    const deliveries = under;
    under = [];
    underBytes = 0;
    for (const delivery of deliveries) {
      for (const { error } of (await delivery.report()).failed) out.failure(error);
    }
  };
  try {
    let skipping = false;
    for await (const lines of linesOf(interruptible(io.stdin, leave), maxMessageBytes)) {
      for (const { bytes, whole } of lines) {
        const overlong = skipping || !whole;
        if (overlong && whole) {
          out.failure(new Error(`a line of more than ${maxMessageBytes} bytes was not sent`));
        }
        skipping = !whole;
        if (overlong) continue;
        const delivery = network.broadcast({ opcode, body: bytes });
        if (delivery.queued === 0) out.note("nobody is connected: the line went to nobody");
        under.push(delivery);
        underBytes += bytes.length;
        if (underBytes >= WINDOW_BYTES) await settle();
      }
      await settle();
    }
  } catch (error) {
    if (!leave.aborted) out.note(`stdin cannot be read any more: ${asError(error).message}`);
  }
}

function left(leave: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (leave.aborted) resolve();
    else leave.addEventListener("abort", () => resolve(), { once: true });
  });
}
