/**
 * The real command, in processes of its own.
 */

import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BIN, Process, ROOT } from "./support/bin.ts";

const once = (words: string[], input = "") =>
  spawnSync(process.execPath, [BIN, ...words], { input, cwd: ROOT, encoding: "utf8" });

const vector = (kind: "cert" | "key"): string =>
  join(ROOT, "test", "vectors", `localhost.${kind}.pem`);
const CERTIFICATE = vector("cert");
const TRUST = ["--tls-ca", CERTIFICATE];
const folder = mkdtempSync(join(tmpdir(), "testudo-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("the command", () => {
  test("says what to do when it is not built", () => {
    const folder = mkdtempSync(join(tmpdir(), "testudo-bin-"));
    try {
      cpSync(BIN, join(folder, "bin", "testudo.mjs"));
      const { status, stderr } = spawnSync(process.execPath, [join(folder, "bin", "testudo.mjs")], {
        encoding: "utf8",
      });
      expect([status, stderr]).toEqual([1, expect.stringContaining("npm run build")]);
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(existsSync(BIN)).toBe(true);
  });

  test("exit codes: 0, 1 and 2", () => {
    expect(once(["--version"]).status).toBe(0);
    expect(once([]).status).toBe(2);
    expect(once(["key", "show", "--file", "/no/such"]).status).toBe(1);
    expect(once(["send", "net:127.0.0.1:1~noise", "x"]).status).toBe(1);
    expect(once(["send", "net:127.0.0.1:0~noise", "x"]).status).toBe(2);
    expect(once(["send", "nonsense", "x"]).status).toBe(2);
    expect(once(["frob"]).status).toBe(2);
  });

  test("loads only what it needs", async () => {
    await using listener = new Process(
      ["listen", "net:127.0.0.1:0~noise", "--json"],
      ["--import", `data:text/javascript,${encodeURIComponent(LOADED)}`],
    );
    await listener.out.event("listening");
    listener.child.kill("SIGTERM");
    expect(await listener.exit).toBe(0);
    const loaded = listener.err.text;
    expect(loaded).toMatch(/dist\/commands\/listen\.js/);
    const others = ["shs", "ws", "unix", "onion", "noauth", "gzip"];
    for (const unwanted of [
      "pino",
      "@noble",
      "node_modules/ws/",
      "sim/dist",
      "commands/demo.js",
    ].concat(others.map((name) => `transports/dist/${name}/`))) {
      expect(loaded).not.toContain(unwanted);
    }
  });
});

/** Writes the address of every module that is loaded to stderr. */
const LOADED = `
  import { register } from "node:module";
  register("data:text/javascript," + encodeURIComponent(
    "import { writeSync } from 'node:fs';" +
    "export async function load(url, context, next) { writeSync(2, url + '\\\\n'); return next(url, context); }"
  ));
`;

describe("processes talk to each other", () => {
  test("listen prints what send sends, and both end well", async () => {
    await using listener = new Process(["listen", "net:127.0.0.1:0~noise", "--json"]);
    const { addresses } = await listener.out.event("listening");
    const [address = ""] = addresses as string[];
    for (let i = 0; i < 5; i++) {
      const { status } = once(["send", address, "-", "--opcode", "1001"], `message ${i}\n`);
      expect(status).toBe(0);
    }
    const messages = () => listener.out.events.filter(({ event }) => event === "message");
    await listener.out.until(() => messages().length === 5);
    expect(messages().map(({ text, opcode }) => [text, opcode])).toEqual(
      [0, 1, 2, 3, 4].map((i) => [`message ${i}`, 1_001]),
    );
    expect(once(["ping", address, "-c", "1", "--json"]).status).toBe(0);
    listener.child.kill("SIGINT");
    expect(await listener.exit).toBe(0);
    expect(listener.err.text).toBe("");
  });

  test("listen without a reader of its output goes away quietly", async () => {
    await using listener = new Process(["listen", "net:127.0.0.1:0~noise", "--json"]);
    const { addresses } = await listener.out.event("listening");
    listener.child.stdout.destroy();
    // The next event finds nobody.
    once(["send", (addresses as string[])[0] ?? "", "x"]);
    expect(await listener.exit).toBe(0);
    expect(listener.err.text).toBe("");
  });

  test("what is printed is whole, however slow its reader is", async () => {
    await using slow = new Process([
      "address",
      "parse",
      `net:${"a".repeat(8_000)}:1~noise`,
      "--json",
    ]);
    slow.child.stdout.pause();
    const exited = new Promise((resolve) => slow.child.once("exit", resolve));
    slow.child.stdout.resume();
    await exited;
    await slow.exit;
    expect(slow.out.events).toHaveLength(1);
  });

  test.each([
    ["net:127.0.0.1:0~shs"],
    ["ws://127.0.0.1:0~noise"],
    ["wss://localhost:0~noise", ["--tls-cert", CERTIFICATE, "--tls-key", vector("key")], TRUST],
    ["unix:FOLDER/socket~noauth"],
  ])(
    "pipe carries bytes to the end over %s, with half-close, and its reader sees the end",
    async (stack, listens = [], dials = []) => {
      const place = stack.replace("FOLDER", folder);
      await using listener = new Process(["pipe", "--listen", place, "--json", ...listens]);
      const { addresses } = await listener.err.event("listening");
      await using dialer = new Process(["pipe", (addresses as string[])[0] ?? "", ...dials]);
      const question = randomBytes(1_000_000);
      dialer.stdin.end(question);
      await listener.out.until(() => listener.out.ended);
      expect(listener.out.bytes.equals(question)).toBe(true);
      listener.stdin.end("answer");
      expect([await dialer.exit, await listener.exit]).toEqual([0, 0]);
      expect([dialer.out.text, dialer.err.text]).toEqual(["answer", ""]);
    },
  );

  test("pipe holds little while its reader does not read", async () => {
    const total = 64 * 1024 * 1024;
    await using listener = new Process(["pipe", "--listen", "net:127.0.0.1:0~noise", "--json"]);
    const { addresses } = await listener.err.event("listening");
    listener.child.stdout.pause();
    listener.stdin.end();
    await using dialer = new Process(["pipe", (addresses as string[])[0] ?? ""]);
    const chunk = randomBytes(1024 * 1024);
    const sent = createHash("sha256");
    let taken = 0;
    const send = async (): Promise<void> => {
      for (let at = 0; at < total; at += chunk.length) {
        sent.update(chunk);
        taken = at;
        if (!dialer.stdin.write(chunk)) {
          await new Promise((resolve) => dialer.stdin.once("drain", resolve));
        }
      }
      dialer.stdin.end();
    };
    const sending = send();
    // It stops taking when its own few buffers and the kernel's are full.
    let before = -1;
    while (before !== taken) {
      before = taken;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(taken).toBeLessThan(total / 2);
    const received = createHash("sha256");
    let length = 0;
    listener.child.stdout.removeAllListeners("data");
    listener.child.stdout.on("data", (bytes: Buffer) => {
      received.update(bytes);
      length += bytes.length;
    });
    listener.child.stdout.resume();
    await sending;
    expect([await dialer.exit, await listener.exit]).toEqual([0, 0]);
    expect(length).toBe(total);
    expect(received.digest("hex")).toBe(sent.digest("hex"));
  });

  test("a pipe whose other side is killed fails with TRUNCATED", async () => {
    await using server = new Process([
      "pipe",
      "--listen",
      "net:127.0.0.1:0~noise",
      "--echo",
      "--json",
    ]);
    const { addresses } = await server.err.event("listening");
    await using client = new Process(["pipe", (addresses as string[])[0] ?? "", "--json"]);
    client.stdin.write("hello");
    await client.out.until(() => client.out.text === "hello");
    server.child.kill("SIGKILL");
    expect(await client.exit).toBe(1);
    expect(client.err.events.at(-1)).toMatchObject({ event: "error", code: "TRUNCATED" });
  });

  test("pipe --listen --echo ends with 0 at SIGTERM and never reads stdin", async () => {
    const server = spawn(
      process.execPath,
      [BIN, "pipe", "--listen", "net:127.0.0.1:0~noauth", "--echo", "--json"],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    await new Promise((resolve) => server.stderr.once("data", resolve));
    server.kill("SIGTERM");
    expect(await new Promise((resolve) => server.once("exit", resolve))).toBe(0);
  });
});
