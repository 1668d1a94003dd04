/**
 * Peer: one end of a transfer, a process of its own in a namespace. Not a test.
 *
 *     listener NAME HOST        prints its address; of each stream it answers the SHA-256 of what came
 *     dialer ADDRESS BYTES      sends so many, and prints the milliseconds until the right answer was there
 *
 * Ends with its input.
 */

import { createHash } from "node:crypto";
import { MultiServer, type Transport, toHex, toUtf8 } from "@testudo/core";
import { kcp } from "@testudo/transports/kcp";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { pattern, readAll } from "../support/traffic.ts";

const CHUNK_BYTES = 65_536;
const TRANSPORTS: Readonly<Record<string, (host: string) => Transport>> = {
  kcp: (host) => kcp({ host, port: 0, scope: "local" }),
  net: (host) => net({ host, port: 0, scope: "local" }),
};

process.stdin.resume().on("end", () => process.exit());

const [role, ...args] = process.argv.slice(2);
if (role === "listener") await listen(args);
else await dial(args);

async function listen([name = "", host = ""]: readonly string[]): Promise<void> {
  const transport = TRANSPORTS[name]?.(host);
  if (transport === undefined) throw new Error(`no transport ${name}`);
  const server = new MultiServer([[transport, noise()]]);
  await server.server(async (stream) => {
    const hash = createHash("sha256");
    for await (const chunk of stream) hash.update(chunk);
    stream.write(toUtf8(hash.digest("hex")));
    await stream.close();
  });
  process.stdout.write(`${server.stringify("local")}\n`);
}

async function dial([address = "", bytes = ""]: readonly string[]): Promise<void> {
  const client = new MultiServer([
    [kcp(), noise()],
    [net(), noise()],
  ]);
  const hash = createHash("sha256");
  const start = performance.now();
  const stream = await client.client(address);
  let half = Number(bytes) / 2;
  for (let left = Number(bytes); left > 0; left -= CHUNK_BYTES) {
    const chunk = pattern(Math.min(left, CHUNK_BYTES), left);
    hash.update(chunk);
    if (!stream.write(chunk)) await stream.drain();
    if (left <= half) {
      half = 0;
      process.stdout.write("half\n");
    }
  }
  await stream.end();
  const answer = new TextDecoder().decode(await readAll(stream));
  const right = answer === toHex(hash.digest());
  process.stdout.write(`${right ? "took" : "wrong"} ${Math.round(performance.now() - start)} ms\n`);
  await stream.close();
  process.exit();
}
