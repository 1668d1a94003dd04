/** Cookies: good for a while, and for one place and one id. */

import { equal } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { Cookies, SLOT_MS } from "../../src/udp/cookie.ts";
import type { Place } from "../../src/udp/place.ts";

const HOME: Place = { address: "10.0.0.1", port: 5 };
const ID = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

const isGood = (cookies: Cookies, cookie: Uint8Array, place = HOME, id = ID): boolean =>
  cookies.verify((good) => equal(good, cookie), place, id);

describe("a cookie", () => {
  it("is good for its slot and the next, for one address, port and id", async () => {
    const runtime = new VirtualRuntime();
    const cookies = new Cookies(runtime);
    const cookie = cookies.make(HOME, ID);
    expect(isGood(cookies, cookie)).toBe(true);
    expect(isGood(cookies, cookie, { ...HOME, port: 9 })).toBe(false);
    expect(isGood(cookies, cookie, { ...HOME, address: "10.0.0.11" })).toBe(false);
    expect(isGood(cookies, cookie, HOME, ID.toReversed())).toBe(false);
    expect(isGood(new Cookies(new VirtualRuntime(2)), cookie)).toBe(false);
    await runtime.advance(2 * SLOT_MS - 1);
    expect(isGood(cookies, cookie)).toBe(true);
    await runtime.advance(1);
    expect(isGood(cookies, cookie)).toBe(false);
  });

  it("is not good with a bit changed", () => {
    const cookies = new Cookies(new VirtualRuntime());
    const cookie = cookies.make(HOME, ID);
    for (let bit = 0; bit < 8 * cookie.length; bit++) {
      const changed = cookie.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(isGood(cookies, changed)).toBe(false);
    }
  });
});
