import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run } from "../support/io.ts";

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

test("anything else is a usage error", async () => {
  expect((await run(["key", "eat"])).code).toBe(2);
  expect((await run(["key"])).code).toBe(2);
});
