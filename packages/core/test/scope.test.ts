import { describe, expect, it } from "vitest";
import { readScopes, SCOPES, type Scope } from "../src/scope.ts";

describe("readScopes", () => {
  it("takes one or several, each once, from near to far", () => {
    expect(readScopes("public", "scope")).toEqual(["public"]);
    expect(readScopes(["public", "device", "public"], "scope")).toEqual(["device", "public"]);
    expect(readScopes(SCOPES, "scope")).toEqual(SCOPES);
  });

  it.each<[unknown, RegExp]>([
    ["bogus", /net scope must be of device, local, private, public, not "bogus"/],
    [["device", "Public"], /not "Public"/],
    ["", /not ""/],
    [undefined, /not undefined/],
    [[undefined], /not undefined/],
    [[["device"]], /not object/],
    [5, /not number/],
    [[], /at least one/],
  ])("refuses %j, naming what it is", (given, why) => {
    expect(() => readScopes(given as Scope, "net scope")).toThrow(TypeError);
    expect(() => readScopes(given as Scope, "net scope")).toThrow(why);
  });
});
