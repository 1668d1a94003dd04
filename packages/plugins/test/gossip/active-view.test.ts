import { describe, expect, it } from "vitest";
import { ActiveView } from "../../src/gossip/active-view.ts";
import { type HyParViewOptions, membershipOptions } from "../../src/gossip/membership-options.ts";
import { chance } from "./membership-world.ts";

function viewed(options: Partial<HyParViewOptions> = {}): ActiveView {
  const out = { send() {}, dial() {}, release() {}, up() {}, down() {} };
  const settings = membershipOptions({ self: "self", random: chance(1), out, ...options });
  return new ActiveView(settings, options.group);
}

describe("an active view", () => {
  it("has room without anybody's going until it is full; then for the urgent only", () => {
    const view = viewed({ active: 2 });
    expect(view.roomFor("a", false, false, 0)).toBeUndefined();
    view.add("a", false);
    view.add("b", false);
    expect([view.free, view.roomFor("c", false, false, 0)]).toEqual([0, false]);
    expect(["a", "b"]).toContain(view.roomFor("c", true, false, 0));
  });

  it("lets the urgent of others in only so often", () => {
    const view = viewed({ active: 1, displacedPerSecond: 2 });
    view.add("a", false);
    const asked = Array.from({ length: 30 }, () => view.roomFor("x", true, false, 0));
    expect(asked.filter((victim) => victim === "a")).toHaveLength(16);
    expect(asked.at(-1)).toBe(false);
    const later = [1, 2, 3].map(() => view.roomFor("x", true, false, 1_000));
    expect(later).toEqual(["a", "a", false]);
    // Our own choice is not counted.
    expect(view.roomFor("x", true, true, 1_000)).toBe("a");
  });

  it("has one of a group", () => {
    const view = viewed({ group: (peer) => (peer.startsWith("?") ? undefined : peer[0]) });
    view.add("a1", false);
    view.add("?1", false);
    expect([view.groupIsFree("a2"), view.roomFor("a2", true, true, 0)]).toEqual([false, false]);
    expect([view.groupIsFree("b1"), view.groupIsFree("?2")]).toEqual([true, true]);
    view.delete("a1");
    expect(view.groupIsFree("a2")).toBe(true);
  });

  it("keeps places for the chosen, who displace strangers until they have them", () => {
    const view = viewed({ active: 3, chosenAtLeast: 1 });
    expect(view.claim).toBeUndefined();
    for (const peer of ["a", "b", "c"]) view.add(peer, false);
    expect(view.claim).toBe("reunion");
    expect(["a", "b", "c"]).toContain(view.roomFor("mine", false, true, 0));
    view.delete("a");
    view.add("mine", true);
    expect([...view.chosen]).toEqual(["mine"]);
    expect([view.claim, view.roomFor("other", false, true, 0)]).toEqual([undefined, false]);
    for (let i = 0; i < 10; i++)
      expect(["b", "c"]).toContain(view.roomFor("x", true, false, i * 1_000));
  });

  it("fills the places of the chosen without urgency once it has one of them", () => {
    const view = viewed({ active: 3, chosenAtLeast: 2 });
    view.add("mine", true);
    for (const peer of ["a", "b"]) view.add(peer, false);
    expect(view.claim).toBe("fill");
  });

  it("never gives a chosen one up for a stranger, unless there are more of them than they have places", () => {
    const few = viewed({ active: 2, chosenAtLeast: 2 });
    for (const peer of ["a", "b"]) few.add(peer, true);
    expect(few.roomFor("x", true, false, 0)).toBe(false);
    expect(["a", "b"]).toContain(few.roomFor("mine", true, true, 0));
    const many = viewed({ active: 2, chosenAtLeast: 1 });
    for (const peer of ["a", "b"]) many.add(peer, true);
    expect(["a", "b"]).toContain(many.roomFor("x", true, false, 0));
  });

  it("does not take whoever came by itself for its own choice", () => {
    const view = viewed({ active: 1, chosenAtLeast: 1, isOurs: (peer) => peer !== "came" });
    view.add("came", true);
    expect(view.chosen.size).toBe(0);
    expect(view.roomFor("mine", false, true, 0)).toBe("came");
  });
});

describe("membership options", () => {
  it("refuse what makes no sense", () => {
    for (const options of [
      { active: 0 },
      { passive: 1.5 },
      { arwl: 0 },
      { prwl: -1 },
      { ka: 16, kp: 16 },
      { active: 3, chosenAtLeast: 4 },
    ]) {
      expect(() => viewed(options)).toThrow(RangeError);
    }
    expect(() => viewed({ ka: 15, kp: 16 })).not.toThrow();
  });
});
