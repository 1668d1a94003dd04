/** Places: one spelling for each address. */

import { describe, expect, it } from "vitest";
import { spelledBySocket } from "../../src/udp/place.ts";

describe("places", () => {
  it.each([
    ["0:0:0:0:0:0:0:1", "::1"],
    ["2001:DB8:0:0::7", "2001:db8::7"],
    ["::ffff:127.0.0.1", "127.0.0.1"],
    ["::FFFF:7f00:1", "127.0.0.1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["fe80:0::1%eth0", "fe80::1%eth0"],
    ["127.0.0.1", "127.0.0.1"],
  ])("spell %s as sockets do", (written, spelled) => {
    expect(spelledBySocket(written)).toBe(spelled);
  });
});
