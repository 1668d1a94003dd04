/** Listening where it cannot be: on all or on none, with a report of each, and nothing left open. */

import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { MultiServer, type NetworkError, type StackParts } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { shs } from "@testudo/transports/shs";
import { unix } from "@testudo/transports/unix";
import { ws } from "@testudo/transports/ws";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { folder, WAYS } from "./ways.ts";

/** Somebody else's listener, on a port or on a path. */
async function occupied(path?: string): Promise<{ port: number; free: () => Promise<void> }> {
  const server: Server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(path, resolve);
  });
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : 0,
    free: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function failure(serving: Promise<unknown>): Promise<NetworkError> {
  return serving.then(
    () => {
      throw new Error("it listens");
    },
    (error: NetworkError) => error,
  );
}

const host = "127.0.0.1";

describe("a server whose place is taken", () => {
  expectNoLeaks();

  const kinds: readonly (readonly [string, (port: number, path: string) => StackParts])[] = [
    ["net", (port) => [net({ host, port }), shs()]],
    ["ws", (port) => [ws({ host, port }), shs()]],
    ["unix", (_port, path) => [unix({ path }), shs()]],
  ];

  it.each(kinds)(
    "by %s says so, opens none of the others, and may try again",
    async (name, stack) => {
      await using place = await folder();
      await using others = await folder();
      const taken = await occupied(name === "unix" ? join(place.path, "socket") : undefined);
      const rest = WAYS.filter((way) => way.name !== name);
      const node = new MultiServer([
        ...rest.map((way): StackParts => [way.listening(others.path), shs()]),
        stack(taken.port, place.path),
      ]);
      const error = await failure(node.server(() => {}));
      expect(error).toMatchObject({
        name: "DialError",
        code: "LISTEN_FAILED",
        attempts: [{ stage: "listen", cause: { code: "LISTEN_FAILED" } }],
      });
      expect(error.message).toMatch(
        /^1 of 3 listeners failed, so none is open\. cannot listen on /,
      );
      expect(error.message).toMatch(/in use|serves it|listens/);
      expect(error.address).toContain(name === "unix" ? place.path : String(taken.port));
      // The listeners of the other ways are closed again: their resources are counted at the end.
      await taken.free();
      const serving = await node.server(() => {});
      expect(serving.addresses).toHaveLength(3);
      await serving.close();
    },
  );

  it("by every way has a report of each, in the order of the stacks", async () => {
    await using place = await folder();
    const [tcp, web, file] = [
      await occupied(),
      await occupied(),
      await occupied(join(place.path, "socket")),
    ];
    const node = new MultiServer(
      kinds.map(([name, stack]) => stack(name === "ws" ? web.port : tcp.port, place.path)),
    );
    const error = await failure(node.server(() => {}));
    expect(error.message).toMatch(/^3 of 3 listeners failed/);
    expect(error.attempts?.map(({ address }) => address.replace(/~.*/, ""))).toEqual([
      `net:${host}:${tcp.port}`,
      `ws://${host}:${web.port}`,
      `unix:${place.path}/socket`,
    ]);
    for (const each of [tcp, web, file]) await each.free();
  });

  it("by itself has two stacks for one port", async () => {
    const taken = await occupied();
    const { port } = taken;
    await taken.free();
    const node = new MultiServer([
      [net({ host, port }), shs()],
      [ws({ host, port }), shs()],
    ]);
    expect(await failure(node.server(() => {}))).toMatchObject({ code: "LISTEN_FAILED" });
  });
});

describe("a server at a host that is not this machine's", () => {
  expectNoLeaks();

  it.each([
    ["net", net({ host: "192.0.2.1", port: 0 })],
    ["ws", ws({ host: "192.0.2.1", port: 0 })],
    ["unix", unix({ path: `/dev/null/${"no-folder"}` })],
  ])("by %s says so", async (_name, transport) => {
    const error = await failure(new MultiServer([[transport, shs()]]).server(() => {}));
    expect(error).toMatchObject({ code: "LISTEN_FAILED", attempts: [{ stage: "listen" }] });
  });
});
