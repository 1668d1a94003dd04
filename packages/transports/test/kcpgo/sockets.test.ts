/** Real sockets on loopback: two of ours with every cipher, with and without error correction. */

import { type Connection, deferred, equal, type Listener, section } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { echo, pattern, Reader } from "../../../../test/support/traffic.ts";
import { cryptNames, type KcpgoOptions, kcpgo } from "../../src/kcpgo/index.ts";

const LOOPBACK = section("kcpgo", "127.0.0.1", "0");
const never = new AbortController().signal;
const password = "it's a secret";

describe("kcpgo over loopback", () => {
  expectNoLeaks();

  const open: { abort(reason: Error): void }[] = [];
  const listeners: Listener[] = [];
  afterEach(async () => {
    for (const each of open.splice(0)) each.abort(new Error("the test is over"));
    await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  });

  async function pair(options: KcpgoOptions, dialling: KcpgoOptions = options) {
    const arrived = deferred<Connection>();
    const listener = await kcpgo(options).listen?.(LOOPBACK, (connection) => {
      open.push(connection);
      arrived.resolve(connection);
    });
    if (listener === undefined) throw new Error("cannot listen");
    listeners.push(listener);
    const dialer = await kcpgo(dialling).dial(listener.section, { signal: never });
    open.push(dialer);
    return { dialer, arrived: arrived.promise };
  }

  it.each(cryptNames())("echoes under %s", async (crypt) => {
    const { dialer, arrived } = await pair({ crypt, password });
    void arrived.then(echo);
    const sent = pattern(50_000, 3);
    dialer.write(sent);
    expect(equal(await new Reader(dialer).take(sent.length), sent)).toBe(true);
  });

  it.each([[10, 3] as const, [2, 1] as const, false as const])(
    "echoes with fec %j",
    async (fec) => {
      const { dialer, arrived } = await pair({ crypt: "aes-128", password, fec });
      void arrived.then(echo);
      const sent = pattern(300_000, 4);
      dialer.write(sent);
      expect(equal(await new Reader(dialer).take(sent.length), sent)).toBe(true);
    },
  );

  it("closes when both have closed, and all that was written has arrived", async () => {
    const { dialer, arrived } = await pair({ crypt: "none" });
    const sent = pattern(200_000, 5);
    dialer.write(sent);
    const accepted = await arrived;
    await Promise.all([dialer.close(), accepted.close()]);
    const chunks: Uint8Array[] = [];
    for await (const chunk of accepted) chunks.push(chunk);
    expect(chunks.reduce((sum, { length }) => sum + length, 0)).toBe(sent.length);
    expect(await Promise.all([dialer.closed, accepted.closed])).toEqual([undefined, undefined]);
  });
});
