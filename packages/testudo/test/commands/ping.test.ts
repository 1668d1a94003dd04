import { createNetwork, type Network } from "testudo";
import { afterEach, describe, expect, test } from "vitest";
import { Running, run } from "../support/io.ts";

const networks: Network[] = [];
const running: Running[] = [];
afterEach(async () => {
  await Promise.all(networks.splice(0).map((network) => network.close()));
  await Promise.all(running.splice(0).map((command) => command.stop()));
});

describe("ping", () => {
  test("measures round trips to what listen runs, and adds them up", async () => {
    const listener = new Running(["listen", "--json", "net:127.0.0.1:0~noise"]);
    running.push(listener);
    const [address = ""] = await listener.listening();
    const { code, out } = await run(["ping", address, "--interval", "0", "--json"]);
    expect(code).toBe(0);
    const [summary] = out.events.slice(-1);
    const pings = out.events.slice(0, -1);
    expect(pings.map(({ event, seq }) => [event, seq])).toEqual(
      [1, 2, 3, 4].map((seq) => ["ping", seq]),
    );
    const times = pings.map(({ rttMs }) => Number(rttMs));
    expect(times.every((time) => time > 0)).toBe(true);
    expect(summary).toEqual({
      event: "summary",
      sent: 4,
      received: 4,
      minMs: Math.min(...times),
      avgMs: expect.closeTo(times.reduce((a, b) => a + b) / 4, 2),
      maxMs: Math.max(...times),
    });
    // Pings are no news to whoever listens.
    expect(listener.io.out.events.filter(({ event }) => event === "message")).toEqual([]);
  });

  test("goes by the alternative that works", async () => {
    const listener = new Running(["listen", "--json", "ws://127.0.0.1:0~shs"]);
    running.push(listener);
    const [address = ""] = await listener.listening();
    const both = `net:127.0.0.1:1~noise;${address}`;
    const { code, out } = await run(["ping", both, "-c", "1", "--json"]);
    expect([code, out.events.at(-1)]).toMatchObject([0, { event: "summary", received: 1 }]);
  });

  test("says it in words; -c is how many", async () => {
    const network = createNetwork();
    networks.push(network);
    const address = await network.listen("net:127.0.0.1:0~noauth");
    const { code, out } = await run(["ping", address, "-c", "2", "--interval", "1"]);
    expect(code).toBe(0);
    expect(out.lines).toEqual([
      expect.stringMatching(/^1 {2}[\d.]+ ms$/),
      expect.stringMatching(/^2 {2}[\d.]+ ms$/),
      expect.stringMatching(/^2 of 2 answered; min\/avg\/max [\d.]+\/[\d.]+\/[\d.]+ ms$/),
    ]);
  });

  test("pings that nobody answers are lost, and all lost is a failure", async () => {
    const network = createNetwork({ latency: false });
    networks.push(network);
    const address = await network.listen("net:127.0.0.1:0~noise");
    const words = ["ping", address, "-c", "2", "--interval", "0", "--timeout", "5", "--json"];
    const { code, out } = await run(words);
    expect(code).toBe(1);
    expect(out.events).toMatchObject([
      { event: "ping", seq: 1, error: { code: "REQUEST_TIMEOUT" } },
      { event: "ping", seq: 2, error: { code: "REQUEST_TIMEOUT" } },
      { event: "error", code: "REQUEST_TIMEOUT", address },
    ]);
  });

  test("a node that leaves meanwhile ends it with 1", async () => {
    const network = createNetwork();
    const address = await network.listen("net:127.0.0.1:0~noise");
    const command = new Running(["ping", address, "-c", "1000", "--interval", "1", "--json"]);
    await command.io.out.event("ping");
    await network.close();
    expect(await command.code).toBe(1);
    expect(command.io.out.events.at(-1)).toMatchObject({ event: "error", code: "NETWORK_CLOSED" });
  });

  test("a signal ends it with 1, in the middle of a pause too", async () => {
    const network = createNetwork();
    networks.push(network);
    const address = await network.listen("net:127.0.0.1:0~noise");
    const command = new Running(["ping", address, "--interval", "3600000", "--json"]);
    await command.io.out.event("ping");
    expect(await command.stop()).toBe(1);
    expect(command.io.out.events.at(-1)).toMatchObject({ code: "INTERRUPTED" });
  });

  test.each(["0", "x", "-3"])("-c %s is a usage error", async (count) => {
    expect((await run(["ping", "net:127.0.0.1:1~noise", `-c${count}`])).code).toBe(2);
  });
});
