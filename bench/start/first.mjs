/**
 * One of two Testudo processes started together.
 * - `first.mjs listen PORT SECRET`: listens, and prints the clock when its plugin has a message.
 * - `first.mjs dial ADDRESS`: dials until somebody listens, then broadcasts.
 */

import { bytes, defineMessage, Identity, Network } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";

const [role, target, secret] = process.argv.slice(2);
const RETRY_MS = 5;
const Hello = defineMessage({ name: "hello", opcode: 1000, codec: bytes });

if (role === "listen") await listen();
else await dial();

async function listen() {
  const identity = Identity.fromSecret(Buffer.from(String(secret), "hex"));
  const network = new Network({ identity, stacks: [[net(), noise()]] });
  await network.registerPlugin({
    newMessage({ message }) {
      if (message.as(Hello) === undefined) return;
      const [seconds, nanos] = process.hrtime();
      process.stdout.write(`${seconds * 1e6 + nanos / 1e3}\n`);
    },
  });
  await network.listen(`net:127.0.0.1:${target}~noise`);
}

async function dial() {
  const network = new Network({ stacks: [[net(), noise()]] });
  for (;;) {
    try {
      await network.add(String(target));
      break;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
  network.broadcast(Hello.of(Buffer.from("hello")));
}
