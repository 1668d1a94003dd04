import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { staticBits } from "@testudo/plugins/kademlia/machines";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readKeyFile } from "../../src/key-file.ts";
import { Running, run } from "../support/io.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "testudo-keys-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("new makes a file, show says whose it is, and neither shows the secret", async () => {
  const file = join(folder, "node.key");
  const made = await run(["key", "new", "--file", file, "--json"]);
  expect(made.code).toBe(0);
  const [event] = made.out.events;
  expect(event).toEqual({ event: "key", id: expect.stringMatching(/^.{43}=$/), file });
  const shown = await run(["key", "show", "--file", file]);
  expect([shown.code, shown.out.text]).toEqual([0, `${event?.id}\n`]);
  const { secret } = JSON.parse(await readFile(file, "utf8")) as { secret: string };
  expect(made.out.text + made.err.text + shown.out.text + shown.err.text).not.toContain(secret);
});

test("new refuses to overwrite, show says what is missing", async () => {
  const file = join(folder, "twice.key");
  await run(["key", "new", "--file", file]);
  const again = await run(["key", "new", "--file", file, "--json"]);
  expect(again.code).toBe(1);
  expect(again.out.events).toMatchObject([{ event: "error", code: "KEY_EXISTS" }]);
  const missing = await run(["key", "show", "--file", join(folder, "none")]);
  expect([missing.code, missing.out.text]).toEqual([1, ""]);
  expect(missing.err.lines).toHaveLength(1);
});

test("new --puzzle finds an id that solves the puzzle, and says what both cost", async () => {
  const file = join(folder, "puzzle.key");
  const words = ["key", "new", "--puzzle", "--static-bits", "5", "--dynamic-bits", "6"];
  const made = await run([...words, "--file", file, "--json"]);
  expect(made.code).toBe(0);
  const [event] = made.out.events as unknown as { id: string; keys: number; hashes: number }[];
  expect(event).toMatchObject({ event: "key", file, staticBits: 5, dynamicBits: 6 });
  expect(event?.keys).toBeGreaterThan(0);
  expect(event?.hashes).toBeGreaterThan(0);
  const identity = await readKeyFile(file, () => {});
  expect(identity.id.text).toBe(event?.id);
  expect(staticBits(identity.publicKey)).toBeGreaterThanOrEqual(5);
  const told = await run([...words, "--file", join(folder, "told.key")]);
  expect(told.code).toBe(0);
  expect(told.out.lines).toHaveLength(1);
  expect(told.err.text).toContain("keys tried for 5 bits");
});

test("a search is interrupted, and leaves no file", async () => {
  const file = join(folder, "never.key");
  const running = new Running(["key", "new", "--puzzle", "--static-bits", "32", "--file", file]);
  await new Promise((resolve) => setImmediate(resolve));
  running.io.signal("SIGINT");
  expect(await running.code).toBe(1);
  expect(running.io.err.text).toContain("interrupted by SIGINT");
  await expect(readFile(file)).rejects.toMatchObject({ code: "ENOENT" });
});

test("bits without a puzzle, or too many of them, are usage errors", async () => {
  expect((await run(["key", "new", "--static-bits", "5"])).code).toBe(2);
  expect((await run(["key", "show", "--puzzle"])).code).toBe(2);
  expect((await run(["key", "new", "--puzzle", "--static-bits", "33"])).code).toBe(2);
});

test("anything else is a usage error", async () => {
  expect((await run(["key", "eat"])).code).toBe(2);
  expect((await run(["key"])).code).toBe(2);
});
