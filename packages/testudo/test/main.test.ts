import { describe, expect, test, vi } from "vitest";
import { main } from "../src/main.ts";
import { Running, run, TestIo } from "./support/io.ts";

describe("main", () => {
  test("alone it prints the table of commands and exits with 2; asked for, with 0", async () => {
    const alone = await run([]);
    expect(alone.code).toBe(2);
    for (const verb of [
      "key",
      "address",
      "listen",
      "send",
      "pipe",
      "ping",
      "bench",
      "demo",
      "sim",
    ]) {
      expect(alone.out.text).toContain(`testudo ${verb} `);
    }
    expect(alone.out.text).not.toContain("demo-node");
    for (const words of [["--help"], ["-h"], ["help"], ["help", "--help"]]) {
      const asked = await run(words);
      expect([asked.code, asked.out.text]).toEqual([0, alone.out.text]);
    }
    expect((await run(["--json"])).code).toBe(2);
  });

  test.each(["key", "address", "listen", "send", "pipe", "ping", "bench", "demo", "sim"])(
    "%s --help explains itself",
    async (verb) => {
      const asked = await run([verb, "--help"]);
      expect([asked.code, asked.err.text]).toEqual([0, ""]);
      expect(asked.out.text).toContain(`  testudo ${verb}`);
      expect(asked.out.text).toContain("--json");
      expect((await run(["help", verb])).code).toBe(0);
    },
  );

  test("--version is the package's", async () => {
    const { code, out } = await run(["--version"]);
    expect(code).toBe(0);
    expect(out.text).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
  });

  test.each([
    ["an unknown command", ["frobnicate"], /no command "frobnicate"/],
    ["a name of Object's", ["constructor"], /no command/],
    ["an unknown option", ["send", "net:a:1~noise", "--frob"], /unknown option/],
    ["a word too few", ["send"], /something is missing/],
    ["a level that is none", ["ping", "net:127.0.0.1:1~noise", "--log-level", "loud"], /one of/],
    ["an app key that is none", ["ping", "net:127.0.0.1:1~noise", "--app-key", "x"], /32 bytes/],
    ["an address that is none", ["send", "::", "x"], /section/],
  ])("%s exits with 2, in words and in JSON", async (_, words, message) => {
    const plain = await run(words);
    expect(plain.code).toBe(2);
    expect(plain.out.text).toBe("");
    expect(plain.err.lines).toHaveLength(1);
    expect(plain.err.text).toMatch(message);
    const json = await run([...words, "--json"]);
    expect(json.code).toBe(2);
    expect(json.out.events.at(-1)).toMatchObject({ event: "error", code: expect.any(String) });
    expect(json.err.text).toBe("");
  });

  test("usage errors of pipe leave stdout alone", async () => {
    const { code, out, err } = await run(["pipe", "--json"]);
    expect([code, out.text]).toEqual([2, ""]);
    expect(err.events).toMatchObject([{ event: "error", code: "USAGE" }]);
  });

  test("the second signal ends the process at once", async () => {
    const running = new Running(["listen", "net:127.0.0.1:0~noauth", "--json"]);
    await running.listening();
    running.io.signal("SIGINT");
    running.io.signal("SIGINT");
    expect(running.io.exits).toEqual([1]);
    expect(await running.code).toBe(0);
    expect(running.io.listeners).toBe(0);
  });

  test("a reader of stdout that goes away ends it quietly", async () => {
    const running = new Running(["listen", "net:127.0.0.1:0~noauth", "--json"]);
    await running.listening();
    running.io.stdout.destroy(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    expect(await running.code).toBe(0);
    expect(running.io.err.text).toBe("");
  });

  test("a stdout that cannot be written to is told", async () => {
    const running = new Running(["listen", "net:127.0.0.1:0~noauth", "--json"]);
    await running.listening();
    running.io.stdout.destroy(Object.assign(new Error("disk full"), { code: "ENOSPC" }));
    expect(await running.code).toBe(1);
    expect(running.io.err.text).toBe("testudo: cannot write to stdout: disk full\n");
  });

  test("the exit waits until all output has been taken", async () => {
    const io = new TestIo();
    io.stdout.pause();
    // More than a pass-through holds by itself.
    const address = `net:${"a".repeat(8_000)}:1~noise`;
    let over = false;
    const code = main(["address", "parse", address, "--json"], io).then((value) => {
      over = true;
      return value;
    });
    await vi.waitFor(() => expect(io.stdout.writableLength).toBeGreaterThan(0));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(over).toBe(false);
    io.stdout.resume();
    expect(await code).toBe(0);
    expect(io.out.events).toMatchObject([{ event: "address", address }]);
  });
});
