/**
 * `testudo bench-node`: the receiving nodes of the bench, in a process of their own. Only `testudo bench`
 * calls it. It ends when stdin ends.
 */

import { type MessageContext, Network, type Plugin } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { Echo, EchoReply, HowMany, Load, SoMany } from "../bench-messages.ts";
import type { Command, CommandContext } from "../command.ts";
import { interruptible } from "../io.ts";

export const benchNode: Command = {
  about: "The receiving nodes of testudo bench.",
  usage: ["bench-node [--peers N]"],
  options: { peers: { value: "N", help: "how many nodes (default 1)" } },
  positionals: [0, 0],
  run,
};

async function run({ args, io, out, leave }: CommandContext): Promise<undefined> {
  const peers = args.whole("peers", { least: 1, most: 1_000, fallback: 1 });
  const nodes = Array.from({ length: peers }, () => new Network({ stacks: [[net(), noise()]] }));
  try {
    const addresses: string[] = [];
    for (const node of nodes) {
      await node.registerPlugin(counter());
      addresses.push(await node.listen("net:127.0.0.1:0~noise"));
    }
    await out.event("ready", { addresses });
    for await (const _ of interruptible(io.stdin, leave)) {
      // Nothing is asked for: its end is what counts.
    }
  } catch (error) {
    if (!leave.aborted) throw error;
  } finally {
    await Promise.all(nodes.map((node) => node.close()));
  }
}

function counter(): Plugin {
  let received = 0;
  return {
    name: "counter",
    newMessage({ message, reply }: MessageContext) {
      if (message.as(Load) !== undefined) {
        received++;
        return undefined;
      }
      if (message.as(HowMany) !== undefined) {
        const answer = SoMany.of(received);
        received = 0;
        return reply(answer);
      }
      const body = message.as(Echo);
      return body === undefined ? undefined : reply(EchoReply.of(body));
    },
  };
}
