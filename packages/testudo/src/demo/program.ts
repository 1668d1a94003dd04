/**
 * The program that `testudo demo` prints at the end: the same job in one file. A test runs this very text.
 */

export const PROGRAM = `import { readFileSync } from "node:fs";
import { createNetwork, defineMessage, json } from "testudo";

const Line = defineMessage({ name: "line", opcode: 1000, codec: json });
const lines = readFileSync(process.argv[2] ?? "README.md", "utf8").split("\\n");
const [one, two, three] = [createNetwork(), createNetwork(), createNetwork()];

const received = [two, three].map((node) => {
  const got = [];
  node.registerPlugin({
    newMessage: ({ message }) => void got.push(message.as(Line)),
    nodeDeleted: ({ peer, reason }) => console.log(peer.id.short, "left:", reason.message),
  });
  return got;
});

await one.add(await two.listen("kcp:127.0.0.1:0~noise"));
await one.add(await three.listen("net:127.0.0.1:0~shs"));

for (const line of lines) await one.broadcast(Line.of(line)).report();
await one.close();

const losses = received.filter((got) => got.join("\\n") !== lines.join("\\n")).length;
console.log("messages", lines.length, "deliveries", received.flat().length, "losses", losses);
await Promise.all([two.close(), three.close()]);
`;
