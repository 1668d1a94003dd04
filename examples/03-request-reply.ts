/**
 * Request and reply: ask one peer, get its answer as a value. A reply finds its request by itself, and a
 * request that nobody answers ends by itself.
 *
 *     npx tsx --conditions=@testudo/source examples/03-request-reply.ts
 */

import { defineMessage, json, Network, NetworkError } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";

const Sum = defineMessage<number[]>({ name: "sum", opcode: 1003, codec: json });
const Total = defineMessage<number>({ name: "total", opcode: 1004, codec: json });

const calculator = new Network({ stacks: [[net(), noise()]] });
await calculator.registerPlugin({
  name: "calculator",
  newMessage({ message, reply }) {
    // JSON is the other side's claim: what matters is checked.
    const numbers = message.as(Sum);
    if (!Array.isArray(numbers) || numbers.length === 0) return;
    return reply(Total.of(numbers.reduce((total, number) => total + Number(number), 0)));
  },
});
const address = await calculator.listen("net:127.0.0.1:0~noise");

const asker = new Network({ stacks: [[net(), noise()]] });
const peer = await asker.add(address);
console.log("1 + 2 + 3 =", await peer.request(Sum.of([1, 2, 3]), Total));

const questions = [4, 5, 6].map((number) => peer.request(Sum.of([number, number]), Total));
console.log("three at once:", await Promise.all(questions));

try {
  await peer.request(Sum.of([]), Total, { timeoutMs: 100 });
} catch (error) {
  if (error instanceof NetworkError) console.log("no answer:", error.code);
}

await asker.close();
await calculator.close();
