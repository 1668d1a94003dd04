/**
 * The processes of a measurement. `worker.mjs ROLE PEER [WORKLOAD] [quick]` with the role
 * - `dial`: starts the listener (and the peer's environment), runs the workload, sends its figures up;
 * - `listen`: receives and counts;
 * - `environment`: whatever the peer needs beside the measured two.
 */

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { cpuUs, nowUs, quantile, sleep } from "./lib/measure.mjs";
import { caller, serve } from "./lib/rpc.mjs";

const [role, peerName, workloadName, pace] = process.argv.slice(2);
/** @type {import("./lib/types.mjs").Adapter} */
const adapter = await import(`./peers/${peerName}.mjs`);

if (role === "dial") await dial();
else if (role === "environment") await supply();
else receive();

async function dial() {
  /** @type {import("./lib/types.mjs").Workload} */
  const workload = await import(`./workloads/${workloadName}.mjs`);
  const file = fileURLToPath(import.meta.url);
  /** @type {import("node:child_process").ChildProcess[]} */
  const children = [];
  const start = (/** @type {string} */ childRole) => {
    const execArgv = process.execArgv.map((flag) =>
      flag.replace("dial.cpuprofile", `${childRole}.cpuprofile`),
    );
    const child = fork(file, [childRole, String(peerName)], { execArgv });
    children.push(child);
    return caller(child);
  };
  try {
    const environment =
      adapter.environment === undefined ? undefined : await start("environment")("start");
    const call = start("listen");
    const remote = {
      call: (/** @type {string} */ method, /** @type {any} */ argument) =>
        call(method, method === "start" ? { ...argument, environment } : argument),
    };
    const figures = await workload.dial?.({
      adapter,
      quick: pace === "quick",
      environment,
      remote,
    });
    process.send?.({ figures });
  } catch (error) {
    process.send?.({ error: error instanceof Error ? error.stack : String(error) });
  } finally {
    // Only a process that ends by itself writes its profile.
    const profiled = process.execArgv.includes("--cpu-prof");
    for (const child of children) {
      if (profiled) child.disconnect();
      else child.kill("SIGKILL");
    }
    if (profiled) await Promise.all(children.map((child) => once(child, "exit")));
    process.disconnect();
    process.exit(0);
  }
}

async function supply() {
  const environment = await adapter.environment?.();
  serve({ start: () => environment?.info });
}

function receive() {
  let count = 0;
  let bytes = 0;
  let byteTarget = Number.POSITIVE_INFINITY;
  let target = Number.POSITIVE_INFINITY;
  let connections = 0;
  let connectionTarget = Number.POSITIVE_INFINITY;
  let cpuMark = 0;
  /** @type {() => void} */
  let reached = () => {};
  /** @type {() => void} */
  let connected = () => {};
  /** @type {() => void} */
  let filled = () => {};
  /** @type {number[]} */
  let latencies = [];
  /** @type {import("./lib/types.mjs").Listening | undefined} */
  let listening;

  const arrived = () => {
    if (++count === target) reached();
  };
  /** What is done with a message; replaced by `echo` and `latency`. */
  let handle = (/** @type {Uint8Array} */ _body, /** @type {unknown} */ _source) => arrived();

  serve({
    async start({ count: subscribers, environment, echo }) {
      listening = await adapter.listen({
        count: subscribers,
        environment,
        echo,
        onMessage: (body, source) => handle(body, source),
        onConnection: () => {
          if (++connections === connectionTarget) connected();
        },
        onBytes: (length) => {
          bytes += length;
          if (bytes >= byteTarget) filled();
        },
      });
      return listening.addresses;
    },
    count() {
      count = 0;
      cpuMark = cpuUs();
      handle = () => arrived();
    },
    echo() {
      count = 0;
      cpuMark = cpuUs();
      const node = listening;
      handle = (body, source) => node?.reply(source, body);
    },
    /** Bodies begin with the sender's clock. */
    latency() {
      count = 0;
      latencies = [];
      handle = (body) => {
        const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
        latencies.push(nowUs() - view.getFloat64(0, true));
        arrived();
      };
    },
    async received(/** @type {number} */ wanted) {
      await new Promise((resolve) => {
        target = wanted;
        reached = () => resolve(undefined);
        if (count >= target) reached();
      });
      target = Number.POSITIVE_INFINITY;
      return { lastUs: nowUs(), cpuUs: cpuUs() - cpuMark };
    },
    latencies: () => ({ p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) }),
    cpu: () => cpuUs() - cpuMark,
    countBytes() {
      bytes = 0;
      byteTarget = Number.POSITIVE_INFINITY;
    },
    async receivedBytes(/** @type {number} */ wanted) {
      await new Promise((resolve) => {
        byteTarget = wanted;
        filled = () => resolve(undefined);
        if (bytes >= byteTarget) filled();
      });
      return { lastUs: nowUs() };
    },
    mark() {
      connections = 0;
      cpuMark = cpuUs();
    },
    async connections(/** @type {number} */ wanted) {
      await new Promise((resolve) => {
        connectionTarget = wanted;
        connected = () => resolve(undefined);
        if (connections >= connectionTarget) connected();
      });
      connectionTarget = Number.POSITIVE_INFINITY;
      return { cpuUs: cpuUs() - cpuMark };
    },
    async memory() {
      for (let i = 0; i < 4; i++) {
        globalThis.gc?.();
        await sleep(50);
      }
      const { rss, heapUsed, external } = process.memoryUsage();
      return { rss, heap: heapUsed + external };
    },
  });
}
