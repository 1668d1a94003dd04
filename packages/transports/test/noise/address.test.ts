/** What `noise` says of itself in addresses: whose key it prints, and what it refuses to read. */

import { AddressError, Identity, section, toBase64, Wire } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { noise, noiseChacha } from "../../src/noise/index.ts";
import { both, IDENTITIES, options, pipes, shake } from "./support.ts";

const OWN = Identity.fromSecret(new Uint8Array(32).fill(0x55));

describe.each([
  ["noise", noise],
  ["noise-chacha", noiseChacha],
] as const)("%s", (name, make) => {
  test("prints the key of its own identity, if it has one", () => {
    expect(make({ identity: OWN }).identity).toBe(OWN);
    expect(make({ identity: OWN }).section(IDENTITIES.listener).text).toBe(
      `${name}:${OWN.id.text}`,
    );
    expect("identity" in make()).toBe(false);
  });

  test("proves the identity that its stack hands in", async () => {
    const [dialer, listener] = [make(), make({ identity: OWN })];
    const ends = both(
      await shake({ dialer, listener }, pipes(), {
        dialer: { section: listener.section(IDENTITIES.listener) },
        listener: { identity: listener.identity ?? IDENTITIES.listener },
      }),
    );
    expect(ends.dialer.remoteKey).toEqual(OWN.publicKey);
  });

  test("refuses an identity that is none", () => {
    const nobody = { id: OWN.id, publicKey: OWN.publicKey } as unknown as Identity;
    expect(() => make({ identity: nobody })).toThrow(TypeError);
  });

  test("checks a section without doing anything, as it does before it dials", async () => {
    const key = toBase64(OWN.publicKey);
    for (const side of ["dialer", "listener"] as const) {
      for (const args of [[], [key], [`@${key}.ed25519`]]) {
        expect(() => make().check?.(section(name, ...args), side)).not.toThrow();
      }
      for (const args of [[""], ["AAAA"], [key, ""], [key, "more"]]) {
        expect(() => make().check?.(section(name, ...args), side)).toThrow(AddressError);
      }
    }
    const over = pipes();
    const bad = { section: section(name, key, "more") };
    await expect(make().handshake(new Wire(over.dialer), options("dialer", bad))).rejects.toThrow(
      AddressError,
    );
    expect(over.written.dialer).toEqual([]);
  });

  test("shows a key at most: behind it may be a secret that belongs to another transform", () => {
    const seed = toBase64(OWN.secret().subarray(0, 32));
    const check = (): void =>
      make().check?.(section(name, toBase64(OWN.publicKey), seed), "dialer");
    expect(check).toThrow(expect.objectContaining({ code: "ADDRESS_MALFORMED" }));
    expect(check).not.toThrow(seed);
  });
});
