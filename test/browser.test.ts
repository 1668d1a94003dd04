/**
 * A node in a browser: core, ws and noise bundle with no Node built-in left, take the plain crypto provider and
 * the platform's own WebSocket, stay within their size, and reach a node on Node.
 *
 * The budget is minified bytes before compression. Here is no browser: the bundle runs in this process, and
 * the package `ws` stands in for its WebSocket, whose interface it has.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { equal, MultiServer, section } from "@testudo/core";
import { noise } from "@testudo/transports/noise";
import { ws } from "@testudo/transports/ws";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, describe, expect, it, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "../packages/transports/test/ws/support.ts";
import { expectNoLeaks } from "./support/leaks.ts";
import { echo, failureOf, pattern, Reader, readAll, turns } from "./support/traffic.ts";

const BUDGET_BYTES = 220_000;

/** A node that only dials: core, ws and noise together. */
const NODE_ENTRY = "../test/support/browser-node.ts";
const NODE_BUDGET_BYTES = 240_000;

async function bundle(entry: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "silent",
    resolve: { conditions: ["@testudo/source", "browser"] },
    build: {
      write: false,
      minify: true,
      lib: {
        entry: fileURLToPath(new URL(`../packages/${entry}`, import.meta.url)),
        formats: ["es"],
        fileName: "bundle",
      },
    },
  });
  const outputs = Array.isArray(result) ? result : [result];
  return outputs
    .flatMap((each) => ("output" in each ? each.output : []))
    .map((chunk) => (chunk.type === "chunk" ? chunk.code : ""))
    .join("");
}

test.each([
  "core/src/index.ts",
  "transports/src/noise/index.ts",
  "transports/src/shs/index.ts",
  "transports/src/noauth/index.ts",
  "transports/src/memory/index.ts",
  "transports/src/ws/index.ts",
  "plugins/src/keepalive/index.ts",
  "plugins/src/latency/index.ts",
  "plugins/src/record/index.ts",
])("%s bundles for the browser without Node", async (entry) => {
  const code = await bundle(entry);
  expect(code).not.toMatch(/["']node:|__vite-browser-external/);
  expect(code.length).toBeGreaterThan(1_000);
  expect(code.length).toBeLessThan(BUDGET_BYTES);
});

test("the bundle holds the plain provider, and a Node-only room does not bundle", async () => {
  expect(await bundle("core/src/crypto/index.ts")).toMatch(/name:\s*["'`]noble["'`]/);
  const net = await bundle("transports/src/net/index.ts").catch(() => "refused");
  expect(net === "refused" || /node:|browser-external/.test(net)).toBe(true);
});

describe("a node in a browser", () => {
  expectNoLeaks();

  type Bundle = typeof import("./support/browser-node.ts");
  const folder = mkdtempSync(join(tmpdir(), "testudo-"));
  let code = "";
  let inBrowser: Bundle;
  beforeAll(async () => {
    code = await bundle(NODE_ENTRY);
    const file = join(folder, "node.mjs");
    writeFileSync(file, code);
    inBrowser = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Bundle;
    vi.stubGlobal("WebSocket", WebSocket);
  });
  afterAll(() => {
    vi.unstubAllGlobals();
    rmSync(folder, { recursive: true });
  });

  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  const soon = (): { signal: AbortSignal } => ({ signal: new AbortController().signal });

  it("holds neither Node nor the package ws, and fits", () => {
    expect(code).not.toMatch(/["']node:|__vite-browser-external|Sec-WebSocket|EventEmitter/);
    expect(code).toMatch(/name:\s*["'`]noble["'`]/);
    const sizes = `${code.length} bytes, ${gzipSync(code).length} compressed`;
    process.stdout.write(`core, ws and noise for a browser: ${sizes}\n`);
    expect(code.length, sizes).toBeLessThan(NODE_BUDGET_BYTES);
  });

  it("dials a node on Node through noise, and cannot listen", async () => {
    const node = new MultiServer([[ws({ port: 0, path: "/node" }), noise()]]);
    const serving = await node.server((stream) => void echo(stream).then(() => stream.end()));
    closing.push(() => serving.close({ graceMs: 0 }));
    const page = new inBrowser.MultiServer([[inBrowser.ws(), inBrowser.noise()]]);
    const stream = await page.client(node.stringify("device"));
    closing.push(() => stream.abort(new Error("the test is over")));
    expect(stream.remote?.toString()).toBe(node.identity.id.toString());
    const sent = pattern(3_000_000);
    const reader = new Reader(stream);
    const got = reader.take(sent.length);
    for (let at = 0; at < sent.length; at += 60_000) {
      if (!stream.write(sent.subarray(at, at + 60_000))) await stream.drain();
    }
    expect(equal(await got, sent)).toBe(true);
    await stream.close();
    expect(await stream.closed).toBeUndefined();

    expect(inBrowser.ws()).not.toHaveProperty("listen");
    expect(() => inBrowser.ws({ port: 0 })).toThrow(TypeError);
    expect(() => inBrowser.ws({ dialTls: {} })).toThrow("dialTls");
  });

  /** A connection as a page has it, and the WebSocket of whoever it dialled. */
  async function open(options: object = {}): Promise<{
    connection: Awaited<ReturnType<ReturnType<typeof ws>["dial"]>>;
    other: WebSocket;
  }> {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    closing.push(() => new Promise((resolve) => server.close(resolve)));
    const arrived = new Promise<WebSocket>((resolve) => server.once("connection", resolve));
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const place = section("ws", "//127.0.0.1", String(port));
    const connection = await inBrowser.ws(options).dial(place, soon());
    const other = await arrived;
    other.on("error", () => {});
    closing.push(() => {
      connection.abort(new Error("the test is over"));
      other.terminate();
    });
    return { connection, other };
  }
  const closeOf = (other: WebSocket): Promise<number> =>
    new Promise((resolve) => other.once("close", (code) => resolve(code)));

  it("ends with 1000, and ends when the other side does", async () => {
    const { connection, other } = await open();
    expect(connection.local).toBe(true);
    connection.write(pattern(3), pattern(4));
    const code = closeOf(other);
    const ending = connection.end();
    expect(connection.write(pattern(1))).toBe(false);
    expect(await code).toBe(1000);
    await ending;
    expect(await connection.closed).toBeUndefined();

    const second = await open();
    second.other.send(pattern(9));
    second.other.close(1001);
    expect(equal(await readAll(second.connection), pattern(9))).toBe(true);
    expect(await second.connection.closed).toBeUndefined();
  });

  it("cuts with a code that others take for a cut, and is cut by theirs", async () => {
    const { connection, other } = await open();
    const code = closeOf(other);
    const reason = new Error("enough");
    connection.abort(reason);
    expect(await connection.closed).toBe(reason);
    expect(await code).toBe(4000);

    const second = await open();
    second.other.terminate();
    expect(await second.connection.closed).toMatchObject({ code: "TRUNCATED" });
  });

  it("gives up on text, on what is too long, and on what nobody reads", async () => {
    const text = await open();
    text.other.send("hello");
    expect(await text.connection.closed).toMatchObject({ code: "FRAME_MALFORMED" });

    const long = await open({ maxPayloadBytes: 262_144 });
    long.other.send(new Uint8Array(262_145));
    expect(await long.connection.closed).toMatchObject({ code: "FRAME_TOO_LARGE" });

    const much = await open();
    const message = new Uint8Array(1_000_000);
    for (let i = 0; i < 20; i++) much.other.send(message);
    const error = await much.connection.closed;
    expect(error).toMatchObject({ code: "STREAM_CLOSED" });
    expect(String(error)).toContain("cannot be paused");
  });

  it("tells a writer to wait while the platform holds much, and looks only while one waits", async () => {
    const { connection, other } = await open();
    other.pause();
    const chunk = pattern(65_536);
    let written = 0;
    while (connection.write(chunk)) written += chunk.length;
    expect(written).toBeLessThan(64 * 1024 * 1024);
    const drained = connection.drain();
    expect(connection.drain()).toBe(drained);
    other.resume();
    await drained;
    expect(connection.write(pattern(1))).toBe(true);

    other.pause();
    while (connection.write(chunk)) await turns(1);
    const waiting = [connection.drain(), connection.end()];
    connection.abort(new Error("enough"));
    await Promise.all(waiting);
  });

  it("says that it cannot be reached, and may change its mind", async () => {
    const free = await open();
    const { port } = new URL(free.connection.remote.text);
    const gone = section("ws", "//127.0.0.1", port);
    for (const close of closing.splice(0).reverse()) await close();
    const dial = (signal: AbortSignal): Promise<unknown> => inBrowser.ws().dial(gone, { signal });
    const refused = await failureOf(dial(new AbortController().signal));
    expect(refused).toMatchObject({ code: "DIAL_REFUSED", address: gone.text });

    const controller = new AbortController();
    const reason = new Error("changed my mind");
    const dialling = failureOf(dial(controller.signal));
    controller.abort(reason);
    expect(await dialling).toBe(reason);
    expect(await failureOf(dial(controller.signal))).toBe(reason);

    vi.stubGlobal("WebSocket", undefined);
    const none = await failureOf(dial(new AbortController().signal));
    vi.stubGlobal("WebSocket", WebSocket);
    expect(String(none)).toContain("no WebSocket");
  });
});
