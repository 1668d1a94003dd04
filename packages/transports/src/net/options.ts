/**
 * Options of transports with hosts and ports: where to listen, what is told to others, and what cannot be dialled.
 */

import {
  asError,
  hostAndPort,
  networkError,
  type Scope,
  type Section,
  type Side,
  type Transport,
} from "@testudo/core";
import { type AdvertiseOptions, Advertiser } from "./advertise.ts";
import { hostSection } from "./host.ts";

export interface PlaceOptions extends AdvertiseOptions {
  /** Where to listen when no address says so; 0 picks a free one. Default: nowhere. */
  readonly port?: number;
  /**
   * The name or IP address to bind `port` to. Default: `localhost` unless `scope` asks for more than
   * `device`, then all addresses of this machine.
   */
  readonly host?: string;
}

export interface Hosted {
  readonly advertiser: Advertiser;
  /** Parts of the transport of that name. */
  readonly parts: Pick<Transport, "place" | "advertised"> & Required<Pick<Transport, "check">>;
}

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function hosted(name: string, options: PlaceOptions): Hosted {
  const advertiser = new Advertiser(options, name);
  const place = placeOf(name, options, advertiser);
  return {
    advertiser,
    parts: {
      ...(place === undefined ? {} : { place }),
      check,
      advertised(bound: Section, scope: Scope): readonly Section[] {
        const { host, port } = hostAndPort(bound);
        const hosts = advertiser.hosts(host, scope);
        // Port 0 is bound nowhere yet.
        return port === 0 ? [] : hosts.map((each) => hostSection(name, each, port));
      },
    },
  };
}

function placeOf(
  name: string,
  { host, port }: PlaceOptions,
  advertiser: Advertiser,
): Section | undefined {
  if (port === undefined) {
    if (host !== undefined) throw new TypeError(`${name} host needs a port beside it; 0 picks one`);
    return undefined;
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`${name} port must be a whole number from 0 to 65535`);
  }
  try {
    const place = hostSection(name, host ?? advertiser.bindHost, port);
    return hostSection(name, hostAndPort(place).host, port);
  } catch (cause) {
    throw new TypeError(`${name} host cannot be used: ${asError(cause).message}`, { cause });
  }
}

function check(section: Section, side: Side): void {
  const { text: address } = section;
  if (hostAndPort(section).port === 0 && side === "dialer") {
    const message = `${address} cannot be dialled: port 0 is for listening`;
    throw networkError("ADDRESS_MALFORMED", message, { address });
  }
}
