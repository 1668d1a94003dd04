import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Histogram } from "../../src/histogram.ts";
import { Running } from "../support/io.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "testudo-demo-"));
});
afterAll(() => rm(folder, { recursive: true }));

const running: Running[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((command) => command.stop()));
});

async function start(): Promise<{ node: Running; address: string }> {
  const node = new Running(["demo-node", "net:127.0.0.1:0~noise", "--json"]);
  running.push(node);
  const { address } = (await node.io.out.event("ready")) as unknown as { address: string };
  return { node, address };
}

const tell = (node: Running, order: unknown): void => {
  node.io.stdin.write(`${JSON.stringify(order)}\n`);
};

/** Streams a text from one node to two, and what they say of it. */
async function streamed(text: string, linesPerSecond = 0): Promise<unknown[]> {
  const file = join(folder, "text");
  await writeFile(file, text);
  const [sender, ...receivers] = await Promise.all([start(), start(), start()]);
  for (const { node } of receivers) {
    tell(node, { do: "dial", address: sender.address });
    await node.io.out.event("nodeAdded");
  }
  const { out } = sender.node.io;
  await out.until(() => out.events.filter(({ event }) => event === "nodeAdded").length === 2);
  tell(sender.node, { do: "stream", file, linesPerSecond });
  const verdicts = await Promise.all(receivers.map(({ node }) => node.io.out.event("verdict")));
  return [await out.event("streamed"), ...verdicts];
}

describe("demo-node", () => {
  test.each([
    ["no lines", "", 0],
    ["one line", "only", 1],
    ["empty lines", "\n\n\na\n\n", 5],
    ["ten thousand lines", "line\n".repeat(10_000), 10_000],
    ["a line longer than a message", `${"x".repeat(2_500_000)}\nlast\n`, 4],
  ])("streams %s", async (_, text, messages) => {
    const [sent, ...verdicts] = await streamed(text);
    expect(sent).toMatchObject({ event: "streamed", messages });
    for (const verdict of verdicts) {
      expect(verdict).toMatchObject({ verified: messages, missing: 0, wrong: 0 });
      const { latencies } = verdict as { latencies: unknown };
      expect(Histogram.from(latencies).count).toBe(messages);
    }
  });

  test("keeps to a pace, and tells how far it is", async () => {
    const [sent] = await streamed("a\n".repeat(60), 200);
    expect(sent).toMatchObject({ messages: 60 });
    const sender = running[0]?.io.out.events ?? [];
    expect(sender.map(({ event }) => event)).toContain("sent");
  });

  test("tells who leaves; the end of stdin ends it", async () => {
    const [a, b] = await Promise.all([start(), start()]);
    tell(a.node, { do: "dial", address: b.address });
    await b.node.io.out.event("nodeAdded");
    a.node.io.stdin.end();
    expect(await a.node.code).toBe(0);
    expect(await b.node.io.out.event("nodeDeleted")).toMatchObject({
      reason: { code: "NETWORK_CLOSED" },
    });
  });

  test("an order it does not know ends it", async () => {
    const { node } = await start();
    tell(node, { do: "dance" });
    expect(await node.code).toBe(2);
  });
});
