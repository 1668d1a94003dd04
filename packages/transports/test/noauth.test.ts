import {
  AddressError,
  type HandshakeOptions,
  Identity,
  section,
  toBase64,
  Wire,
} from "@testudo/core";
import { describe, expect, it } from "vitest";
import { TestPipe } from "../../../test/support/pipes.ts";
import { noauth } from "../src/noauth/index.ts";

const options: HandshakeOptions = {
  side: "dialer",
  identity: Identity.generate(),
  chain: "noauth",
  networkId: new Uint8Array(32),
  signal: new AbortController().signal,
};

describe("noauth", () => {
  it("says of itself that it proves nothing", () => {
    const transform = noauth();
    expect(transform.name).toBe("noauth");
    expect(transform.authenticates).toBe(false);
    expect(transform.section(options.identity).text).toBe("noauth");
  });

  it("shakes no hands", async () => {
    const pipe = new TestPipe();
    const session = await noauth().handshake(new Wire(pipe), {
      ...options,
      section: section("noauth"),
    });
    expect(pipe.sentBytes).toBe(0);
    expect(session.remoteKey).toBeUndefined();
    expect(session.boxBytes).toBe(Number.POSITIVE_INFINITY);
    expect(session.ended).toBe(true);
    expect(session.end).toBeUndefined();
  });

  it("refuses a key that it would not check", async () => {
    const dialed = section("noauth", options.identity.id.text);
    await expect(
      noauth().handshake(new Wire(new TestPipe()), { ...options, section: dialed }),
    ).rejects.toMatchObject({ code: "ADDRESS_MALFORMED", address: dialed.text });
  });

  it("refuses it on both sides before anything is done, and shows no seed", () => {
    const seed = toBase64(options.identity.secret().subarray(0, 32));
    for (const side of ["dialer", "listener"] as const) {
      noauth().check?.(section("noauth"), side);
      for (const args of [[""], [options.identity.id.text, seed]]) {
        const check = (): void => noauth().check?.(section("noauth", ...args), side);
        expect(check).toThrow(AddressError);
        expect(check).not.toThrow(seed);
      }
    }
  });

  it("copies what it seals, so that buffers can be used again", async () => {
    const session = await noauth().handshake(new Wire(new TestPipe()), options);
    const buffer = Uint8Array.of(1, 2, 3);
    const [sealed] = session.seal([buffer.subarray(0, 1), buffer.subarray(1)]);
    buffer.fill(9);
    expect(sealed).toEqual(Uint8Array.of(1, 2, 3));
    expect(session.open(buffer)).toEqual([buffer]);
  });
});
