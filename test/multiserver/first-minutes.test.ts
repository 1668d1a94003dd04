/**
 * The first minutes of somebody who has read no more than the head of multiserver.ts: two protocols served
 * under one address, dialled by those who speak both, the old one or the new one.
 */

import {
  Identity,
  MultiServer,
  type MultiStream,
  type NetworkError,
  toBase64,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { ws } from "@testudo/transports/ws";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";

const HELLO = new TextEncoder().encode("hello");

async function echo(stream: MultiStream): Promise<void> {
  for await (const chunk of stream) if (!stream.write(chunk)) await stream.drain();
  await stream.end();
}

/** Says hello, hears it back, and is over. */
async function greet(stream: MultiStream): Promise<string> {
  stream.write(HELLO);
  await stream.end();
  const heard: Uint8Array[] = [];
  for await (const chunk of stream) heard.push(chunk);
  expect(await stream.closed).toBeUndefined();
  return Buffer.concat(heard).toString();
}

describe("the first minutes", () => {
  expectNoLeaks();

  it("are a server of two protocols, and a client", async () => {
    const keys = Identity.generate();
    const server = new MultiServer([
      [net({ port: 0 }), shs({ keys })],
      [ws({ port: 0 }), noise()],
    ]);
    const serving = await server.server(echo);
    const address = server.stringify();
    expect(address).toMatch(/^net:localhost:\d+~shs:\S+;ws:\/\/localhost:\d+~noise:\S+$/);
    expect(server.protocols).toEqual(["net~shs", "ws~noise"]);

    const client = new MultiServer([
      [net(), shs()],
      [ws(), noise()],
    ]);
    const stream = await client.client(address);
    expect([stream.stack, stream.remote?.text]).toEqual(["net~shs", keys.id.text]);
    expect(await greet(stream)).toBe("hello");

    const old = new MultiServer([[net(), shs()]]);
    expect((await greetBy(old, address)).stack).toBe("net~shs");
    const young = new MultiServer([[ws(), noise()]]);
    const { stack, remote } = await greetBy(young, address);
    // The transform without keys of its own has the node's.
    expect([stack, remote?.text]).toEqual(["ws~noise", server.identity.id.text]);
    const choosing = await client.client(address, { prefer: ["noise"] });
    expect(choosing.stack).toBe("ws~noise");
    expect(await greet(choosing)).toBe("hello");

    await serving.close();
    const error = await client.client(address).catch((thrown: NetworkError) => thrown);
    expect(error).toMatchObject({ code: "DIAL_REFUSED", attempts: { length: 2 } });
  });

  async function greetBy(node: MultiServer, address: string): Promise<MultiStream> {
    const stream = await node.client(address);
    expect(await greet(stream)).toBe("hello");
    return stream;
  }

  it("end with the scope, when a server is declared at the top of a block", async () => {
    const server = new MultiServer([[net({ port: 0 }), noise()]]);
    let address = "";
    {
      await using serving = await server.server(echo);
      address = serving.addresses[0] ?? "";
      await greetBy(new MultiServer([[net(), noise()]]), address);
    }
    await expect(server.client(address)).rejects.toMatchObject({ code: "DIAL_REFUSED" });
  });

  it("have mistakes in them, which say what to do", async () => {
    const said = async (work: () => unknown): Promise<string> => {
      try {
        await work();
      } catch (error) {
        return String(error);
      }
      throw new Error("no mistake");
    };
    const node = new MultiServer([[net(), shs()]]);
    const key = toBase64(new Uint8Array(32).fill(9));
    expect(await said(() => node.server(echo))).toContain("net({ port: 0 })");
    expect(await said(() => new MultiServer([[shs()]] as never))).toContain("such as net()");
    expect(await said(() => new MultiServer([[net(), net()]] as never))).toContain(
      "such as noise()",
    );
    expect(await said(() => new MultiServer([net(), shs()] as never))).toContain(
      "[net(), noise()]",
    );
    expect(await said(() => node.client("example.org:8008"))).toContain("is not a section name");
    expect(await said(() => node.client("net:example.org:8008"))).toContain(
      "this node has net~shs",
    );
    expect(await said(() => node.client("net:example.org:8008~shs"))).toContain("shs:KEY");
    expect(await said(() => node.client(`net:example.org~shs:${key}`))).toContain("HOST:PORT");
    expect(await said(() => node.client(`net:127.0.0.1:0~shs:${key}`))).toContain("0");
    expect(await said(() => node.client(`net:127.0.0.1:1~shs:${key}`))).toContain("ECONNREFUSED");
    expect(await said(() => node.stringify("lan" as never))).toContain("device, local, private");
  });
});
