/** The tree among peers that flood, push what nobody wants, and say what makes no sense. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Announcement, PlumtreeOptions } from "../../src/gossip/plumtree.ts";
import { news, node } from "./tree-world.ts";

describe("hostile peers", () => {
  test("floods of announcements, ids and grafts are cut off", () => {
    const limits = { announcementsPerSecond: 5, idsPerSecond: 50, graftsPerSecond: 5, entries: 40 };
    const { machine, said, blamed } = node({ limits }, ["a", "b", "c"]);
    machine.broadcast("m", "", 0);
    said.splice(0);
    for (let i = 0; i < 100; i++) machine.receiveAnnounce("a", news(`a${i}`), 0);
    expect(machine.missing).toBe(10);
    const many = Array.from({ length: 1000 }, (_, i) => ({ id: `b${i}`, hops: 1 }));
    for (let i = 0; i < 5; i++) machine.receiveAnnounce("b", many, 0);
    expect(machine.missing).toBe(50);
    for (let i = 0; i < 100; i++) machine.receiveGraft("c", "m", 1, 0);
    expect(said.filter(({ what }) => what === "push").length).toBe(3);
    expect(new Set(blamed)).toEqual(new Set(["a: flood", "b: flood", "c: flood"]));
  });

  test("one peer cannot fill what is missing for the others", () => {
    const { machine } = node({ limits: { missing: 100, missingPerPeer: 30 } }, ["a", "b"]);
    for (let i = 0; i < 200; i++) machine.receiveAnnounce("a", news(`a${i}`), 0);
    expect(machine.missing).toBe(30);
    machine.receiveAnnounce("b", news("m"), 0);
    expect(machine.missing).toBe(31);
    for (let now = 0; now < 1000; now += 10) machine.poll(now);
    expect(machine.missing).toBe(0);
    machine.receiveAnnounce("a", news("again"), 1000);
    expect(machine.missing).toBe(1);
  });

  test("pushing on after a prune is blamed", () => {
    const { machine, blamed } = node({ limits: { unwantedPerSecond: 5 } }, ["a", "b"]);
    machine.receivePush("a", "m", "", 1, 0);
    for (let i = 0; i < 30; i++) machine.receivePush("b", "m", "", 1, 0);
    expect(new Set(blamed)).toEqual(new Set(["b: unwanted"]));
  });

  test("a stranger's message is delivered, and changes nothing else", () => {
    const { machine, delivered, news: since } = node({}, ["a"]);
    machine.receivePush("stranger", "m", "", 1, 0);
    machine.receivePush("stranger", "m", "", 1, 0);
    machine.receiveAnnounce("stranger", news("x"), 0);
    machine.receiveGraft("stranger", "m", 1, 0);
    machine.receivePrune("stranger", 0);
    expect(delivered).toEqual(["m"]);
    expect(since()).toEqual(["push a"]);
    expect([...machine.eager, ...machine.lazy]).toEqual(["a"]);
    expect(machine.missing).toBe(0);
  });

  test("what is kept is bounded in number, size and time, and never delivered again", () => {
    const seen = new Set<string>();
    const options: Partial<PlumtreeOptions<string>> = {
      seen: (id) => seen.has(id),
      sizeOf: (payload) => payload.length,
      limits: { messages: 3, bytes: 10, keepMs: 100 },
    };
    const { machine, delivered, news } = node(options, ["a", "b"]);
    const isKept = (id: string) => {
      news();
      machine.receiveGraft("b", id, 1, 1_000_000);
      return news().length === 1;
    };
    for (const id of ["m1", "m2", "m3", "m4"]) {
      machine.receivePush("a", id, "xx", 1, 0);
      seen.add(id);
    }
    expect([isKept("m1"), isKept("m2"), isKept("m4")]).toEqual([false, true, true]);
    expect(machine.receivePush("a", "m1", "xx", 1, 0)).toBe(false);
    machine.receivePush("a", "big", "x".repeat(50), 1, 0);
    seen.add("big");
    expect([isKept("m4"), isKept("big")]).toEqual([false, true]);
    machine.receivePush("a", "late", "x", 1, 101);
    expect([isKept("big"), isKept("late")]).toEqual([false, true]);
    expect(delivered).toEqual(["m1", "m2", "m3", "m4", "big", "late"]);
  });

  const peer = fc.constantFrom("a", "b", "c", "stranger", "");
  const id = fc.oneof(fc.constantFrom("m1", "m2", "m3", "", "x".repeat(300)), fc.string());
  const hops = fc.oneof(fc.nat(300), fc.double(), fc.integer());
  const event = fc.oneof(
    fc.tuple(fc.constant("push" as const), peer, id, hops),
    fc.tuple(fc.constant("announce" as const), peer, fc.array(fc.record({ id, hops })), hops),
    fc.tuple(fc.constant("graft" as const), peer, fc.option(id, { nil: undefined }), hops),
    fc.tuple(fc.constantFrom("prune", "up", "down", "poll", "broadcast"), peer, id, hops),
  );

  test.each([1, 2])("nothing they say breaks the sets with %i eager links", (eagerLinks) => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 150 }), (events) => {
        const { machine, said, delivered } = node({
          eagerLinks,
          optimise: 3,
          limits: { missing: 20, missingPerPeer: 10 },
        });
        const links = new Set<string>();
        let now = 0;
        for (const [what, from, subject, count] of events) {
          now += 7;
          if (what === "push") machine.receivePush(from, subject as string, "", count, now);
          else if (what === "announce")
            machine.receiveAnnounce(from, subject as Announcement[], now);
          else if (what === "graft")
            machine.receiveGraft(from, subject as string | undefined, count, now);
          else if (what === "prune") machine.receivePrune(from, now);
          else if (what === "poll") machine.poll(now);
          else if (what === "broadcast") machine.broadcast(subject as string, "", now);
          else if (what === "up") {
            links.add(from);
            machine.up(from);
          } else {
            links.delete(from);
            machine.down(from);
          }
          expect(new Set([...machine.eager, ...machine.lazy])).toEqual(links);
          expect(machine.eager.size + machine.lazy.size).toBe(links.size);
          expect(machine.missing).toBeLessThanOrEqual(20);
          for (const { to } of said.splice(0)) expect(links).toContain(to);
        }
        expect(new Set(delivered).size).toBe(delivered.length);
        for (let later = now; later < now + 5000; later += 100) machine.poll(later);
        expect(machine.missing).toBe(0);
        expect(machine.deadline).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });
});
