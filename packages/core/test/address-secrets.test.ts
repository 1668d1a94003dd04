import { describe, expect, it } from "vitest";
import { parseAddress } from "../src/address.ts";

describe("an address that cannot be read", () => {
  it.each([
    ["net:a:1~shs:KEY:SEED~", "net:a:1~shs:KEY:…~"],
    ["net:a:1~shs:KEY:SEED;1:2", "net:a:1~shs:KEY:…;1:2"],
    ["net:a:1~shs:KEY:SEED\u0007", "net:a:1~shs:KEY:…"],
    ["net:a:1~gzip:1:SEED~shs:KEY:SEED:SEED!", "net:a:1~gzip:1:…~shs:KEY:…"],
    ["net:a:1~shs:KEY:SEED:!;SEED;1:2", "net:a:1~shs:KEY:…;1:2"],
    ["net:a:1~shs::SEED~", "net:a:1~shs::…~"],
    [`a~shs:K:SEED${"x".repeat(9_000)}`, "a~shs:K:…"],
    ["ws://me:SEED@host/~noise~;", "ws://…@host/~noise~;"],
  ])("shows no more of %j than what is no secret", (text, shown) => {
    const read = (): unknown => parseAddress(text);
    expect(read).toThrow(expect.objectContaining({ code: "ADDRESS_MALFORMED", address: shown }));
    expect(read).not.toThrow("SEED");
    expect(read).toThrow(shown);
  });
});
