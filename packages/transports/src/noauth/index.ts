/**
 * Transform `noauth`: no secrecy and no proof of who is there. It adds no byte to the wire.
 *
 *     const network = new Network({ stacks: [[net(), noauth()]] });
 *     await network.listen("net:127.0.0.1:8008~noauth");
 *
 * Section `noauth`, without arguments. A session of it passes bytes through as they are, copied once, since
 * whoever seals may use its buffers again while a socket still holds what was sealed. It has no goodbye: an
 * end cannot be told from a cut.
 */

import {
  concat,
  networkError,
  type Section,
  type Session,
  section,
  type Transform,
} from "@testudo/core";

const SECTION: Section = /* @__PURE__ */ section("noauth");

/** It has no state, so one serves every connection. */
const SESSION: Session = /* @__PURE__ */ Object.freeze({
  remoteKey: undefined,
  boxBytes: Number.POSITIVE_INFINITY,
  seal: (plain: readonly Uint8Array[]): Uint8Array[] => [concat(...plain)],
  open: (chunk: Uint8Array): Uint8Array[] => [chunk],
  ended: true,
});

export function noauth(): Transform {
  return {
    name: "noauth",
    authenticates: false,
    section: () => SECTION,
    check,
    async handshake(_wire, { section: dialled }): Promise<Session> {
      if (dialled !== undefined) check(dialled);
      return SESSION;
    },
  };
}

/** A key that nobody would check must not look as if it were. */
function check(given: Section): void {
  const [first] = given.args;
  if (first === undefined) return;
  // The first only, as everywhere: behind it may be what is secret.
  const { text: address } = section(given.name, first);
  throw networkError("ADDRESS_MALFORMED", `${address} cannot be read: noauth takes no arguments`, {
    address,
  });
}
