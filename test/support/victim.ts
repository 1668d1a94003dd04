/** Victim: a node in a process of its own that dials an address, says so, sends a line a tick, and waits to be killed. */

import { Network } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { Line } from "./cluster.ts";

const network = new Network({ stacks: [[net(), noise()]] });
const peer = await network.add(process.argv[2] ?? "");
await peer.send(Line.of("here I am"));
process.stdout.write(`connected ${network.id.text}\n`);
setInterval(() => network.broadcast(Line.of("still here")), 10);
