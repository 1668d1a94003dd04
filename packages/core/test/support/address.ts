/**
 * What the tests of addresses share: when two of them are equal.
 */

import type { Address } from "../../src/address.ts";

/** Names and arguments of an address, route by route: what two equal addresses share. */
export const meaning = (address: Address): (readonly [string, readonly string[]])[][] =>
  address.routes.map((route) => route.sections.map(({ name, args }) => [name, args] as const));
