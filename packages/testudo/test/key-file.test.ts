import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Identity, toBase64 } from "@testudo/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readKeyFile, writeKeyFile } from "../src/key-file.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "testudo-key-"));
});
afterAll(() => rm(folder, { recursive: true }));

const silent = (text: string): void => {
  throw new Error(`warned: ${text}`);
};

describe("identity files", () => {
  test("what is written is read back, with mode 0600", async () => {
    const file = join(folder, "a.key");
    const identity = Identity.generate();
    await writeKeyFile(file, identity);
    const read = await readKeyFile(file, silent);
    expect(read.id.text).toBe(identity.id.text);
    expect(read.secret()).toEqual(identity.secret());
    if (process.platform !== "win32") expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({
      type: "ed25519",
      public: identity.id.text,
      secret: toBase64(identity.secret()),
    });
  });

  test("an existing file is never overwritten", async () => {
    const file = join(folder, "b.key");
    await writeKeyFile(file, Identity.generate());
    const before = await readFile(file, "utf8");
    await expect(writeKeyFile(file, Identity.generate())).rejects.toMatchObject({
      code: "KEY_EXISTS",
    });
    expect(await readFile(file, "utf8")).toBe(before);
  });

  test("a place that cannot be written to is said", async () => {
    const file = join(folder, "no", "such", "c.key");
    await expect(writeKeyFile(file, Identity.generate())).rejects.toMatchObject({
      code: "KEY_UNWRITABLE",
    });
  });

  test.skipIf(process.platform === "win32")("others who may read it are warned of", async () => {
    const file = join(folder, "d.key");
    await writeKeyFile(file, Identity.generate());
    await chmod(file, 0o640);
    const warnings: string[] = [];
    await readKeyFile(file, (text) => warnings.push(text));
    expect(warnings).toEqual([`others may read ${file}; keep it to yourself: chmod 600 ${file}`]);
  });

  test("a missing file, and what is no file, cannot be read", async () => {
    await expect(readKeyFile(join(folder, "none"), silent)).rejects.toMatchObject({
      code: "KEY_UNREADABLE",
      message: expect.stringContaining("testudo key new --file"),
    });
    await expect(readKeyFile(folder, () => {})).rejects.toMatchObject({ code: "KEY_UNREADABLE" });
  });

  const { secret, id } = (() => {
    const identity = Identity.generate();
    return { secret: toBase64(identity.secret()), id: identity.id.text };
  })();
  const other = Identity.generate().id.text;
  test.each([
    ["nothing", ""],
    ["text", "hello"],
    ["a number", "7"],
    ["another type", JSON.stringify({ type: "rsa", public: id, secret })],
    ["no secret", JSON.stringify({ type: "ed25519", public: id })],
    ["a short secret", JSON.stringify({ type: "ed25519", public: id, secret: "AAAA" })],
    ["another's public key", JSON.stringify({ type: "ed25519", public: other, secret })],
    [
      "halves that do not belong together",
      JSON.stringify({
        type: "ed25519",
        public: id,
        secret: toBase64(Identity.generate().secret().fill(7, 0, 32)),
      }),
    ],
  ])("%s is malformed, and no message shows the secret", async (_, text) => {
    const file = join(folder, "e.key");
    await writeFile(file, text, { mode: 0o600 });
    const error = await readKeyFile(file, silent).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "KEY_MALFORMED" });
    expect(String(error)).not.toContain(secret);
    expect(String(error)).toContain(file);
  });
});
