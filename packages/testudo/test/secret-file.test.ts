import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSecretFile, tooLong } from "../src/secret-file.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "testudo-secret-"));
});
afterAll(() => rm(folder, { recursive: true }));

const silent = (text: string): void => {
  throw new Error(`warned: ${text}`);
};

describe("secret files", () => {
  test.each([0, 1, 4_096])("one of %i bytes is read whole", async (length) => {
    const file = join(folder, String(length));
    const bytes = new Uint8Array(length).fill(7);
    await writeFile(file, bytes, { mode: 0o600 });
    const read = await readSecretFile(file, silent);
    expect([read, tooLong(read)]).toEqual([bytes, false]);
  });

  test("one that is longer is known by that, and not read to its end", async () => {
    const file = join(folder, "long");
    await writeFile(file, new Uint8Array(100_000), { mode: 0o600 });
    const read = await readSecretFile(file, silent);
    expect([read.length, tooLong(read)]).toEqual([4_097, true]);
  });

  test.skipIf(process.platform === "win32")("one that others may read is warned of", async () => {
    const file = join(folder, "open");
    await writeFile(file, "hush");
    await chmod(file, 0o640);
    const warnings: string[] = [];
    await readSecretFile(file, (text) => warnings.push(text));
    expect(warnings).toEqual([expect.stringContaining(`chmod 600 ${file}`)]);
    expect(warnings.join()).not.toContain("hush");
  });

  test("one that is not there is what the system says", async () => {
    await expect(readSecretFile(join(folder, "none"), silent)).rejects.toMatchObject({
      code: "ENOENT",
    });
  });
});
