import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetwork, type Network } from "testudo";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { Running, run, TestIo } from "../support/io.ts";

const folder = mkdtempSync(join(tmpdir(), "testudo-"));
afterAll(() => rmSync(folder, { recursive: true }));
const running: Running[] = [];
const networks: Network[] = [];
afterEach(async () => {
  await Promise.all(networks.splice(0).map((network) => network.close()));
  await Promise.all(running.splice(0).map((command) => command.stop()));
});

async function listening(address = "net:127.0.0.1:0~noise"): Promise<[Running, string]> {
  const command = new Running(["listen", "--json", address]);
  running.push(command);
  const [first = ""] = await command.listening();
  return [command, first];
}

const texts = ({ io }: Running) =>
  io.out.events.flatMap(({ event, text }) => (event === "message" ? [text] : []));

describe("send", () => {
  test.each([
    "net:127.0.0.1:0~noise",
    "net:127.0.0.1:0~noise-chacha",
    "net:127.0.0.1:0~shs",
    "net:127.0.0.1:0~noauth",
    "net:127.0.0.1:0~noise~gzip",
    "ws://127.0.0.1:0~noise",
    "ws://127.0.0.1:0/path~shs",
    "ws://127.0.0.1:0~noauth",
    `unix:${folder}/socket~shs`,
    "kcp:127.0.0.1:0~noise",
    "kcp:127.0.0.1:0~shs",
  ])("over %s", async (place) => {
    const [receiver, address] = await listening(place);
    const sent = await run(["send", address, "hello", "--opcode", "2000", "--json"]);
    expect(sent.code).toBe(0);
    expect(sent.out.events).toMatchObject([{ event: "sent", opcode: 2_000, bytes: 5 }]);
    expect(await receiver.io.out.event("message")).toMatchObject({ text: "hello", opcode: 2_000 });
  });

  test("the receiver always has the message, a hundred times in a row", async () => {
    const [receiver, address] = await listening();
    for (let i = 0; i < 100; i++) {
      expect((await run(["send", address, `message ${i}`])).code).toBe(0);
    }
    const { out } = receiver.io;
    await out.until(() => out.events.filter(({ event }) => event === "nodeDeleted").length === 100);
    expect(texts(receiver)).toEqual(Array.from({ length: 100 }, (_, i) => `message ${i}`));
  });

  test.each([
    ["all of it", "two\nlines", "two\nlines"],
    ["less one trailing newline", "two\nlines\n\n", "two\nlines\n"],
    ["nothing at all", "", ""],
    ["a lone newline", "\n", ""],
  ])("- is stdin as one message: %s", async (_, input, text) => {
    const [receiver, address] = await listening();
    for (const words of [
      ["send", address, "-"],
      ["send", address],
    ]) {
      expect((await run(words, input)).code).toBe(0);
    }
    const { out } = receiver.io;
    await out.until(() => texts(receiver).length === 2);
    expect(texts(receiver)).toEqual([text, text]);
  });

  test("the largest message fits, a larger one is refused before anything is dialled", async () => {
    const most = 4 * 1024 * 1024;
    const [receiver, address] = await listening();
    const fits = await run(["send", address, "-"], `${"m".repeat(most)}\n`);
    expect(fits.code).toBe(0);
    expect((await receiver.io.out.event("message")).text).toHaveLength(most);
    for (const size of [most + 1, most + 100_000]) {
      const { code, out } = await run(["send", address, "-", "--json"], "m".repeat(size));
      expect(code).toBe(1);
      expect(out.events).toMatchObject([{ event: "error", code: "FRAME_TOO_LARGE" }]);
    }
    expect(receiver.io.out.events.filter(({ event }) => event === "nodeAdded")).toHaveLength(1);
  });

  test("takes the first route of an address that works", async () => {
    const [receiver, address] = await listening();
    const gone = createNetwork();
    const dead = await gone.listen("net:127.0.0.1:0~noise");
    await gone.close();
    const both = `warp:a:1~noise;${dead};ws://127.0.0.1:1~noise;${address}`;
    expect((await run(["send", both, "through"])).code).toBe(0);
    expect(await receiver.io.out.event("message")).toMatchObject({ text: "through" });
  });

  test("nobody there is 1; a bad address, port 0 and a reserved opcode are 2", async () => {
    const [, address] = await listening();
    const gone = createNetwork();
    const dead = await gone.listen("net:127.0.0.1:0~noise");
    await gone.close();
    for (const [words, exit, code] of [
      [[dead, "x"], 1, "DIAL_REFUSED"],
      [["net:127.0.0.1:0~noise", "x"], 2, "ADDRESS_MALFORMED"],
      [["warp:1~noise", "x"], 2, "ADDRESS_UNSUPPORTED"],
      [[address, "x", "--opcode", "1"], 2, "USAGE"],
    ] as const) {
      const sent = await run(["send", ...words, "--json"]);
      expect(sent.code).toBe(exit);
      expect(sent.out.events.at(-1)).toMatchObject({ event: "error", code });
    }
  });

  test("what became of each alternative is told", async () => {
    const sent = await run(["send", "warp:1~noise;net:127.0.0.1:1~noise", "x", "--json"]);
    expect(sent.code).toBe(1);
    expect(sent.out.events).toMatchObject([
      {
        event: "error",
        code: "DIAL_REFUSED",
        address: "warp:1~noise;net:127.0.0.1:1~noise",
        attempts: [
          { address: "warp:1~noise", stage: "parse", code: "ADDRESS_UNSUPPORTED" },
          { address: "net:127.0.0.1:1~noise", stage: "connect", code: "DIAL_REFUSED" },
        ],
      },
    ]);
  });

  test("--allow leaves out the alternatives that are not", async () => {
    const [receiver, address] = await listening("net:127.0.0.1:0~noise;net:127.0.0.1:0~shs");
    expect((await run(["send", address, "x", "--allow", "shs"])).code).toBe(0);
    const came = await receiver.io.out.event("nodeAdded");
    expect(came).toMatchObject({ address: expect.stringMatching(/~shs$/) });
    const none = await run(["send", address, "x", "--allow", "ws"]);
    expect([none.code, none.err.lines[0]]).toEqual([2, "testudo: none of 2 alternatives worked"]);
  });

  test("another node than the address names is refused", async () => {
    const [, address] = await listening();
    const other = createNetwork();
    const wrong = address.replace(/:[^:]*$/, `:${other.id.text}`);
    const sent = await run(["send", wrong, "secret", "--json"]);
    expect(sent.code).toBe(1);
    expect(sent.out.events).toMatchObject([{ code: "PEER_UNEXPECTED", address: wrong }]);
    await other.close();
  });

  test("a signal while stdin is read ends it with 1", async () => {
    const [, address] = await listening();
    const io = new TestIo();
    io.terminal = { stdin: true, stdout: true, stderr: true };
    const command = new Running(["send", address, "-"], io);
    await io.err.until(() => io.err.lines.length === 1);
    expect(io.err.text).toContain("Ctrl-D");
    expect(await command.stop()).toBe(1);
    expect(io.err.lines.at(-1)).toContain("interrupted by SIGTERM");
  });
});
