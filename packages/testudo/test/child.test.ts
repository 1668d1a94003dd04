import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Child } from "../src/child.ts";
import { TestIo } from "./support/io.ts";

const children: Child[] = [];
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.kill()));
});

function start(...words: string[]): { child: Child; io: TestIo } {
  const io = new TestIo();
  const child = new Child("it", words, io);
  children.push(child);
  return { child, io };
}

const never = new AbortController().signal;
const wait = { what: "answer", quietMs: 20_000, leave: never };

describe("Child", () => {
  test("hears what it says and tells it what to do", async () => {
    const { child } = start("demo-node", "net:127.0.0.1:0~noauth", "--json");
    expect(child.pid).toBeGreaterThan(0);
    const ready = await child.next(({ event }) => event === "ready", wait);
    expect(ready.address).toMatch(/^net:127\.0\.0\.1:\d+~noauth$/);
    const folder = await mkdtemp(join(tmpdir(), "testudo-child-"));
    const file = join(folder, "text");
    await writeFile(file, "a\nb\n");
    const streamed = child.next(({ event }) => event === "streamed", wait);
    child.tell({ do: "stream", file });
    expect((await streamed).messages).toBe(2);
    await rm(folder, { recursive: true });
  });

  test("one that goes away by itself is told with what it said last", async () => {
    const { child } = start("demo-node", "net:127.0.0.1:0~noauth", "--json");
    await child.next(({ event }) => event === "ready", wait);
    const waiting = child.next(({ event }) => event === "never", wait);
    child.tell({ do: "stream", file: "/no/such/file" });
    await expect(waiting).rejects.toMatchObject({
      code: "CHILD_FAILED",
      message: expect.stringMatching(
        /went away by itself \(exit 1\): cannot read \/no\/such\/file/,
      ),
    });
    await expect(child.next(() => true, wait)).rejects.toMatchObject({ code: "CHILD_FAILED" });
  });

  test("what it writes to stderr, and not as JSON, is passed on or left", async () => {
    const { child, io } = start("demo-node", "frob");
    await expect(child.next(() => true, wait)).rejects.toThrow(/exit 2/);
    expect(io.err.text).toContain("no transport");
  });

  test("silence has an end, and so has waiting", async () => {
    const { child } = start("demo-node", "net:127.0.0.1:0~noauth", "--json");
    await child.next(({ event }) => event === "ready", wait);
    await expect(child.next(() => true, { ...wait, quietMs: 20 })).rejects.toThrow(
      "node it should answer and is silent",
    );
    const leaving = new AbortController();
    const waiting = child.next(() => true, { ...wait, leave: leaving.signal });
    const reason = new Error("leaving");
    leaving.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(child.next(() => true, { ...wait, leave: leaving.signal })).rejects.toBe(reason);
  });

  test("killing it is no failure of its own", async () => {
    const { child } = start("demo-node", "net:127.0.0.1:0~noauth", "--json");
    const events: string[] = [];
    child.onEvent(({ event }) => events.push(event));
    await child.next(({ event }) => event === "ready", wait);
    await child.kill();
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).not.toContain("gone");
  });
});
