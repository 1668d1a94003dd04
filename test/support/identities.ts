/** Identities whose order is known: the smaller key comes first. The same ones in every run. */

import { compare, Identity } from "@testudo/core";

export function sortedIdentities(count: number): Identity[] {
  const identities = Array.from({ length: count }, (_, i) =>
    Identity.fromSecret(new Uint8Array(32).fill(i + 1)),
  );
  return identities.sort((a, b) => compare(a.publicKey, b.publicKey));
}
