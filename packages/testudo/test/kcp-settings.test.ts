import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Arguments } from "../src/arguments.ts";
import { KCP_OPTIONS, readKcp } from "../src/kcp-settings.ts";
import { run } from "./support/io.ts";

const folder = mkdtempSync(join(tmpdir(), "testudo-"));
afterAll(() => rmSync(folder, { recursive: true }));
const SECRET = "correct horse";
let files = 0;
const fileWith = (content: string | Uint8Array): string => {
  const file = join(folder, String(files++));
  writeFileSync(file, content, { mode: 0o600 });
  return file;
};

const read = (...words: string[]) => {
  const syntax = { usage: [], options: KCP_OPTIONS, positionals: [0, 0] } as const;
  return readKcp(new Arguments(words, syntax), (warning) => {
    throw new Error(warning);
  });
};

describe("the options of kcp", () => {
  test.each([
    [[], {}],
    [["--kcp-fec", "10,3"], { kcp: { fec: { data: 10, parity: 3 } } }],
    [["--kcp-fec", "1,63"], { kcp: { fec: { data: 1, parity: 63 } } }],
    [["--kcp-fec", "off"], { kcp: { fec: false } }],
  ])("%j", async (words, settings) => {
    expect(await read(...words)).toEqual(settings);
  });
});

describe("the options of kcpgo", () => {
  const password = SECRET;
  test.each([
    [["--kcpgo-password", SECRET], { crypt: "aes", password }],
    [["--kcpgo-password", SECRET, "--kcpgo-kdf", "readme"], { crypt: "aes", password }],
    [
      ["--kcpgo-password", SECRET, "--kcpgo-kdf", "kcptun", "--kcpgo-crypt", "salsa20"],
      { crypt: "salsa20", password, salt: "kcp-go", iterations: 4_096 },
    ],
    [
      ["--kcpgo-crypt", "aes-128", "--kcpgo-fec", "200,56", "--kcpgo-password", SECRET],
      { crypt: "aes-128", password, fec: [200, 56] },
    ],
    [["--kcpgo-crypt", "none", "--kcpgo-fec", "off"], { crypt: "none", fec: false }],
    [["--kcpgo-crypt", "null"], { crypt: "null" }],
  ])("%j", async (words, kcpgo) => {
    expect(await read(...words)).toEqual({ kcpgo });
  });

  test.each([
    ["as it is", SECRET],
    ["less one newline", `${SECRET}\n`],
    ["less one newline of Windows", `${SECRET}\r\n`],
  ])("a password in a file counts %s", async (_, content) => {
    expect(await read("--kcpgo-password-file", fileWith(content))).toMatchObject({
      kcpgo: { password: SECRET },
    });
    const more = await read("--kcpgo-password-file", fileWith(` ${SECRET} \n\n`));
    expect(more).toMatchObject({ kcpgo: { password: ` ${SECRET} \n` } });
  });
});

/** Usage errors come before anything is listened on or dialled. */
describe("a wrong value is a usage error that names its option and shows no password", () => {
  const given = ["--kcpgo-password", SECRET];
  test.each([
    [["--kcp-fec", "10"], /^--kcp-fec takes D,P of at least 1 each and 64 together, .* not "10"/],
    [["--kcp-fec", "60,5"], /^--kcp-fec takes .* 64 together, or off, not "60,5"/],
    [["--kcp-fec", "0,3"], /^--kcp-fec /],
    [["--kcp-fec", "3,0"], /^--kcp-fec /],
    [["--kcp-fec", "10,3,1"], /^--kcp-fec /],
    [["--kcp-fec", ""], /^--kcp-fec .* not ""/],
    [[...given, "--kcpgo-fec", "200,57"], /^--kcpgo-fec takes .* 256 together, .* not "200,57"/],
    [[...given, "--kcpgo-fec=-1,3"], /^--kcpgo-fec takes .* not "-1,3"/],
    [[...given, "--kcpgo-crypt", "blowfish"], /^--kcpgo-crypt is one of aes, .* not "blowfish"/],
    [[...given, "--kcpgo-crypt", ""], /^--kcpgo-crypt is one of .* not ""/],
    [[...given, "--kcpgo-crypt", "none"], /^--kcpgo-crypt none seals nothing/],
    [[...given, "--kcpgo-kdf", "mine"], /^--kcpgo-kdf is readme or kcptun, not "mine"/],
    [[...given, "--kcpgo-password-file", "x"], /exclude each other/],
    [["--kcpgo-password", ""], /^--kcpgo-password is empty/],
    [["--kcpgo-password", "--correct horse"], /--kcpgo-password/],
    [["--kcpgo-fec", "10,3"], /^kcpgo needs --kcpgo-password-file or --kcpgo-password/],
    [["--kcpgo-crypt", "aes"], /^kcpgo needs --kcpgo-password-file/],
    [["--kcpgo-password-file", fileWith("")], /^--kcpgo-password-file: there is no password in /],
    [["--kcpgo-password-file", fileWith("\n")], /^--kcpgo-password-file: there is no password in /],
    [["--kcpgo-password-file", fileWith(Uint8Array.of(255, 254))], /there is no password in /],
    [["--kcpgo-password-file", fileWith("x".repeat(5_000))], /there is no password in /],
  ])("%j", async (words, message) => {
    for (const verb of [
      ["listen", "net:127.0.0.1:0~noise"],
      ["pipe", "kcpgo:127.0.0.1:1"],
    ]) {
      const { code, err } = await run([...verb, ...words]);
      expect([code, err.lines.length]).toEqual([2, 1]);
      expect(err.text.replace("testudo: ", "")).toMatch(message);
      expect(err.text).not.toContain("horse");
    }
  });

  test("a password file that is not there is a failure", async () => {
    const words = ["send", "kcpgo:127.0.0.1:1~noise", "x", "--json"];
    const { code, out } = await run([...words, "--kcpgo-password-file", join(folder, "none")]);
    expect([code, out.events]).toMatchObject([
      1,
      [
        {
          code: "FILE_UNREADABLE",
          message: expect.stringMatching(/^--kcpgo-password-file: cannot read .*no such file/),
        },
      ],
    ]);
  });
});

test("every command that takes addresses has the options in its help", async () => {
  for (const verb of ["listen", "send", "ping", "pipe"]) {
    const { code, out } = await run([verb, "--help"]);
    expect(code).toBe(0);
    for (const name of Object.keys(KCP_OPTIONS)) expect(out.text).toContain(`--${name} `);
  }
});
