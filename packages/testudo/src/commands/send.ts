/**
 * `testudo send`: dials a node, hands it one message, says goodbye.
 *
 * The goodbye travels behind the message on the same ordered stream, and closing waits for the other
 * side's answer to it: a receiver that is well has the message when this ends.
 */

import type { Readable } from "node:stream";
import { concat, defaultLimits, networkError, toUtf8 } from "@testudo/core";
import type { Command, CommandContext } from "../command.ts";
import { interruptible } from "../io.ts";
import { createNode, OPCODE_OPTION, opcodeOf, reach } from "../node.ts";
import { DIAL_OPTIONS, NODE_OPTIONS, readSettings } from "../settings.ts";

/** How long the receiver may take to answer the goodbye: it reads the message first. */
const CLOSE_TIMEOUT_MS = 10_000;
const LINE_FEED = 10;

export const send: Command = {
  about:
    "Sends one message and ends. Without a text, or with -, all of stdin is the message, less one\ntrailing newline.",
  usage: ["send <address> [text|-] [--opcode N]"],
  options: { ...OPCODE_OPTION, ...DIAL_OPTIONS, ...NODE_OPTIONS },
  positionals: [1, 2],
  run,
};

async function run(context: CommandContext): Promise<undefined> {
  const { args, io, out, leave } = context;
  const [address = "", text = "-"] = args.positionals;
  const opcode = opcodeOf(args);
  const settings = await readSettings(context);
  const there = await settings.protocols.usable(address, { side: "dialer" });
  const network = await createNode(settings, { closeTimeoutMs: CLOSE_TIMEOUT_MS });
  if (text === "-" && io.terminal.stdin) out.note("type the message; end it with Ctrl-D");
  const body = text === "-" ? await allOf(io.stdin, leave) : toUtf8(text);
  if (body.length > defaultLimits.maxMessageBytes) throw tooLarge(body.length);
  try {
    const peer = await reach(network, there, leave);
    await peer.send({ opcode, body });
    const id = peer.id.text;
    await network.close();
    await out.event("sent", { id, opcode, bytes: body.length });
  } finally {
    await network.close();
  }
}

/** The whole input less one trailing newline. */
async function allOf(stdin: Readable, leave: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of interruptible(stdin, leave)) {
    chunks.push(chunk);
    length += chunk.length;
    // One byte more may still be the newline.
    if (length > defaultLimits.maxMessageBytes + 1) throw tooLarge(length);
  }
  const body = concat(...chunks);
  return body.at(-1) === LINE_FEED ? body.subarray(0, -1) : body;
}

function tooLarge(length: number): Error {
  const most = defaultLimits.maxMessageBytes;
  return networkError(
    "FRAME_TOO_LARGE",
    `the message has ${length} bytes or more, at most ${most} fit; testudo pipe takes any length`,
  );
}
