/**
 * The real command, in processes of its own.
 */

import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
const PASSWORD = join(folder, "password");
writeFileSync(PASSWORD, "a secret\n", { mode: 0o600 });
/** What both ends of kcpgo must know. */
const KCPGO = ["--kcpgo-crypt", "aes", "--kcpgo-fec", "10,3"];
const TYPED = [...KCPGO, "--kcpgo-password", "a secret"];
const FROM_FILE = [...KCPGO, "--kcpgo-password-file", PASSWORD];
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

  test.each([
    ["net", "kcp kcpgo udp"],
    ["kcp", "kcpgo"],
  ])("loads only what it needs for %s", async (transport, unnamed) => {
    await using listener = new Process(
      ["listen", `${transport}:127.0.0.1:0~noise`, "--json"],
      ["--import", LOADING],
    );
    await listener.out.event("listening");
    listener.child.kill("SIGTERM");
    expect(await listener.exit).toBe(0);
    const loaded = listener.err.text;
    expect(loaded).toMatch(/dist\/commands\/listen\.js/);
    expect(loaded).toContain(`transports/dist/${transport}/`);
    const others = ["shs", "ws", "unix", "onion", "noauth", "gzip", ...unnamed.split(" ")];
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

  test("a network of the package loads no transport but net before an address names it", () => {
    const program = `
      import { createNetwork } from "testudo";
      const network = createNetwork();
      await network.listen("net:127.0.0.1:0~noise");
      await network.close();`;
    const words = ["--import", LOADING, "--input-type=module", "-e", program];
    const { status, stderr } = spawnSync(process.execPath, words, { cwd: ROOT, encoding: "utf8" });
    expect([status, stderr]).toEqual([0, expect.stringContaining("transports/dist/net/")]);
    for (const name of ["ws", "unix", "onion", "kcp", "kcpgo", "udp"]) {
      expect(stderr).not.toContain(`transports/dist/${name}/`);
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
const LOADING = `data:text/javascript,${encodeURIComponent(LOADED)}`;

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
    ["kcp:127.0.0.1:0~noise", [], ["--kcp-fec", "10,3"]],
    ["kcp:127.0.0.1:0"],
    ["kcpgo:127.0.0.1:0~noise", FROM_FILE, TYPED],
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

  test("pipe carries bytes both ways over bare kcpgo, with a password and parity", async () => {
    const words = ["pipe", "--listen", "kcpgo:127.0.0.1:0", "--json", ...TYPED];
    await using listener = new Process(words);
    const { addresses } = await listener.err.event("listening");
    await using dialer = new Process(["pipe", (addresses as string[])[0] ?? "", ...FROM_FILE]);
    const [there, back] = [randomBytes(1_000_000), randomBytes(500_000)];
    dialer.stdin.write(there);
    listener.stdin.write(back);
    await listener.out.until(() => listener.out.bytes.length === there.length);
    await dialer.out.until(() => dialer.out.bytes.length === back.length);
    // It has no word for an end: each side ends by itself, after the end of its input.
    dialer.stdin.end();
    listener.stdin.end();
    expect([await dialer.exit, await listener.exit]).toEqual([0, 0]);
    expect(listener.out.bytes.equals(there)).toBe(true);
    expect(dialer.out.bytes.equals(back)).toBe(true);
    expect(dialer.err.text + listener.err.text).not.toContain("a secret");
  });

  test("listen, send and ping speak kcpgo when told how", async () => {
    await using listener = new Process(["listen", "kcpgo:127.0.0.1:0~noise", "--json", ...TYPED]);
    const { addresses } = await listener.out.event("listening");
    const [address = ""] = addresses as string[];
    expect(once(["send", address, "hello", ...FROM_FILE]).status).toBe(0);
    await listener.out.event(({ text }) => text === "hello");
    expect(once(["ping", address, "-c", "2", "--json", ...FROM_FILE]).status).toBe(0);
    listener.child.kill("SIGTERM");
    expect(await listener.exit).toBe(0);
    expect(listener.err.text).toBe("");
  });

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
