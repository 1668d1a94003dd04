import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileStorage } from "../src/file-storage.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "testudo-storage-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("a file as a storage", () => {
  it("has nothing at first, and then what was saved last", async () => {
    const path = join(folder, "table.bin");
    const storage = fileStorage(path);
    expect(await storage.load()).toBeUndefined();
    await storage.save(Uint8Array.of(1, 2, 3));
    await storage.save(Uint8Array.of(4));
    expect(await storage.load()).toEqual(Uint8Array.of(4));
    expect(await fileStorage(path).load()).toEqual(Uint8Array.of(4));
    expect(await readdir(folder)).toEqual(["table.bin"]);
    if (process.platform !== "win32") expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("keeps the old content when the new one cannot be written, and leaves nothing beside it", async () => {
    const path = join(folder, "none", "table.bin");
    await expect(fileStorage(path).save(Uint8Array.of(1))).rejects.toMatchObject({
      code: "ENOENT",
    });
    // A folder cannot be renamed over: the last step fails.
    await expect(fileStorage(folder).save(Uint8Array.of(1))).rejects.toThrow(/./);
    expect(await readFile(join(folder, "table.bin"))).toHaveLength(1);
    expect(
      (await readdir(tmpdir())).filter((name) => name.startsWith(`${basename(folder)}.`)),
    ).toEqual([]);
  });

  it("is written by several at once, and is what one of them wrote", async () => {
    const path = join(folder, "shared.bin");
    const storages = Array.from({ length: 8 }, () => fileStorage(path));
    const contents = storages.map((_, n) => new Uint8Array(50_000 + 1_000 * n).fill(n));
    await Promise.all(storages.map((storage, n) => storage.save(contents[n] as Uint8Array)));
    expect(contents).toContainEqual(await fileStorage(path).load());
    expect((await readdir(folder)).filter((name) => name.startsWith("shared"))).toEqual([
      "shared.bin",
    ]);
  });

  it("reads nothing that is too large to be ours", async () => {
    const path = join(folder, "large.bin");
    await writeFile(path, "");
    await truncate(path, 17 * 1024 * 1024);
    await expect(fileStorage(path).load()).rejects.toThrow(RangeError);
  });

  it("wants a path", () => {
    expect(() => fileStorage("")).toThrow(TypeError);
    expect(() => fileStorage(undefined as never)).toThrow(TypeError);
  });
});
