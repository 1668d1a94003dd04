import { describe, expect, test } from "vitest";
import { Running, run } from "../support/io.ts";

describe("bench", { timeout: 30_000 }, () => {
  test("prints its figures, in JSON and in words", async () => {
    const words = ["bench", "--peers", "2", "--size", "100", "--time", "20"];
    const { code, out } = await run([...words, "--json"]);
    expect(code).toBe(0);
    expect(out.events).toEqual(
      [
        ["connecting to 2", "ms"],
        ["one stream, 100-byte messages", "messages/s"],
        ["one stream, 100-byte messages", "MB/s"],
        ["one stream, 65536-byte messages", "messages/s"],
        ["one stream, 65536-byte messages", "MB/s"],
        ["fan-out of 100 bytes to 2", "deliveries/s"],
        ["request and reply of 100 bytes, p50", "ms"],
        ["request and reply of 100 bytes, p99", "ms"],
      ].map(([name, unit]) => ({ event: "figure", name, unit, value: expect.any(Number) })),
    );
    const values = out.events.map((event) => (event as unknown as { value: number }).value);
    expect(values.every((value) => value > 0)).toBe(true);
    const plain = await run(["bench", "--peers", "1", "--size", "65536", "--time", "5"]);
    expect(plain.out.lines).toHaveLength(6);
  });

  test("a signal ends it with 1", async () => {
    const command = new Running(["bench", "--peers", "1", "--time", "60000", "--json"]);
    await command.io.out.event("figure");
    expect(await command.stop()).toBe(1);
    expect(command.io.out.events.at(-1)).toMatchObject({ code: "INTERRUPTED" });
  });

  test.each([
    ["--peers", "0"],
    ["--size", "4194305"],
    ["--time", "x"],
  ])("%s %s is a usage error", async (...words) => {
    expect((await run(["bench", ...words])).code).toBe(2);
  });
});

test("bench-node counts loads and echoes, until stdin ends", async () => {
  const node = new Running(["bench-node", "--peers", "2", "--json"]);
  const { addresses } = await node.io.out.event("ready");
  expect(addresses).toHaveLength(2);
  const { createNetwork } = await import("testudo");
  const messages = await import("../../src/bench-messages.ts");
  const network = createNetwork();
  const peer = await network.add((addresses as string[])[0] ?? "");
  const empty = new Uint8Array(0);
  const howMany = (): Promise<number> => peer.request(messages.HowMany.of(empty), messages.SoMany);
  await peer.send(messages.Load.of(empty));
  await peer.send(messages.Load.of(empty));
  expect([await howMany(), await howMany()]).toEqual([2, 0]);
  const body = Uint8Array.of(1, 2, 3);
  expect(await peer.request(messages.Echo.of(body), messages.EchoReply)).toEqual(body);
  expect(() => messages.SoMany.decode(empty)).toThrow();
  await network.close();
  node.io.stdin.end();
  expect(await node.code).toBe(0);
});
