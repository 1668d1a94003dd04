import { AddressError, concat, section, toUtf8, Wire } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { TestPipe } from "../../../../test/support/pipes.ts";
import { ALICE, optionsFor, talk } from "../../../../test/support/shaking.ts";
import { gzip } from "../../src/gzip/index.ts";

describe("gzip", () => {
  it("says of itself that it proves nothing", () => {
    expect(gzip().name).toBe("gzip");
    expect(gzip().authenticates).toBe(false);
    expect(gzip().section(ALICE).text).toBe("gzip");
  });

  it("shakes no hands", async () => {
    const pipe = new TestPipe();
    const given = optionsFor("dialer", { section: section("gzip") });
    const session = await gzip().handshake(new Wire(pipe), given);
    expect(pipe.sentBytes).toBe(0);
    expect(session.remoteKey).toBeUndefined();
    expect(session.ended).toBe(false);
    expect(session.boxBytes).toBe(65_536);
  });

  it("refuses arguments, and shows the first at most", async () => {
    for (const args of [[""], ["9"], [ALICE.id.text, "the secret"]]) {
      const given = section("gzip", ...args);
      for (const side of ["dialer", "listener"] as const) {
        const check = (): void => gzip().check?.(given, side);
        expect(check).toThrow(AddressError);
        expect(check).not.toThrow("the secret");
      }
      const shaking = gzip().handshake(
        new Wire(new TestPipe()),
        optionsFor("dialer", { section: given }),
      );
      await expect(shaking).rejects.toBeInstanceOf(AddressError);
    }
  });

  it("refuses options that cannot be", () => {
    for (const level of [0, 10, 1.5, Number.NaN]) expect(() => gzip({ level })).toThrow(RangeError);
    for (const maxOutputBytes of [0, 65_535, 65_536.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => gzip({ maxOutputBytes })).toThrow(RangeError);
    }
    gzip({ level: 1, maxOutputBytes: 65_536 });
  });

  it("keeps what one connection said from every other", async () => {
    const words = toUtf8("the same words, the same words, and something else");
    const [one, other] = [await talk(gzip), await talk(gzip)];
    const first = concat(...one.dialer.seal([words]));
    expect(concat(...one.dialer.seal([words])).length).toBeLessThan(first.length);
    expect(concat(...one.listener.seal([words]))).toEqual(first);
    expect(concat(...other.dialer.seal([words]))).toEqual(first);
  });
});
