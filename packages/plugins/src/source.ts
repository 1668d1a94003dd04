/** Source: for whom it is counted what a peer brings, and where a node is counted. */

import type { Peer } from "@testudo/core";
import { subnetOf } from "./kademlia/diversity.ts";
import { firstHost } from "./record/host.ts";

/** The subnet of the place that an address of one route leads to; `undefined` where there is none to tell. */
export function subnetOfAddress(address: string): string | undefined {
  const host = firstHost(address);
  return host === undefined ? undefined : subnetOf(host);
}

/** A subnet where there is one to tell: keys cost nothing. */
export function sourceOf({ id, address }: Pick<Peer, "id" | "address">): string {
  return subnetOfAddress(address) ?? id.text;
}
