/** Two ends of kcp on real sockets, with a relay between them that is a bad network. */

import { deferred, hostAndPort, section } from "@testudo/core";
import { type RelayWeather, UdpRelay } from "../../../../test/support/udp-relay.ts";
import { KcpConnection, type KcpTransportOptions, kcp } from "../../src/kcp/index.ts";

export interface Through {
  readonly dialer: KcpConnection;
  readonly accepted: KcpConnection;
  readonly relay: UdpRelay;
  /** Cuts what is left. */
  end(): Promise<void>;
}

export async function through(
  weather: RelayWeather,
  seed: number,
  options: KcpTransportOptions = {},
): Promise<Through> {
  const transport = kcp(options);
  const arrived = deferred<KcpConnection>();
  const at = section("kcp", "127.0.0.1", "0");
  const listener = await transport.listen?.(at, (connection) => {
    if (connection instanceof KcpConnection) arrived.resolve(connection);
  });
  if (listener === undefined) throw new Error("no listener");
  const relay = new UdpRelay(hostAndPort(listener.section).port, weather, seed);
  const port = await relay.open();
  const { signal } = new AbortController();
  const dialer = await transport.dial(section("kcp", "127.0.0.1", String(port)), { signal });
  if (!(dialer instanceof KcpConnection)) throw new Error("not of kcp");
  const accepted = await arrived.promise;
  return {
    dialer,
    accepted,
    relay,
    async end() {
      dialer.abort(new Error("the test is over"));
      accepted.abort(new Error("the test is over"));
      await Promise.all([dialer.closed, accepted.closed]);
      await listener.close();
      relay.close();
    },
  };
}
