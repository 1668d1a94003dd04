/** IPv6 addresses of the transports over UDP are shown and dialled as those of `net` are. */

import { networkInterfaces } from "node:os";
import { type Connection, deferred, hostAndPort, section, type Transport } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { kcp } from "../../src/kcp/index.ts";
import { kcpgo } from "../../src/kcpgo/index.ts";
import { net } from "../../src/net/index.ts";

const hasIpv6 = Object.values(networkInterfaces()).some((infos) =>
  infos?.some((info) => info.address === "::1"),
);

/** What one listener and a dial to it say of where they are, with `P` for every port. */
async function seen(transport: Transport, host: string): Promise<string[]> {
  const { name } = transport;
  const arrived = deferred<Connection>();
  const at = section(name, ...host.split(":"), "0");
  const listener = await transport.listen?.(at, arrived.resolve);
  if (listener === undefined) throw new Error("no listener");
  const { port } = hostAndPort(listener.section);
  const { signal } = new AbortController();
  const dialed = await transport.dial(section(name, ...host.split(":"), String(port)), { signal });
  const texts = [listener.section.text, listener.bound?.text ?? "", dialed.remote.text];
  const accepted = await arrived.promise;
  const all = [...texts, accepted.remote.text, String(listener.local), String(dialed.local)];
  for (const each of [dialed, accepted]) each.abort(new Error("seen"));
  await listener.close();
  return all.map((text) => text.replace(name, "T").replace(/:\d+$/, ":P"));
}

describe("an address of IPv6", () => {
  expectNoLeaks();

  it.runIf(hasIpv6).each(["::1", "0:0:0:0:0:0:0:1", "0::0001", "127.0.0.1"])(
    "written %s is shown and dialled as with net",
    async (host) => {
      const asNet = await seen(net(), host);
      expect(asNet[0]).toMatch(/^T:(::1|127\.0\.0\.1):P$/);
      expect(await seen(kcp(), host)).toEqual(asNet);
      expect(await seen(kcpgo({ crypt: "null" }), host)).toEqual(asNet);
    },
  );
});
