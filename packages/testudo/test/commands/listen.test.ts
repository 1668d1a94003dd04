import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetwork, Identity, type Network } from "testudo";
import { afterEach, describe, expect, test } from "vitest";
import { Running, TestIo } from "../support/io.ts";

const running: Running[] = [];
const networks: Network[] = [];
afterEach(async () => {
  await Promise.all(networks.splice(0).map((network) => network.close()));
  await Promise.all(running.splice(0).map((command) => command.stop()));
});

function listen(...words: string[]): Running {
  const command = new Running(["listen", "--json", ...words]);
  running.push(command);
  return command;
}

function node(): Network {
  const network = createNetwork();
  networks.push(network);
  return network;
}

const bodyOf = (text: string): { opcode: number; body: Uint8Array } => ({
  opcode: 1_000,
  body: new TextEncoder().encode(text),
});

describe("listen", () => {
  test("the first line has the id and dialable addresses in the order asked for", async () => {
    const command = listen(
      "net:127.0.0.1:0~shs",
      "net:127.0.0.1:0~noise",
      "net:127.0.0.1:0~noauth;net:127.0.0.1:0~noise-chacha",
    );
    const addresses = await command.listening();
    const [first] = command.io.out.events;
    const id = String(first?.id);
    expect(Object.keys(first ?? {})).toEqual(["event", "id", "addresses"]);
    expect(addresses.map((address) => address.replaceAll(id, "ID"))).toEqual([
      expect.stringMatching(/^net:127\.0\.0\.1:[1-9]\d*~shs:ID$/),
      expect.stringMatching(/^net:127\.0\.0\.1:[1-9]\d*~noise:ID$/),
      expect.stringMatching(/^net:127\.0\.0\.1:\d+~noauth;net:127\.0\.0\.1:\d+~noise-chacha:ID$/),
    ]);
    expect(await command.stop()).toBe(0);
    expect(command.io.err.text).toBe("");
  });

  test("advertises the hosts it is told to", async () => {
    const words = ["--external", "example.org", "--scope", "public"];
    const command = listen("net:127.0.0.1:0~noise", "ws://127.0.0.1:0~noise", ...words);
    expect(await command.listening()).toEqual([
      expect.stringMatching(/^net:example\.org:\d+~noise:/),
      expect.stringMatching(/^ws:\/\/example\.org:\d+~noise:/),
    ]);
  });

  test("tells who comes, what arrives and who leaves why", async () => {
    const command = listen("net:127.0.0.1:0~noise");
    const [address = ""] = await command.listening();
    const network = node();
    const peer = await network.add(address);
    await peer.send(bodyOf("hi\u0000 é"));
    await peer.send({ opcode: 4_294_967_295, body: Uint8Array.of(255, 0) });
    await network.close();
    const { out } = command.io;
    await out.event("nodeDeleted");
    const id = network.id.text;
    expect(out.events.slice(1)).toEqual([
      {
        event: "nodeAdded",
        id,
        address: expect.stringMatching(/^net:127\.0\.0\.1:\d+~noise$/),
        side: "listener",
        authenticated: true,
      },
      {
        event: "message",
        id,
        opcode: 1_000,
        body: Buffer.from("hi\u0000 é").toString("base64"),
        text: "hi\u0000 é",
      },
      { event: "message", id, opcode: 4_294_967_295, body: "/wA=" },
      {
        event: "nodeDeleted",
        id,
        reason: { code: "NETWORK_CLOSED", message: expect.stringContaining("closing") },
      },
    ]);
  });

  test("says it in words without --json", async () => {
    const io = new TestIo();
    const command = new Running(["listen", "net:127.0.0.1:0~noauth"], io);
    running.push(command);
    await io.out.until(() => io.out.lines.length === 2);
    const [first, second] = io.out.lines;
    expect(first).toMatch(/^listening as .{44}$/);
    const network = node();
    const peer = await network.add(second?.trim() ?? "");
    await peer.send(bodyOf("one\ntwo"));
    await peer.send({ opcode: 2_000, body: Uint8Array.of(255) });
    await network.close();
    await io.out.until(() => io.out.lines.length === 6);
    expect(io.out.lines.slice(2)).toEqual([
      expect.stringMatching(/^\+ \?.{7} came from net:127\.0\.0\.1:\d+~noauth \(unproved\)$/),
      expect.stringMatching(/^\?.{7} \[1000\] one␊two$/),
      expect.stringMatching(/^\?.{7} \[2000\] 1 bytes: \/w==$/),
      expect.stringMatching(/^- \?.{7} left: .* \(NETWORK_CLOSED\)$/),
    ]);
    expect(await command.stop()).toBe(0);
  });

  test("broadcasts the lines of stdin; the end of stdin does not end it", async () => {
    const a = listen("net:127.0.0.1:0~noise", "--opcode", "1234");
    const [address = ""] = await a.listening();
    const b = listen("net:127.0.0.1:0~noise-chacha", "--dial", address);
    await a.io.out.event("nodeAdded");
    await b.io.out.event("nodeAdded");
    a.io.stdin.write("first\n\nthi");
    a.io.stdin.end("rd");
    const messages = () => b.io.out.events.filter(({ event }) => event === "message");
    await b.io.out.until(() => messages().length === 3);
    expect(messages().map(({ text, opcode }) => [text, opcode])).toEqual([
      ["first", 1_234],
      ["", 1_234],
      ["third", 1_234],
    ]);
    b.io.stdin.write("back\n");
    expect(await a.io.out.event("message")).toMatchObject({ text: "back", opcode: 1_000 });
    // The dialer says goodbye, the listener goes on.
    expect(await b.stop()).toBe(0);
    await a.io.out.event("nodeDeleted");
  });

  test("a line that nobody hears, or that is too long, is told", async () => {
    const command = listen("net:127.0.0.1:0~noise");
    await command.listening();
    command.io.stdin.write("alone\n");
    await command.io.err.until(() => command.io.err.lines.length === 1);
    expect(command.io.err.text).toContain("nobody is connected");
    const long = Buffer.alloc(5 * 1024 * 1024, "a");
    command.io.stdin.write(long);
    command.io.stdin.write("\nshort\n");
    expect(await command.io.out.event("error")).toMatchObject({
      message: expect.stringContaining("was not sent"),
    });
    await command.io.err.until(() => command.io.err.lines.length === 2);
    expect(await command.stop()).toBe(0);
  });

  test("many lines all arrive, in order", async () => {
    const a = listen("net:127.0.0.1:0~noise");
    const [address = ""] = await a.listening();
    const b = listen("net:127.0.0.1:0~noise", "--dial", address);
    await a.io.out.event("nodeAdded");
    const count = 20_000;
    a.io.stdin.end(Array.from({ length: count }, (_, i) => `line ${i}\n`).join(""));
    let lines: string[] = [];
    await b.io.out.until(() => {
      if (!b.io.out.text.includes(`line ${count - 1}"`)) return false;
      lines = b.io.out.events.flatMap(({ event, text }) =>
        event === "message" ? [`${text}`] : [],
      );
      return true;
    });
    expect(lines).toEqual(Array.from({ length: count }, (_, i) => `line ${i}`));
  });

  test("a dial that fails is told and tried again; the node lives on", async () => {
    const probe = createNetwork();
    const address = await probe.listen("net:127.0.0.1:0~noauth");
    await probe.close();
    const command = listen("net:127.0.0.1:0~noise", "--dial", address);
    expect(await command.io.out.event("error")).toMatchObject({ code: "DIAL_REFUSED", address });
    const network = node();
    await network.listen(address);
    expect(await command.io.out.event("nodeAdded")).toMatchObject({ side: "dialer", address });
  });

  test("runs under the identity of its key file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "testudo-listen-"));
    try {
      const file = join(folder, "k");
      const identity = Identity.generate();
      const [publicKey, secret] = [identity.id.text, identity.secret()].map((half) =>
        typeof half === "string" ? half : Buffer.from(half).toString("base64"),
      );
      const text = JSON.stringify({ type: "ed25519", public: publicKey, secret });
      await writeFile(file, text, { mode: 0o600 });
      const command = listen("net:127.0.0.1:0~noise", "--key", file);
      await command.listening();
      expect(command.io.out.events[0]).toMatchObject({ id: identity.id.text });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("nodes of another network, or of another app key, do not get in", async () => {
    const command = listen("net:127.0.0.1:0~noise", "net:127.0.0.1:0~shs", "--network-id", "other");
    for (const address of await command.listening()) {
      await expect(node().add(address)).rejects.toMatchObject({ code: expect.any(String) });
    }
    expect(command.io.out.events).toHaveLength(1);
  });

  test.each([
    [["net:127.0.0.1:0"], 2, "ADDRESS_UNSUPPORTED"],
    [["net:127.0.0.1:0~noise", "--dial", "net:127.0.0.1:0~noise"], 2, "ADDRESS_MALFORMED"],
    [["net:127.0.0.1:0~noise", "--opcode", "14"], 2, "USAGE"],
    [["net:127.0.0.1:0~noise", "--opcode", "4294967296"], 2, "USAGE"],
    [["net:0.0.0.0:0~noauth"], 1, "LISTEN_FAILED"],
    [["net:127.0.0.1:0~noise", "--key", "/no/such/key"], 1, "KEY_UNREADABLE"],
  ])("%j exits with %i and %s", async (words, exit, code) => {
    const command = new Running(["listen", "--json", ...words]);
    expect(await command.code).toBe(exit);
    expect(command.io.out.events).toMatchObject([{ event: "error", code }]);
  });

  test("a port in use exits with 1, and what was opened before is closed", async () => {
    const holder = node();
    const taken = await holder.listen("net:127.0.0.1:0~noauth");
    const command = new Running(["listen", "net:127.0.0.1:0~noauth", taken, "--json"]);
    expect(await command.code).toBe(1);
    expect(command.io.out.events).toMatchObject([{ code: "LISTEN_FAILED" }]);
  });

  test("logs on stderr when asked to", async () => {
    const command = listen("net:127.0.0.1:0~noise", "--log-level", "debug");
    const [address = ""] = await command.listening();
    const [, port = ""] = /:(\d+)~/.exec(address) ?? [];
    const stranger = createNetwork({ networkId: "stranger" });
    await expect(stranger.add(`net:127.0.0.1:${port}~noise`)).rejects.toThrow();
    await stranger.close();
    await command.io.err.until(() => command.io.err.lines.length > 0);
    expect(JSON.parse(command.io.err.lines[0] ?? "")).toMatchObject({
      msg: "an arrival was not admitted",
    });
  });
});
