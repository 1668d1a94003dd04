/** Which web pages may dial: a page on the internet must not reach an unproved node on its reader's machine. */

import { once } from "node:events";
import { MultiServer, networkError, type StackParts } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { LOCALHOST } from "../../../../test/support/tls.ts";
import { failureOf } from "../../../../test/support/traffic.ts";
import { noauth } from "../../src/noauth/index.ts";
import { noise } from "../../src/noise/index.ts";
import { type WsOptions, ws } from "../../src/ws/index.ts";
import { at, heard, portOf, request, World } from "./support.ts";

expectNoLeaks();

const world = new World();
afterEach(() => world.close());

/** What a browser on a page of this origin would be answered. */
async function answerTo(
  options: WsOptions & { authenticated?: boolean },
  headers: Readonly<Record<string, string>>,
): Promise<string> {
  const { authenticated, ...own } = options;
  const how = authenticated === undefined ? {} : { authenticated };
  const listener = await world.listen("ws://127.0.0.1:0", own, {
    ...how,
    accept: (connection) => connection.abort(networkError("STREAM_CLOSED", "seen enough")),
  });
  const lines = Object.entries(headers).map(([name, value]) => [
    name,
    value.replace("PORT", String(portOf(listener))),
  ]);
  const socket = await world.socket(listener);
  socket.write(request(Object.fromEntries(lines)));
  return heard(socket);
}

const WELCOME = /^HTTP\/1\.1 101 /;
const REFUSED = /^HTTP\/1\.1 403 Forbidden\r\n/;
const FOREIGN = { Origin: "https://evil.example" };

describe("an origin", () => {
  it("is refused when foreign and nobody proves anything, saying why", async () => {
    const answer = await answerTo({}, FOREIGN);
    expect(answer).toMatch(REFUSED);
    expect(answer).toContain("pages of other origins");
    expect(world.accepted).toEqual([]);
  });

  it.each([
    ["any, where keys are proved", { authenticated: true }, FOREIGN],
    ["none, from what is no browser", {}, {}],
    ["our own, by address", {}, { Origin: "http://127.0.0.1:PORT", Host: "127.0.0.1:PORT" }],
    ["our own, by localhost", {}, { Origin: "http://localhost:PORT", Host: "localhost:PORT" }],
    [
      "our own, by a name told to others",
      { external: "node.example" },
      { Origin: "http://node.example", Host: "node.example" },
    ],
    [
      "our own, behind a proxy that we were told of",
      { external: "wss://node.example/x" },
      { Origin: "https://node.example", Host: "node.example" },
    ],
    ["any, when any is allowed", { origins: "any" }, FOREIGN],
    ["one that is listed", { origins: ["https://a.example", "https://EVIL.example/"] }, FOREIGN],
    ["none that has a name, when that is listed", { origins: ["null"] }, { Origin: "null" }],
    [
      "one that is listed, by its old header",
      { origins: ["https://a.example"] },
      { "Sec-WebSocket-Version": "8", "Sec-WebSocket-Origin": "https://a.example" },
    ],
    ["of an extension that is listed", { origins: ["app://x"] }, { Origin: "app://x" }],
    [
      "our own, beside those listed",
      { origins: ["https://a.example"] },
      { Origin: "http://127.0.0.1", Host: "127.0.0.1" },
    ],
    ["what a function allows", { origins: (origin: string) => origin.includes("evil") }, FOREIGN],
  ] as [string, WsOptions, Record<string, string>][])("may be %s", async (_, options, headers) => {
    expect(await answerTo(options, headers)).toMatch(WELCOME);
  });

  it.each([
    ["without a host", {}, { Origin: "null" }],
    [
      "of a name that somebody made mean us",
      {},
      { Origin: "http://evil.example:PORT", Host: "evil.example:PORT" },
    ],
    ["on another port of ours", {}, { Origin: "http://127.0.0.1:1", Host: "127.0.0.1:PORT" }],
    ["that is no URL", {}, { Origin: "evil" }],
    ["of another scheme", {}, { Origin: "file://127.0.0.1", Host: "127.0.0.1" }],
    ["with no usable host beside it", {}, { Origin: "http://127.0.0.1", Host: "a b" }],
    [
      "by its old header",
      {},
      { "Sec-WebSocket-Version": "8", "Sec-WebSocket-Origin": "https://evil.example" },
    ],
    ["that is not listed", { origins: ["https://a.example"], authenticated: true }, FOREIGN],
    ["while none is listed", { origins: [] }, FOREIGN],
    ["that a function refuses", { origins: () => false, authenticated: true }, FOREIGN],
  ] as [string, WsOptions, Record<string, string>][])(
    "is refused %s",
    async (_, options, headers) => {
      expect(await answerTo(options, headers)).toMatch(REFUSED);
      expect(world.accepted).toEqual([]);
    },
  );

  it("is refused when the function that judges it fails, and somebody is told", async () => {
    const told: unknown[] = [];
    const fault = new Error("no idea");
    const origins = (): boolean => {
      throw fault;
    };
    const options = { origins, onAcceptError: (error: Error) => told.push(error) };
    expect(await answerTo(options, FOREIGN)).toMatch(REFUSED);
    expect(told).toEqual([fault]);
  });

  it("is our own by any name with a certificate for it", async () => {
    const listener = await world.listen("wss://localhost:0", { tls: LOCALHOST });
    const port = portOf(listener);
    const own = { Host: `node.example:${port}`, Origin: `https://node.example:${port}` };
    const stranger = world.stranger(listener.section, { ca: LOCALHOST.cert, headers: own });
    await once(stranger, "open");
    expect(world.accepted.length).toBe(1);
  });
});

describe("a page of another origin", () => {
  it.each([
    ["noauth", [ws({ port: 0 }), noauth()], false],
    ["noise", [ws({ port: 0 }), noise()], true],
  ] as [string, StackParts, boolean][])("meets a stack with %s", async (_, stack, welcome) => {
    const node = new MultiServer([stack]);
    const serving = await node.server((stream) => stream.abort(new Error("seen enough")));
    world.later(() => serving.close({ graceMs: 0 }));
    const [address = ""] = serving.addresses;
    const to = at(address);
    const stranger = world.stranger(to, { origin: "https://evil.example" });
    const opened = once(stranger, "open");
    if (welcome) await opened;
    else expect(String(await failureOf(opened))).toContain("403");
  });
});
