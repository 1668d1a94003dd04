/**
 * The last step of an upgrade, with the real command in processes of its own: the node is started again
 * without shs. Its code is not loaded any more, its key is the same, and its peers come back by themselves.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineMessage, Network, NetworkError, text } from "@testudo/core";
import { keepalive } from "@testudo/plugins/keepalive";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Process } from "../../packages/testudo/test/support/bin.ts";
import { failureOf } from "../support/traffic.ts";

const Line = defineMessage({ name: "line", opcode: 1_000, codec: text });
const PATIENCE = { timeout: 10_000, interval: 10 };
const TIMEOUT_MS = 30_000;

/** For `node`: writes the address of every module that is loaded into a file. */
function noting(file: string): string[] {
  const hooks = `
    import { appendFileSync } from "node:fs";
    export async function load(url, context, next) {
      appendFileSync(${JSON.stringify(file)}, url + "\\n");
      return next(url, context);
    }`;
  const preload = `
    import { register } from "node:module";
    register("data:text/javascript," + ${JSON.stringify(encodeURIComponent(hooks))});`;
  return ["--import", `data:text/javascript,${encodeURIComponent(preload)}`];
}

describe("a node that is started again without shs", () => {
  let folder = "";
  const key = (): string => join(folder, "node.key");
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "testudo-upgrade-"));
    await using making = new Process(["key", "new", "--file", key()]);
    expect(await making.exit).toBe(0);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const start = async (address: string): Promise<Running> => {
    const modules = join(folder, `${address.replace(/[^\w]+/g, "-")}.txt`);
    const words = ["listen", address, "--key", key(), "--json"];
    const running = new Process(words, noting(modules));
    const { id, addresses } = await running.out.event("listening");
    return {
      running,
      id: String(id),
      address: (addresses as string[]).join(";"),
      lines: () =>
        running.out.events.filter(({ event }) => event === "message").map(({ text }) => text),
      loaded: () => readFileSync(modules, "utf8"),
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
    };
  };

  it(
    "does not load its code, has the same id, and its peers come back by themselves",
    async () => {
      const events: string[] = [];
      await using client = new Network({
        stacks: [
          [net(), shs()],
          [net(), noise()],
        ],
      });
      await client.registerPlugin(keepalive({ redial: { minDelayMs: 20, maxDelayMs: 100 } }));
      await client.registerPlugin({
        nodeAdded: ({ peer }) => void events.push(`added ${names(peer.address)}`),
        nodeDeleted: ({ reason }) => void events.push(`deleted ${reason?.code}`),
      });
      const say = async (from: number): Promise<string[]> => {
        const lines = Array.from({ length: 100 }, (_, index) => `line ${from + index}`);
        const sent = lines.map((line) => client.broadcast(Line.of(line)).report());
        for (const { sent: to } of await Promise.all(sent)) expect(to).toHaveLength(1);
        return lines;
      };

      await using before = await start("net:127.0.0.1:0~shs;net:127.0.0.1:0~noise");
      const peer = await client.add(before.address);
      expect(events).toEqual(["added net~shs"]);
      const first = await say(0);
      await before.running.out.until(() => before.lines().length >= first.length);
      before.running.child.kill("SIGTERM");
      expect(await before.running.exit).toBe(0);
      expect(before.lines()).toEqual(first);

      // It is away: what is said to it is refused, in every way that one can say it.
      await expect
        .poll(() => events, PATIENCE)
        .toEqual(["added net~shs", "deleted NETWORK_CLOSED"]);
      expect(await failureOf(peer.send(Line.of("lost")))).toMatchObject({ code: "NETWORK_CLOSED" });
      expect(client.broadcast(Line.of("lost")).queued).toBe(0);
      const codes = async (name: string): Promise<unknown[]> => {
        const { failed } = await client.broadcast(Line.of("lost"), name).report();
        return failed.map(({ error }) => error instanceof NetworkError && error.code);
      };
      expect(await codes(before.id)).toEqual(["STREAM_CLOSED"]);
      expect(await codes(before.address)).toEqual(["DIAL_REFUSED"]);

      const [, newAddress = ""] = before.address.split(";");
      await using after = await start(newAddress.replace(/~noise.*/, "~noise"));
      expect(after.address).toBe(newAddress);
      expect(after.id).toBe(before.id);
      await expect.poll(() => events.slice(2), PATIENCE).toEqual(["added net~noise"]);
      expect([...client.wanted.keys()]).toEqual([before.address]);
      const second = await say(100);
      await after.running.out.until(() => after.lines().length >= second.length);
      after.running.child.kill("SIGTERM");
      expect(await after.running.exit).toBe(0);
      expect(after.lines()).toEqual(second);
      expect([before.running.err.text, after.running.err.text]).toEqual(["", ""]);

      for (const { loaded } of [before, after]) {
        expect(loaded()).toContain("/transports/dist/noise/index.js");
      }
      expect(before.loaded()).toContain("/transports/dist/shs/index.js");
      // Nor what only shs needs.
      expect(before.loaded()).toContain("@noble/ciphers");
      expect(after.loaded()).not.toMatch(/\/shs\/|@noble\/ciphers/);
    },
    TIMEOUT_MS,
  );
});

interface Running extends AsyncDisposable {
  readonly running: Process;
  readonly id: string;
  readonly address: string;
  /** The texts of the messages that it printed. */
  readonly lines: () => unknown[];
  /** The modules that it loaded, one a line. */
  readonly loaded: () => string;
}

function names(address: string): string {
  return address.replace(/:[^~;]*/g, "");
}
