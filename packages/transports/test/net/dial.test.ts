import { getEventListeners, once } from "node:events";
import { connect, createServer, type Server, type Socket, Socket as TcpSocket } from "node:net";
import { Worker } from "node:worker_threads";
import { deferred } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { failureOf, turns } from "../../../../test/support/traffic.ts";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import {
  connectTcp,
  type HostAddress,
  interleaved,
  MAX_ADDRESSES,
  type TcpSystem,
} from "../../src/net/dial.ts";

expectNoLeaks();

const HOST = { host: "node.example", port: 8008 };
const opened: Socket[] = [];
const servers: Server[] = [];

afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => once(server.close(), "close")));
});

const v4 = (address: string): HostAddress => ({ address, family: 4 });
const v6 = (address: string): HostAddress => ({ address, family: 6 });
const knows =
  (...found: readonly HostAddress[]): TcpSystem["lookup"] =>
  async () =>
    found;

/** A TCP server on loopback that keeps what connects. */
async function serve(host: string, port: number = 0): Promise<{ port: number; taken: Socket[] }> {
  const taken: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    opened.push(socket);
    taken.push(socket);
  });
  servers.push(server);
  await once(server.listen({ host, port }), "listening");
  return { port: (server.address() as { port: number }).port, taken };
}

/** Sockets that are connected, or not, when the test says so. */
function puppets() {
  const sockets: Socket[] = [];
  const asked: Parameters<TcpSystem["connect"]>[0][] = [];
  const connect: TcpSystem["connect"] = (options) => {
    const socket = new TcpSocket();
    asked.push(options);
    sockets.push(socket);
    return socket;
  };
  return { sockets, asked, connect, hosts: () => asked.map(({ host }) => host) };
}

function caller() {
  const controller = new AbortController();
  const stages: string[] = [];
  return {
    controller,
    stages,
    options: { signal: controller.signal, stage: (stage: string) => void stages.push(stage) },
    listeners: () => getEventListeners(controller.signal, "abort").length,
  };
}

describe("connectTcp", () => {
  it("looks a name up, and an address not", async () => {
    const { port } = await serve("127.0.0.1");
    const looked: string[] = [];
    const lookup = async (host: string): Promise<readonly HostAddress[]> => {
      looked.push(host);
      return [v4("127.0.0.1")];
    };
    const byName = caller();
    opened.push(await connectTcp({ host: "node.example", port }, byName.options, { lookup }));
    expect(byName.stages).toEqual(["resolve", "connect"]);
    expect(looked).toEqual(["node.example"]);
    const byAddress = caller();
    opened.push(await connectTcp({ host: "127.0.0.1", port }, byAddress.options, { lookup }));
    expect(byAddress.stages).toEqual(["connect"]);
    expect(looked).toHaveLength(1);
    expect(byName.listeners() + byAddress.listeners()).toBe(0);
  });

  it("asks the system for names by itself", async () => {
    const { port, taken } = await serve("localhost");
    opened.push(await connectTcp({ host: "localhost", port }, caller().options));
    await expect.poll(() => taken.length).toBe(1);
  });

  it("asks for sockets without Nagle's delay, half-open, and without Node's own choice of family", async () => {
    const { sockets, asked, connect } = puppets();
    const dialling = connectTcp({ host: "::1", port: 1 }, caller().options, { connect });
    await turns(1);
    sockets[0]?.emit("connect");
    opened.push(await dialling);
    expect(asked).toMatchObject([
      { host: "::1", port: 1, noDelay: true, allowHalfOpen: true, autoSelectFamily: false },
    ]);
  });

  it("gives the system's own error when there is one address", async () => {
    const { port } = await serve("127.0.0.1");
    await once((servers.pop() as Server).close(), "close");
    const run = caller();
    const lookup = knows(v4("127.0.0.1"));
    const error = await failureOf(connectTcp({ ...HOST, port }, run.options, { lookup }));
    expect(error).toMatchObject({ code: "ECONNREFUSED", address: "127.0.0.1" });
    expect(run.listeners()).toBe(0);
  });

  it("gives all errors, in the order of the addresses, when there are several", async () => {
    const { sockets, connect, hosts } = puppets();
    const lookup = knows(v6("::1"), v4("127.0.0.1"));
    const dialling = failureOf(connectTcp(HOST, caller().options, { lookup, connect }));
    await turns(1);
    sockets[0]?.destroy(new Error("first"));
    // It fails at once: the second does not wait for its head start.
    await turns(2);
    expect(sockets).toHaveLength(2);
    sockets[1]?.destroy(new Error("second"));
    const error = (await dialling) as unknown as AggregateError;
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.errors.map(({ message }) => message)).toEqual(["first", "second"]);
    expect(hosts()).toEqual(["::1", "127.0.0.1"]);
  });

  it("gives the error of the look-up, and has one for a name without addresses", async () => {
    const failure = Object.assign(new Error("no"), { code: "EAI_AGAIN" });
    const run = caller();
    const lookup = (): Promise<never> => Promise.reject(failure);
    expect(await failureOf(connectTcp(HOST, run.options, { lookup }))).toBe(failure);
    const none = await failureOf(connectTcp(HOST, run.options, { lookup: knows() }));
    expect(none).toMatchObject({ code: "ENOTFOUND" });
    expect(run.stages).toEqual(["resolve", "resolve"]);
    expect(run.listeners()).toBe(0);
  });

  it("rejects what the system refuses to begin", async () => {
    const refusal = new RangeError("not like this");
    const run = caller();
    const connect = (): never => {
      throw refusal;
    };
    const dialling = connectTcp({ host: "::1", port: 1 }, run.options, { connect });
    expect(await failureOf(dialling)).toBe(refusal);
    expect(run.listeners()).toBe(0);
  });

  it("tries no more than a few of very many addresses", async () => {
    const { sockets, connect, hosts } = puppets();
    const many = Array.from({ length: 100 }, (_, i) => v4(`127.0.1.${i}`));
    const dialling = failureOf(
      connectTcp(HOST, caller().options, { lookup: knows(...many), connect }),
    );
    for (let i = 0; i < MAX_ADDRESSES; i++) {
      await turns(2);
      expect(sockets).toHaveLength(i + 1);
      sockets[i]?.destroy(new Error("no"));
    }
    await dialling;
    expect(hosts()).toEqual(many.slice(0, MAX_ADDRESSES).map(({ address }) => address));
  });

  it("hears errors until its owner listens", async () => {
    const { sockets, connect } = puppets();
    const dialling = connectTcp({ host: "::1", port: 1 }, caller().options, { connect });
    await turns(1);
    sockets[0]?.emit("connect");
    const socket = await dialling;
    expect(socket.listenerCount("error")).toBe(1);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    // Unheard, this would end the process.
    socket.destroy(new Error("late"));
    await closed;
  });

  it("gives no socket that was cut at once", async () => {
    for (const why of [new Error("reset"), undefined]) {
      const { sockets, connect } = puppets();
      const dialling = failureOf(
        connectTcp({ host: "::1", port: 1 }, caller().options, { connect }),
      );
      await turns(1);
      sockets[0]?.emit("connect");
      sockets[0]?.destroy(why);
      expect(await dialling).toMatchObject({
        message: why?.message ?? "the connection was cut at once",
      });
    }
  });
});

describe("the race of a host's addresses", () => {
  it("goes on to the other family after a head start, and leaves nothing of the first", async () => {
    const { port } = await serve("127.0.0.1");
    const hole = puppets();
    const runtime = new VirtualRuntime();
    const run = caller();
    const dialling = connectTcp({ ...HOST, port }, run.options, {
      lookup: knows(v6("::1"), v6("::2"), v4("127.0.0.1")),
      connect: (options) =>
        options.host === "127.0.0.1" ? connect(options) : hole.connect(options),
      runtime,
    });
    await runtime.advance(249);
    expect(hole.hosts()).toEqual(["::1"]);
    await runtime.advance(1);
    const socket = await dialling;
    opened.push(socket);
    expect(socket.remoteAddress).toBe("127.0.0.1");
    expect(hole.hosts()).toEqual(["::1"]);
    expect(hole.sockets[0]?.destroyed).toBe(true);
    expect(runtime.pending).toBe(0);
    expect(run.listeners()).toBe(0);
  });

  it("closes what connected a moment too late", async () => {
    const { sockets, connect } = puppets();
    const runtime = new VirtualRuntime();
    const lookup = knows(v6("::1"), v4("127.0.0.1"));
    const dialling = connectTcp(HOST, caller().options, { lookup, connect, runtime });
    await runtime.advance(250);
    sockets[1]?.emit("connect");
    sockets[0]?.emit("connect");
    expect(await dialling).toBe(sockets[1]);
    await turns(1);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  });

  it.skipIf(process.platform !== "linux")(
    "connects where one answers, past one whose queue is full and that never does",
    async () => {
      const hole = await fullListener("127.0.0.1");
      try {
        const { taken } = await serve("127.0.0.2", hole.port);
        const run = caller();
        const lookup = knows(v4("127.0.0.1"), v4("127.0.0.2"));
        const socket = await connectTcp({ ...HOST, port: hole.port }, run.options, { lookup });
        opened.push(socket);
        expect(socket.remoteAddress).toBe("127.0.0.2");
        await expect.poll(() => taken.length).toBe(1);
        expect(run.listeners()).toBe(0);
      } finally {
        await hole.open();
      }
    },
  );
});

/** A listener whose thread sleeps and whose queue is full: the kernel lets whoever comes next wait. */
async function fullListener(host: string): Promise<{ port: number; open(): Promise<void> }> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    const server = require("node:net").createServer((socket) => socket.destroy());
    server.listen({ host: workerData.host, port: 0, backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(workerData.gate, 0, 0);
      server.close();
    });`;
  const worker = new Worker(code, { eval: true, workerData: { host, gate } });
  const [port] = (await once(worker, "message")) as [number];
  // Linux takes one more than the backlog says.
  for (let i = 0; i < 2; i++) {
    const socket = connect({ host, port });
    opened.push(socket);
    await once(socket, "connect");
    socket.on("error", () => {});
  }
  return {
    port,
    async open() {
      const gone = once(worker, "exit");
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
      await gone;
    },
  };
}

describe("giving up", () => {
  const reason = new Error("changed my mind");

  it("does nothing when the signal has fired", async () => {
    const { sockets, connect } = puppets();
    const run = caller();
    run.controller.abort(reason);
    expect(await failureOf(connectTcp(HOST, run.options, { connect }))).toBe(reason);
    expect(run.stages).toEqual([]);
    expect(sockets).toEqual([]);
  });

  it("does not wait for a look-up that hangs, and opens nothing when it ends", async () => {
    const { sockets, connect } = puppets();
    const found = deferred<readonly HostAddress[]>();
    const run = caller();
    const lookup = (): Promise<readonly HostAddress[]> => found.promise;
    const dialling = failureOf(connectTcp(HOST, run.options, { lookup, connect }));
    await turns(1);
    run.controller.abort(reason);
    expect(await dialling).toBe(reason);
    expect(run.listeners()).toBe(0);
    found.resolve([v4("127.0.0.1")]);
    await turns(2);
    expect(sockets).toEqual([]);
    expect(run.stages).toEqual(["resolve"]);
  });

  it("minds no look-up that fails afterwards", async () => {
    const found = deferred<readonly HostAddress[]>();
    const run = caller();
    const dialling = failureOf(connectTcp(HOST, run.options, { lookup: () => found.promise }));
    run.controller.abort(reason);
    expect(await dialling).toBe(reason);
    found.reject(new Error("of no concern"));
    await turns(2);
  });

  it("closes all that are on their way", async () => {
    const { sockets, connect } = puppets();
    const runtime = new VirtualRuntime();
    const run = caller();
    const lookup = knows(v6("::1"), v4("127.0.0.1"), v4("127.0.0.2"));
    const dialling = failureOf(connectTcp(HOST, run.options, { lookup, connect, runtime }));
    await runtime.advance(300);
    expect(sockets).toHaveLength(2);
    run.controller.abort(reason);
    expect(await dialling).toBe(reason);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    expect(runtime.pending).toBe(0);
    expect(run.listeners()).toBe(0);
  });

  it("closes a socket that connects in the same moment", async () => {
    const { sockets, connect } = puppets();
    const run = caller();
    const dialling = failureOf(connectTcp({ host: "::1", port: 1 }, run.options, { connect }));
    await turns(1);
    sockets[0]?.emit("connect");
    run.controller.abort(reason);
    expect(await dialling).toBe(reason);
    expect(sockets[0]?.destroyed).toBe(true);
  });

  it("gives the signal's reason as it is, also one that is a list of errors", async () => {
    const list = new AggregateError([new Error("one")], "several");
    const run = caller();
    const lookup = (): Promise<never> => new Promise(() => {});
    const dialling = failureOf(connectTcp(HOST, run.options, { lookup }));
    run.controller.abort(list);
    expect(await dialling).toBe(list);
  });
});

describe("interleaved", () => {
  it("takes the families in turn, each in its order, and each address once", () => {
    const found = [v6("::1"), v6("::2"), v6("::3"), v4("127.0.0.1"), v6("::1"), v4("127.0.0.2")];
    expect(interleaved(found)).toEqual(["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]);
  });

  it("begins with the family that came first", () => {
    expect(interleaved([v4("127.0.0.1"), v4("127.0.0.2"), v6("::1")])).toEqual([
      "127.0.0.1",
      "::1",
      "127.0.0.2",
    ]);
    expect(interleaved([v4("127.0.0.1")])).toEqual(["127.0.0.1"]);
    expect(interleaved([])).toEqual([]);
  });
});
