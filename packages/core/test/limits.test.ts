import { describe, expect, it } from "vitest";
import { defaultLimits, type Limits, withDefaults } from "../src/limits.ts";

describe("withDefaults", () => {
  it("gives the defaults, frozen", () => {
    expect(withDefaults()).toEqual(defaultLimits);
    expect(Object.isFrozen(withDefaults())).toBe(true);
  });

  it("changes what is named and nothing else", () => {
    const limits = withDefaults({ maxPeers: 5, hookTimeoutMs: Number.POSITIVE_INFINITY });
    expect(limits).toEqual({
      ...defaultLimits,
      maxPeers: 5,
      hookTimeoutMs: Number.POSITIVE_INFINITY,
    });
    expect(defaultLimits.maxPeers).toBe(1_024);
  });

  it("takes undefined as not given", () => {
    const changes = { maxPeers: undefined } as unknown as Partial<Limits>;
    expect(withDefaults(changes).maxPeers).toBe(defaultLimits.maxPeers);
  });

  it.each(["maxPears", "toString", "constructor", ""])("knows no limit called %j", (name) => {
    expect(() => withDefaults({ [name]: 1 })).toThrow(
      new TypeError(`limits.${name} is not a limit`),
    );
  });

  it("is not fooled by a __proto__ from JSON", () => {
    const changes = JSON.parse('{"__proto__": {"maxPeers": 1}}') as Partial<Limits>;
    expect(() => withDefaults(changes)).toThrow(TypeError);
  });

  it.each([0, -1, Number.NaN, Number.NEGATIVE_INFINITY, "5", null, {}, true])(
    "refuses the value %o, naming the limit",
    (value) => {
      const changes = { maxPeers: value } as unknown as Partial<Limits>;
      expect(() => withDefaults(changes)).toThrow(RangeError);
      expect(() => withDefaults(changes)).toThrow(/limits\.maxPeers/);
    },
  );

  it("has only positive defaults, and per-address bounds no wider than the whole", () => {
    for (const value of Object.values(defaultLimits)) expect(value).toBeGreaterThan(0);
    expect(defaultLimits.maxPeersPerAddress).toBeLessThanOrEqual(defaultLimits.maxPeers);
    expect(defaultLimits.maxHandshakesPerAddress).toBeLessThanOrEqual(defaultLimits.maxHandshakes);
    expect(defaultLimits.maxMessageBytes).toBeLessThanOrEqual(defaultLimits.maxSendBufferBytes);
  });
});
