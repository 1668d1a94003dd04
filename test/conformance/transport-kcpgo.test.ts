/**
 * Transport kcpgo under the suite of transports, and under transforms. Its protocol has no word for an end or a cut: a raw
 * reader is told of neither, but of silence; a sealed one hears the transform's goodbye.
 */

import { networkInterfaces } from "node:os";
import { type Section, section } from "@testudo/core";
import { type KcpgoOptions, kcpgo } from "@testudo/transports/kcpgo";
import { type TransportFixture, transportConformance } from "./transport.ts";

const hasIpv6 = Object.values(networkInterfaces()).some((infos) =>
  infos?.some((info) => info.address === "::1"),
);

/** Short, since every cut takes this long to be noticed. */
const IDLE_MS = 250;

function overKcpgo(host: string, options: KcpgoOptions): TransportFixture {
  const transport = kcpgo({ idleTimeoutMs: IDLE_MS, ...options });
  const at = (port: string): Section => section("kcpgo", ...host.split(":"), port);
  return {
    transport,
    listenAt: () => at("0"),
    async refusedAt() {
      // A port that was free a moment ago.
      const listener = await transport.listen?.(at("0"), () => {});
      await listener?.close();
      return listener?.section ?? at("1");
    },
    malformed: [
      ...["0", "65536", "-1", "1e3", ""].map(at),
      section("kcpgo"),
      section("kcpgo", host),
    ],
    tellsEnd: false,
  };
}

transportConformance("kcpgo over IPv4", () => overKcpgo("127.0.0.1", { password: "a secret" }));
if (hasIpv6) {
  transportConformance("kcpgo over IPv6", () =>
    overKcpgo("::1", { crypt: "aes-256-gcm", password: "a secret", fec: [10, 3] }),
  );
}
