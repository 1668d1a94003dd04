/**
 * Chat between processes: what you type goes to everybody connected, what they type is shown.
 *
 *     npx tsx --conditions=@testudo/source examples/02-chat.ts listen
 *     npx tsx --conditions=@testudo/source examples/02-chat.ts net:127.0.0.1:PORT~noise:KEY
 *
 * It ends when stdin ends (Ctrl-D) and says goodbye first.
 */

import { createInterface } from "node:readline";
import { defineMessage, Network, type Plugin, text } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";

const Line = defineMessage({ name: "line", opcode: 1002, codec: text });

const chat: Plugin = {
  name: "chat",
  nodeAdded: ({ peer }) => console.log(`* ${peer.id.short} is here`),
  nodeDeleted: ({ peer, reason }) => console.log(`* ${peer.id.short} left: ${reason?.code}`),
  newMessage({ message, peer }) {
    const line = message.as(Line);
    // A stranger's text must not steer our terminal.
    if (line !== undefined) console.log(`${peer.id.short}: ${line.replace(/\p{Cc}/gu, "?")}`);
  },
};

const [where = "listen"] = process.argv.slice(2);
const network = new Network({ stacks: [[net(), noise()]] });
await network.registerPlugin(chat);
if (where === "listen") console.log(await network.listen("net:127.0.0.1:0~noise"));
else await network.add(where);

for await (const line of createInterface({ input: process.stdin })) {
  network.broadcast(Line.of(line));
}
await network.close();
