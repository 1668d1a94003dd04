/** The tree's repair: what was announced and does not come is asked for. */

import { describe, expect, test } from "vitest";
import { news, node } from "./tree-world.ts";

describe("repair", () => {
  test("what is announced and does not come is grafted, one announcer after the other", () => {
    const { machine, said, blamed, delivered } = node({}, ["a", "b", "c"]);
    machine.receivePrune("b", 0);
    machine.receiveAnnounce("b", news("m", 4), 0);
    machine.receiveAnnounce("c", news("m", 5), 1);
    machine.receiveAnnounce("b", news("m", 4), 2);
    expect(machine.poll(99)).toBe(100);
    expect(said).toEqual([]);
    expect(machine.poll(100)).toBe(110);
    expect(machine.eager.has("b")).toBe(true);
    expect(machine.poll(110)).toBe(120);
    expect(said.splice(0)).toEqual([
      { what: "graft", to: "b", id: "m", hops: 4 },
      { what: "graft", to: "c", id: "m", hops: 5 },
    ]);
    expect(blamed).toEqual(["b: promise"]);
    machine.receivePush("c", "m", "", 5, 115);
    expect(delivered).toEqual(["m"]);
    expect(machine.poll(1000)).toBeUndefined();
    expect(machine.missing).toBe(0);
    expect(blamed).toEqual(["b: promise"]);
  });

  test("whoever broke a promise is asked last", () => {
    const { machine, said } = node({}, ["a", "b"]);
    machine.receiveAnnounce("a", news("m1"), 0);
    for (const now of [100, 110]) machine.poll(now);
    said.splice(0);
    machine.receiveAnnounce("a", news("m2"), 200);
    machine.receiveAnnounce("b", news("m2"), 201);
    machine.poll(300);
    expect(said).toEqual([{ what: "graft", to: "b", id: "m2", hops: 1 }]);
  });

  test("when everybody failed the id is forgotten, and may be announced again", () => {
    const { machine } = node({}, ["a"]);
    machine.receiveAnnounce("a", news("m"), 0);
    machine.poll(100);
    expect(machine.poll(110)).toBeUndefined();
    expect(machine.missing).toBe(0);
    machine.receiveAnnounce("a", news("m"), 120);
    expect(machine.missing).toBe(1);
  });

  test("a graft makes the link eager and brings the payload, three times at most", () => {
    const { machine, news } = node({}, ["a", "b"]);
    machine.receivePush("a", "m", "", 1, 0);
    machine.receivePrune("b", 0);
    news();
    machine.receiveGraft("b", undefined, 2, 0);
    expect(machine.eager.has("b")).toBe(true);
    for (let i = 0; i < 10; i++) machine.receiveGraft("b", "m", 2, 0);
    machine.receiveGraft("b", "unknown", 2, 0);
    expect(news()).toEqual(["push b", "push b", "push b"]);
  });

  test("a link that went is not asked", () => {
    const { machine, said, blamed } = node({}, ["a", "b"]);
    machine.receiveAnnounce("a", news("m"), 0);
    machine.receiveAnnounce("b", news("m"), 0);
    machine.down("a");
    machine.poll(100);
    expect(said).toEqual([{ what: "graft", to: "b", id: "m", hops: 1 }]);
    machine.down("b");
    machine.poll(110);
    expect(blamed).toEqual([]);
  });

  test("a much shorter link takes the place of a long one, after the message went on", () => {
    const { machine, said } = node({ optimise: 3 }, ["long", "short", "other"]);
    machine.receivePrune("short", 0);
    machine.receiveAnnounce("short", news("m", 2), 0);
    machine.receivePush("long", "m", "", 5, 10);
    expect(said.map(({ what, to }) => `${what} ${to}`)).toEqual([
      "push other",
      "announce short",
      "graft short",
      "prune long",
    ]);
    expect([...machine.eager].sort()).toEqual(["other", "short"]);
  });
});
