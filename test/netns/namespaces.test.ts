/**
 * Between two machines that are none: kcp and net, each with noise, between processes in two network namespaces with a
 * bad link between them (link.py). Skips where that cannot be had: Linux, root, /dev/net/tun, python3 and nsenter.
 */

import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { Program } from "../support/run.ts";

const MEBIBYTE = 1_048_576;
const TIMEOUT_MS = 40_000;
const TCP_CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control";

interface Namespaces {
  readonly dialer: string;
  readonly listener: string;
}

/** Why it cannot be done here. */
async function missing(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "only root on Linux can";
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  for (const command of ["python3", "nsenter"]) {
    const there = await promisify(execFile)(command, ["--version"]).then(Boolean, () => false);
    if (!there) return `there is no ${command}; .ci/run installs it`;
  }
  const link = new Program("test/netns/link.py", ["{}"]);
  link.endInput();
  const { stdout, stderr } = await link.ended;
  if (stdout.includes('"dialer"')) return undefined;
  return `no namespaces: ${stdout}${stderr}`.trim();
}

const running: Program[] = [];

function start(...made: ConstructorParameters<typeof Program>): Program {
  const program = new Program(...made);
  running.push(program);
  return program;
}

function peer(namespace: string, ...args: readonly string[]): Program {
  const before = ["nsenter", `--net=${namespace}`];
  return start("test/netns/peer.ts", args, undefined, before);
}

async function linked(weather: Record<string, number>) {
  const link = start("test/netns/link.py", [JSON.stringify(weather)]);
  const namespaces = JSON.parse(await link.line(/dialer/)) as Namespaces;
  return { link, ...namespaces };
}

/** Sends over that transport from one namespace to the other; rejects when a byte is wrong. */
async function send(
  name: string,
  bytes: number,
  { dialer, listener }: Namespaces,
  onHalf = () => {},
) {
  const there = peer(listener, "listener", name, "10.99.0.2");
  const address = await there.line(new RegExp(`^${name}:10`));
  const here = peer(dialer, "dialer", address, String(bytes));
  const half = here.line(/^half/).then(onHalf);
  const took = await here.line(/^took|^wrong/);
  await half;
  // Not before: whose listener has gone without a word waits for it.
  await here.ended;
  there.endInput();
  await there.ended;
  return { took: Number(took.match(/^took (\d+) ms$/)?.[1]), address };
}

/** How the system's TCP avoids congestion, which decides how it bears loss. */
const TCP = existsSync(TCP_CONTROL) ? readFileSync(TCP_CONTROL, "utf8").trim() : "unknown";

const why = await missing();
if (why !== undefined) it.skip(`skipped: ${why}`, () => {});

describe.skipIf(why !== undefined)("over a bad link between two namespaces", () => {
  expectNoLeaks();

  afterEach(async () => {
    for (const program of running) program.kill();
    await Promise.all(running.splice(0).map(({ ended }) => ended));
  });

  it(
    "kcp and net bring every byte",
    async () => {
      const weather = { lossRate: 0.02, delayMs: 20, jitterMs: 5, reorderRate: 0.01, mbit: 20 };
      const namespaces = await linked(weather);
      const bytes = 4 * MEBIBYTE;
      const kcp = await send("kcp", bytes, namespaces);
      const net = await send("net", bytes, namespaces);
      expect([kcp.took, net.took].every((ms) => ms > 0)).toBe(true);
      process.stdout.write(
        `4 MiB, 2 % loss, 20 Mbit/s, 40 ms: kcp~noise ${kcp.took} ms, net~noise (${TCP}) ${net.took} ms\n`,
      );
    },
    TIMEOUT_MS,
  );

  it(
    "kcp goes on when the dialer's machine gets another address",
    async () => {
      const { link, ...namespaces } = await linked({ lossRate: 0.01, delayMs: 10, mbit: 20 });
      const move = (): void => link.type("address 10.99.0.3");
      const { took } = await send("kcp", 3 * MEBIBYTE, namespaces, move);
      expect(took).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});
