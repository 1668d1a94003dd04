/** Every example, run as its first lines say, and what it prints. */

import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { ROOT } from "./support/markdown.ts";
import { Program, run } from "./support/run.ts";

const TIMEOUT_MS = 60_000;
const files = readdirSync(`${ROOT}/examples`).filter((name) => name.endsWith(".ts"));

/** What each prints; lines that may change places are sorted. */
const PRINTED: Readonly<Record<string, readonly string[]>> = {
  "01-echo.ts": ["the echo: hello"],
  "03-request-reply.ts": [
    "1 + 2 + 3 = 6",
    "three at once: [ 8, 10, 12 ]",
    "no answer: REQUEST_TIMEOUT",
  ],
  "04-two-transports.ts": [
    "listening on net~noise;net~shs",
    "the new peer, you came by net~noise",
    "the old peer, you came by net~shs",
    "sent to 2 peers",
    "the new peer reads: one node, two stacks",
    "the old peer reads: one node, two stacks",
  ],
  "05-write-a-plugin.ts": ["bob reads: tea at four", "alice reads: I shall come"],
  "06-discovery.ts": [
    "nodes that each of them knows: 11",
    "alice found bob by his key: true",
    "kept by others: true and read: back at four",
    "dave is back, without any address to begin with",
  ],
  "07-gossip.ts": [
    "it has reached 7 nodes, and that is all",
    "one who came late: the tortoise is at the first bend",
  ],
  "08-upgrade.ts": [
    "they came by net~shs and net~noise",
    "now all speak net~noise",
    "who dials the old way now: DIAL_REFUSED",
    "numbers lost on the way: 0",
  ],
};

describe("examples", () => {
  it("are all run here", () => {
    expect(files.toSorted()).toEqual([...Object.keys(PRINTED), "02-chat.ts"].toSorted());
  });

  it.each(files)("%s is at most 60 lines and says how to run it", (file) => {
    const source = readFileSync(`${ROOT}/examples/${file}`, "utf8");
    expect(source.trimEnd().split("\n").length).toBeLessThanOrEqual(60);
    expect(source).toContain(`npx tsx --conditions=@testudo/source examples/${file}`);
  });

  it.each(Object.entries(PRINTED))(
    "%s prints what it did, and ends by itself",
    async (file, lines) => {
      const { code, stdout, stderr } = await run(`examples/${file}`);
      expect(stderr).toBe("");
      expect(stdout.trimEnd().split("\n").toSorted()).toEqual(lines.toSorted());
      expect(code).toBe(0);
    },
    TIMEOUT_MS,
  );
});

describe("02-chat.ts", () => {
  const running: Program[] = [];
  const chat = (where: string): Program => {
    const program = new Program("examples/02-chat.ts", [where]);
    running.push(program);
    return program;
  };
  afterEach(async () => {
    for (const program of running) program.kill();
    await Promise.all(running.splice(0).map((program) => program.ended));
  });

  it(
    "carries lines both ways between processes, and ends with its input",
    async () => {
      const alice = chat("listen");
      const bob = chat(await alice.line(/^net:127\.0\.0\.1:\d+~noise:/));
      await Promise.all([alice.line(/is here$/), bob.line(/is here$/)]);
      bob.type("good morning");
      expect(await alice.line(/good/)).toMatch(/^\S{8}: good morning$/);
      alice.type("is it?\u001b[2J");
      expect(await bob.line(/is it/)).toMatch(/^\S{8}: is it\?\?\[2J$/);

      bob.endInput();
      expect(await bob.ended).toMatchObject({ code: 0, stderr: "" });
      expect(await alice.line(/left/)).toMatch(/^\* \S{8} left: NETWORK_CLOSED$/);
      alice.endInput();
      expect(await alice.ended).toMatchObject({ code: 0, stderr: "" });
    },
    TIMEOUT_MS,
  );
});
