/**
 * Echo: two nodes, one of which sends back what it hears.
 *
 *     npx tsx --conditions=@testudo/source examples/01-echo.ts
 */

import { createNetwork, defineMessage, text } from "testudo";

const Say = defineMessage({ name: "say", opcode: 1000, codec: text });

const [alice, bob] = [createNetwork(), createNetwork()];
await alice.registerPlugin({
  newMessage({ message, reply }) {
    if (message.as(Say) !== undefined) return reply(message);
  },
});
const peer = await bob.add(await alice.listen("net:127.0.0.1:0~noise"));
console.log("the echo:", await peer.request(Say.of("hello"), Say));

await bob.close();
await alice.close();
