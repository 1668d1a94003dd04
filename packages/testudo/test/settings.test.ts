import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { run } from "./support/io.ts";

/** Usage errors come before anything is loaded, listened on or dialled. */
describe("a wrong value is a usage error that names its option", () => {
  test.each([
    ["--scope", "planet", /device, local, private, public, not "planet"/],
    ["--scope", "", /not ""/],
    ["--scope", "device,", /not ""/],
    ["--external", "example.org:80", /a host without a port, or a ws URL, not "example.org:80"/],
    ["--external", "0.0.0.0", /host/],
    ["--external", "[::]", /host/],
    ["--external", "a b", /host/],
    ["--external", "[example.org]x", /host/],
    ["--external", "http://example.org", /host/],
    ["--external", "wss://", /ws URL/],
    ["--proxy", "localhost", /HOST:PORT or unix:PATH, not "localhost"/],
    ["--proxy", "localhost:0", /HOST:PORT/],
    ["--proxy", "unix:", /unix:PATH/],
    ["--prefer", "rot13", /a stack or a protocol, as net~noise or noise, not "rot13"/],
    ["--allow", "noise~net", /a stack or a protocol/],
  ])("%s %j", async (option, value, message) => {
    const { code, err } = await run(["listen", "net:127.0.0.1:0~noise", `${option}=${value}`]);
    expect([code, err.lines.length]).toEqual([2, 1]);
    expect(err.text).toContain(`${option} takes `);
    expect(err.text).toMatch(message);
  });

  test("certificate and key belong together, and must be there", async () => {
    const alone = await run([
      "listen",
      "net:127.0.0.1:0~noise",
      "--tls-cert",
      import.meta.filename,
    ]);
    expect([alone.code, alone.err.text]).toEqual([
      2,
      "testudo: --tls-cert and --tls-key belong together\n",
    ]);
    const missing = await run([
      "send",
      "net:127.0.0.1:1~noise",
      "x",
      "--tls-ca",
      "/no/such",
      "--json",
    ]);
    expect([missing.code, missing.out.events]).toMatchObject([
      1,
      [
        {
          code: "FILE_UNREADABLE",
          message: expect.stringContaining("--tls-ca: cannot read /no/such"),
        },
      ],
    ]);
  });
});

test("what is no certificate is refused before anything else happens", async () => {
  const vectors = fileURLToPath(new URL("../../../test/vectors/", import.meta.url));
  const [cert, key] = [`${vectors}localhost.cert.pem`, `${vectors}localhost.key.pem`];
  const refused = async (...words: string[]): Promise<string> => {
    const { code, err } = await run(["listen", "net:127.0.0.1:0~noise", ...words]);
    expect([code, err.lines.length]).toEqual([2, 1]);
    return err.text;
  };
  const both = "--tls-cert and --tls-key: no certificate in PEM";
  expect(await refused("--tls-cert", key, "--tls-key", key)).toContain(both);
  expect(await refused("--tls-cert", cert, "--tls-key", cert)).toContain(both);
  expect(await refused("--tls-ca", key)).toContain("--tls-ca: no certificate in PEM");
  const secret = readFileSync(key, "utf8").split("\n")[1] ?? "";
  expect(await refused("--tls-cert", key, "--tls-key", key)).not.toContain(secret);
});

test.each([
  ["--external", "EXAMPLE.org, 203.0.113.9 ,[2001:db8::1],2001:db8::2"],
  ["--external", "wss://example.org/node"],
  ["--proxy", "localhost:9050,[::1]:9050,unix:/run/tor/socks"],
  ["--prefer", "noise,net~shs,wss,unix~noise~gzip"],
  ["--scope", "public,device"],
])("%s %s is right", async (option, value) => {
  // What is wrong comes behind all options, so that these are known to be read.
  const words = ["listen", "net:127.0.0.1:0~noise", option, value, "--dial", "warp:x~noise"];
  const { err } = await run(words);
  expect(err.text).toContain("warp is no transport");
});
