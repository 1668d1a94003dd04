import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { Running, run, TestIo } from "../support/io.ts";

const running: Running[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((command) => command.stop()));
});

function listen(...words: string[]): Running {
  const command = new Running(["pipe", "--listen", "--json", ...words]);
  running.push(command);
  return command;
}

const folder = mkdtempSync(join(tmpdir(), "testudo-"));
afterAll(() => rmSync(folder, { recursive: true }));

const portOf = (address: string): number => Number(/:(\d+)(~|$)/.exec(address)?.[1]);
const NET = "net:127.0.0.1:0";
const WS = "ws://127.0.0.1:0";
const KCP = "kcp:127.0.0.1:0";
const KCPGO = "kcpgo:127.0.0.1:0";
const UNIX = `unix:${folder}/socket`;
/** Those whose ends can end one direction only. */
const STACKS = [
  ...["~noise", "~noise-chacha", "~shs", "~noauth", "", "~noise~gzip"].map((rest) => NET + rest),
  ...["~noise", "~shs"].map((rest) => WS + rest),
  ...["~shs", "~noauth"].map((rest) => UNIX + rest),
  ...["~noise", "~shs", ""].map((rest) => KCP + rest),
];
const authenticates = (stack: string): boolean => /~(noise|shs)/.test(stack);

/** A certificate of our own for localhost, and its key. */
const vector = (file: string): string =>
  fileURLToPath(new URL(`../../../../test/vectors/${file}`, import.meta.url));
const CERTIFICATE = vector("localhost.cert.pem");
const TLS = ["--tls-cert", CERTIFICATE, "--tls-key", vector("localhost.key.pem")];

/** A port where nobody listens. */
const DEAD = 1;

describe("pipe", () => {
  test.each([...STACKS, `${WS}~noauth`])("carries bytes both ways over %s", async (stack) => {
    const listener = listen(stack);
    const [address = ""] = await listener.listening();
    const [there, back] = [randomBytes(300_000), randomBytes(200_000)];
    listener.io.stdin.end(back);
    const dialer = await run(["pipe", address], there);
    expect([dialer.code, dialer.err.text]).toEqual([0, ""]);
    expect(await listener.code).toBe(0);
    expect(dialer.out.bytes.equals(back)).toBe(true);
    expect(listener.io.out.bytes.equals(there)).toBe(true);
    const [listening, connected, ...more] = listener.io.err.events;
    expect(listening).toEqual({ event: "listening", id: expect.any(String), addresses: [address] });
    expect(connected).toMatchObject({ event: "connected", authenticated: authenticates(stack) });
    expect(more).toEqual([]);
  });

  test.each(STACKS)(
    "half-close over %s: an answer after the end of the question",
    async (stack) => {
      const listener = listen(stack);
      const [address = ""] = await listener.listening();
      const dialer = new Running(["pipe", address]);
      dialer.io.stdin.end("question");
      await listener.io.out.until(() => listener.io.out.ended);
      expect(listener.io.out.text).toBe("question");
      listener.io.stdin.end("answer");
      expect([await dialer.code, dialer.io.out.text]).toEqual([0, "answer"]);
      expect(await listener.code).toBe(0);
    },
  );

  test.each(STACKS)("--echo over %s serves many, until a signal", async (stack) => {
    const server = listen(stack, "--echo");
    const [address = ""] = await server.listening();
    const bytes = randomBytes(500_000);
    const clients = await Promise.all([1, 2, 3].map(() => run(["pipe", address], bytes)));
    for (const { code, out } of clients) {
      expect(code).toBe(0);
      expect(out.bytes.equals(bytes)).toBe(true);
    }
    expect(await server.stop()).toBe(0);
    const kinds = server.io.err.events.map(({ event }) => event).sort();
    expect(kinds).toEqual([
      ...Array(3).fill("connected"),
      ...Array(3).fill("disconnected"),
      "listening",
    ]);
    expect(server.io.out.text).toBe("");
    expect(server.io.stdin.readableFlowing).toBeNull();
  });

  test("--echo tells why a connection was cut, and goes on", async () => {
    const server = listen("net:127.0.0.1:0~noise", "--echo");
    const [address = ""] = await server.listening();
    const client = new Running(["pipe", address]);
    client.io.stdin.write("hello");
    await client.io.out.until(() => client.io.out.text === "hello");
    expect(await client.stop()).toBe(1);
    expect(await server.io.err.event("disconnected")).toMatchObject({
      authenticated: true,
      reason: { code: "TRUNCATED", message: expect.any(String) },
    });
    expect((await run(["pipe", address], "again")).out.text).toBe("again");
  });

  test("--echo says goodbye to whoever is connected when the signal comes", async () => {
    const server = listen("net:127.0.0.1:0~noise", "--echo");
    const [address = ""] = await server.listening();
    const client = new Running(["pipe", address]);
    client.io.stdin.write("still here");
    await client.io.out.until(() => client.io.out.text === "still here");
    const stopped = server.stop();
    await client.io.out.until(() => client.io.out.ended);
    client.io.stdin.end();
    expect(await client.code).toBe(0);
    expect(await stopped).toBe(0);
  });

  test("a cut without goodbye is a failure, with the code that says so", async () => {
    const listener = listen("net:127.0.0.1:0~noauth");
    const [address = ""] = await listener.listening();
    const socket = connect(portOf(address), "127.0.0.1");
    socket.write("some");
    await listener.io.out.until(() => listener.io.out.text === "some");
    socket.resetAndDestroy();
    expect(await listener.code).toBe(1);
    expect(listener.io.err.events.at(-1)).toMatchObject({ event: "error", code: "TRUNCATED" });
  });

  test("an end of TCP is a goodbye for noauth, and a cut for noise", async () => {
    // A relay that ends both sides when it has passed on so many bytes of the dialer.
    for (const [stack, exit] of [
      ["~noauth", 0],
      ["~noise", 1],
    ] as const) {
      const listener = listen(`net:127.0.0.1:0${stack}`);
      const [address = ""] = await listener.listening();
      const relay = createServer((near) => {
        const far = connect(portOf(address), "127.0.0.1");
        let passed = 0;
        far.on("data", (chunk) => near.write(chunk));
        far.on("error", () => {});
        near.on("error", () => {});
        near.on("data", (chunk) => {
          passed += chunk.length;
          far.write(chunk);
          if (passed >= 1_000) far.end();
        });
      });
      await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
      const { port } = relay.address() as { port: number };
      const dialer = new Running(["pipe", address.replace(String(portOf(address)), String(port))]);
      dialer.io.stdin.write("x".repeat(1_000));
      await listener.io.out.until(() => listener.io.out.bytes.length === 1_000);
      listener.io.stdin.end();
      expect(await listener.code).toBe(exit);
      if (exit === 1) {
        expect(listener.io.err.events.at(-1)).toMatchObject({ event: "error", code: "TRUNCATED" });
      }
      await dialer.stop();
      relay.close();
    }
  });

  test("an interruption of one side is a cut for the other", async () => {
    const listener = listen("net:127.0.0.1:0~noise");
    const [address = ""] = await listener.listening();
    const dialer = new Running(["pipe", address, "--json"]);
    dialer.io.stdin.write("half of");
    await listener.io.out.until(() => listener.io.out.text === "half of");
    expect(await dialer.stop()).toBe(1);
    expect(dialer.io.err.events.at(-1)).toMatchObject({ event: "error", code: "INTERRUPTED" });
    expect(await listener.code).toBe(1);
    expect(listener.io.err.events.at(-1)).toMatchObject({ event: "error", code: "TRUNCATED" });
  });

  test("a signal while nobody has come ends it with 0", async () => {
    const listener = listen("net:127.0.0.1:0~noise");
    await listener.listening();
    expect(await listener.stop()).toBe(0);
  });

  test("a stranger who does not speak the handshake does not use up the one connection", async () => {
    const listener = listen("net:127.0.0.1:0~noise");
    const [address = ""] = await listener.listening();
    const stranger = connect(portOf(address), "127.0.0.1");
    stranger.on("error", () => {});
    stranger.write("GET / HTTP/1.1\r\n\r\n");
    const refused = await listener.io.err.event("refused");
    expect(refused).toMatchObject({ reason: { code: expect.any(String) } });
    listener.io.stdin.end();
    expect((await run(["pipe", address], "welcome")).code).toBe(0);
    expect(await listener.code).toBe(0);
    expect(listener.io.out.text).toBe("welcome");
  });

  test("--listen takes one connection and then no more", async () => {
    const listener = listen("net:127.0.0.1:0~noise");
    const [address = ""] = await listener.listening();
    const first = new Running(["pipe", address]);
    first.io.stdin.write("first");
    await listener.io.out.until(() => listener.io.out.text === "first");
    const second = await run(["pipe", address, "--json"], "second");
    expect(second.code).toBe(1);
    first.io.stdin.end();
    listener.io.stdin.end();
    expect(await listener.code).toBe(0);
    expect(await first.code).toBe(0);
    expect(listener.io.out.text).toBe("first");
  });

  test("keys, network ids and app keys tell nodes apart", async () => {
    const server = listen("net:127.0.0.1:0~noise;net:127.0.0.1:0~shs", "--echo");
    const [address = ""] = await server.listening();
    const [viaNoise = "", viaShs = ""] = address.split(";");
    const other = await run(["pipe", viaNoise, "--network-id", "other", "--json"], "x");
    expect([other.code, other.out.text]).toEqual([1, ""]);
    const appKey = Buffer.alloc(32, 9).toString("base64");
    const stranger = await run(["pipe", viaShs, "--app-key", appKey, "--json"], "x");
    expect([stranger.code, stranger.out.text]).toEqual([1, ""]);
    const known = await run(["pipe", `net:127.0.0.1:1~noise;${viaShs}`], "x");
    expect([known.code, known.out.text]).toEqual([0, "x"]);
  });

  test("wss with a certificate of our own, beside ws", async () => {
    const server = listen("wss://localhost:0~noise;ws://localhost:0~noise", "--echo", ...TLS);
    const [address = ""] = await server.listening();
    expect(address).toMatch(/^wss:\/\/localhost:\d+~noise:[^;]+;ws:\/\/localhost:\d+~noise:[^;]+$/);
    const [secure = "", plain = ""] = address.split(";");
    const trusted = await run(["pipe", secure, "--tls-ca", CERTIFICATE], "x");
    expect([trusted.code, trusted.out.text]).toEqual([0, "x"]);
    const open = await run(["pipe", plain], "y");
    expect([open.code, open.out.text]).toEqual([0, "y"]);
    const doubted = await run(["pipe", secure], "z");
    expect(doubted.code).toBe(1);
    expect(doubted.err.text).toMatch(/self-signed; trust it by --tls-ca FILE/);
  });

  test.each([
    ["--kcpgo-password", "a secret"],
    ["--kcpgo-crypt", "aes-128", "--kcpgo-password", "a secret", "--kcpgo-fec", "10,3"],
    ["--kcpgo-crypt", "aes-256-gcm", "--kcpgo-password", "a secret", "--kcpgo-kdf", "kcptun"],
    ["--kcpgo-crypt", "none"],
  ])("carries bytes both ways over kcpgo with %s %s", async (...words) => {
    for (const rest of ["~noise", ""]) {
      const server = listen(KCPGO + rest, "--echo", "--log-level", "trace", ...words);
      const [address = ""] = await server.listening();
      const bytes = randomBytes(100_000);
      const client = await run(["pipe", address, "--log-level", "trace", ...words], bytes);
      expect(client.code).toBe(0);
      expect(client.out.bytes.equals(bytes)).toBe(true);
      expect(await server.stop()).toBe(0);
      for (const { text } of [client.err, server.io.err]) expect(text).not.toContain("a secret");
    }
  });

  test("error correction of kcp is asked for by a dialer, and granted or not", async () => {
    for (const grants of [[], ["--kcp-fec", "off"]]) {
      const server = listen(`${KCP}~noise`, "--echo", ...grants);
      const [address = ""] = await server.listening();
      const bytes = randomBytes(100_000);
      const client = await run(["pipe", address, "--kcp-fec", "4,2"], bytes);
      expect([client.code, client.err.text]).toEqual([0, ""]);
      expect(client.out.bytes.equals(bytes)).toBe(true);
    }
  });

  test("of several alternatives the dead ones are passed over", async () => {
    const server = listen(`${UNIX}~noise;${WS}~shs`, "--echo");
    const [address = ""] = await server.listening();
    const first = `quic:a:1~noise;net:127.0.0.1:${DEAD}~noise;ws://127.0.0.1:${DEAD}~noise`;
    const client = await run(["pipe", `${first};${address}`, "--json"], "x");
    expect([client.code, client.out.text]).toEqual([0, "x"]);
    expect(client.err.events).toMatchObject([
      { event: "connected", address: address.split(";")[0] },
    ]);
  });

  test("--prefer and --allow choose among the alternatives", async () => {
    const server = listen(`${NET}~noise;${NET}~shs;${WS}~noise`, "--echo");
    const [address = ""] = await server.listening();
    const [viaNoise = "", viaShs = "", viaWs = ""] = address.split(";");
    const reached = async (...words: string[]): Promise<unknown> => {
      const { code, err } = await run(["pipe", address, "--json", ...words], "x");
      expect(code).toBe(0);
      return err.events[0];
    };
    expect(await reached()).toMatchObject({ address: viaNoise });
    expect(await reached("--prefer", "shs")).toMatchObject({ address: viaShs });
    expect(await reached("--prefer", "unix,ws~noise", "--prefer", "net")).toMatchObject({
      address: viaWs,
    });
    expect(await reached("--allow", "ws")).toMatchObject({ address: viaWs });
    const { code, err } = await run(["pipe", viaNoise, "--allow", "shs", "--json"]);
    expect([code, err.events]).toMatchObject([2, [{ code: "ADDRESS_UNSUPPORTED" }]]);
  });

  test.each([
    [["--scope", "device"], "net:0.0.0.0:0", /^net:127\.0\.0\.1:\d+$/],
    [["--external", "example.org"], "net:0.0.0.0:0", /^net:example\.org:\d+$/],
    [
      ["--external", "example.org,[2001:db8::1]", "--external", "203.0.113.9", "--scope", "public"],
      NET,
      /^net:example\.org:(\d+);net:2001:db8::1:\1;net:203\.0\.113\.9:\1$/,
    ],
    [["--scope", "device,public", "--external", "example.org"], WS, /^ws:\/\/example\.org:\d+$/],
    [["--external", "example.org,wss://example.org"], KCP, /^kcp:example\.org:\d+$/],
    [["--external", "203.0.113.9", "--kcpgo-crypt", "none"], KCPGO, /^kcpgo:203\.0\.113\.9:\d+$/],
    [["--scope", "device"], "kcp:0.0.0.0:0", /^kcp:127\.0\.0\.1:\d+$/],
    [["--external", "wss://example.org/node"], WS, /^wss:\/\/example\.org\/node$/],
    [["--external", "wss://example.org/node,example.net"], NET, /^net:example\.net:\d+$/],
  ])("with %j a listener on %s advertises %s", async (words, address, advertised) => {
    const listener = listen(`${address}~noise`, ...words);
    const [printed = ""] = await listener.listening();
    expect(printed.replaceAll(/~noise:[^;]+/g, "")).toMatch(advertised);
    expect(await listener.stop()).toBe(0);
  });

  test("says it in words without --json, on stderr", async () => {
    const io = new TestIo();
    const anybody = ["pipe", "--listen", "net:0.0.0.0:0~noauth", "--echo", "--allow-public-noauth"];
    const server = new Running(anybody, io);
    running.push(server);
    await io.err.until(() => io.err.lines.length === 1);
    const [line = ""] = io.err.lines;
    expect(line).toMatch(/^listening on net:/);
    expect((await run(["pipe", `net:127.0.0.1:${portOf(line)}~noauth`], "x")).code).toBe(0);
    await io.err.until(() => io.err.lines.length === 3);
    expect(io.err.lines.slice(1)).toEqual([
      expect.stringMatching(/^connected: net:127\.0\.0\.1:\d+~noauth$/),
      expect.stringMatching(/^disconnected: net:127\.0\.0\.1:\d+~noauth$/),
    ]);
  });
});
