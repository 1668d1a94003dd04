/** What `pipe` says, and exits with, when nothing can be reached or opened. */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { run } from "../support/io.ts";

const folder = mkdtempSync(join(tmpdir(), "testudo-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A port where nobody listens. */
const DEAD = 1;

describe("pipe", () => {
  test("a listener of wss needs a certificate, and is told of the options", async () => {
    const { code, err } = await run(["pipe", "--listen", "wss://localhost:0~noise"]);
    expect(code).toBe(2);
    expect(err.text).toMatch(/certificate, as in --tls-cert FILE --tls-key FILE/);
  });

  test("when none works, what became of each is told", async () => {
    const address = `quic:a:1~noise;net:127.0.0.1:${DEAD}~noise;ws://127.0.0.1:${DEAD}~noise`;
    const plain = await run(["pipe", address]);
    expect([plain.code, plain.out.text]).toEqual([1, ""]);
    expect(plain.err.lines).toEqual([
      "testudo: none of 3 alternatives worked",
      expect.stringMatching(/^ {2}quic:a:1~noise: parse: quic is no transport/),
      expect.stringMatching(/^ {2}net:127\.0\.0\.1:\d+~noise: connect: .*nobody listens there/),
      expect.stringMatching(/^ {2}ws:\/\/127\.0\.0\.1:\d+~noise: connect: .*nobody listens there/),
    ]);
    const json = await run(["pipe", address, "--json"]);
    expect(json.err.events).toMatchObject([
      {
        event: "error",
        code: "DIAL_REFUSED",
        address,
        attempts: address.split(";").map((each, index) => ({
          address: each,
          stage: index === 0 ? "parse" : "connect",
          afterMs: expect.any(Number),
          tookMs: expect.any(Number),
          code: index === 0 ? "ADDRESS_UNSUPPORTED" : "DIAL_REFUSED",
          message: expect.any(String),
        })),
      },
    ]);
  });

  test("of several listeners none is open when one fails", async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
    const { port } = holder.address() as { port: number };
    const address = `net:127.0.0.1:0~noise;net:127.0.0.1:${port}~shs`;
    const { code, err } = await run(["pipe", "--listen", address]);
    expect([code, err.lines.length]).toEqual([1, 1]);
    expect(err.text).toMatch(/1 of 2 listeners failed, so none is open\. .*port is in use/);
    holder.close();
  });

  test("without Tor, onion says where it looked and what to do", async () => {
    const proxy = `127.0.0.1:${DEAD}`;
    const words = ["--proxy", proxy, "--proxy", `unix:${folder}/none`];
    const { code, err } = await run(["pipe", "onion:abc.onion:80~noise", ...words]);
    expect(code).toBe(1);
    expect(err.text).toContain(
      `no Tor at ${proxy} (nobody listens there (ECONNREFUSED)) or unix:${folder}/none `,
    );
    expect(err.text).toContain("start tor, or name its SOCKS port (--proxy)");
  });

  test.each([
    [["net:127.0.0.1:0~noise"], 2, "ADDRESS_MALFORMED"],
    [["net:127.0.0.1:1~rot13"], 2, "ADDRESS_UNSUPPORTED"],
    [["net:127.0.0.1:1~noise", "--echo"], 2, "USAGE"],
    [["net:127.0.0.1:1~noise", "--scope", "device"], 2, "USAGE"],
    [["--listen", "net:127.0.0.1:0~noise", "--prefer", "shs"], 2, "USAGE"],
    [["--listen", "onion:abc.onion:80~noise"], 1, "LISTEN_FAILED"],
    [["--listen", "net:127.0.0.1~noise"], 2, "ADDRESS_MALFORMED"],
    [["net:127.0.0.1:1~noise"], 1, "DIAL_REFUSED"],
    [["kcp:127.0.0.1:1"], 1, "DIAL_REFUSED"],
    [["kcpgo:127.0.0.1:1"], 2, "ADDRESS_UNSUPPORTED"],
    [["kcpgo:127.0.0.1:1", "--kcpgo-password", "x"], 1, "DIAL_REFUSED"],
    [["--listen", "kcpgo:127.0.0.1:0"], 2, "ADDRESS_UNSUPPORTED"],
    [["--listen", "kcp:0.0.0.0:0"], 1, "LISTEN_FAILED"],
    [["--listen", "kcpgo:0.0.0.0:0", "--kcpgo-password", "x"], 1, "LISTEN_FAILED"],
    [["--listen", "net:203.0.113.1:0~noise"], 1, "LISTEN_FAILED"],
    [["--listen", "net:0.0.0.0:0~noauth"], 1, "LISTEN_FAILED"],
    [["--listen", "net:0.0.0.0:0"], 1, "LISTEN_FAILED"],
  ])("%j exits with %i and %s", async (words, exit, code) => {
    const { code: found, out, err } = await run(["pipe", ...words, "--json"]);
    expect([found, out.text]).toEqual([exit, ""]);
    expect(err.events).toMatchObject([{ event: "error", code }]);
  });
});
