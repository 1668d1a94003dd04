/** What is asked while paths still run, and who cannot hide a target by it. */

import { describe, expect, it } from "vitest";
import { Lookup } from "../../src/kademlia/lookup.ts";
import type { Contact } from "../../src/kademlia/node-id.ts";
import { byDistance, contact, contacts } from "./contacts.ts";

const self = contact(0);
const all = contacts(200);
const target = contact(999).nodeId;
const near = byDistance(target, all);
const nearest = near.slice(0, 16);
/** Who is asked in one go. */
function round(lookup: Lookup<Contact>): Contact[] {
  const asked: Contact[] = [];
  for (let step = lookup.next(); step !== undefined; step = lookup.next()) asked.push(step.contact);
  return asked;
}
const ids = (of: readonly Contact[]): string[] => of.map(({ id }) => id).toSorted();

describe("a lookup that confirms", () => {
  it("is done in two rounds where the first names the nearest", () => {
    const seeds = near.slice(100, 116);
    const lookup = new Lookup<Contact>({ target, self, seeds });
    const first = round(lookup);
    // Two on each path, so that the second round knows more.
    expect(first).toHaveLength(16);
    for (const each of first) lookup.answered(each, nearest, false);
    const second = round(lookup);
    expect(ids(second)).toEqual(ids(nearest));
    for (const each of second) lookup.answered(each, nearest, true);
    expect(lookup.done).toBe(true);
    expect(ids(lookup.result())).toEqual(ids(nearest));
  });

  it("leaves the nearest to all paths, though one heard of them first", () => {
    const lookup = new Lookup<Contact>({ target, self, seeds: near.slice(100, 108) });
    const [quick, ...others] = round(lookup) as [Contact, ...Contact[]];
    lookup.answered(quick, nearest, false);
    // Its next one, and its share of the 16 before their time.
    expect(round(lookup)).toHaveLength(3);
    for (const each of others) lookup.answered(each, nearest, false);
    expect(round(lookup)).toHaveLength(13);
  });

  it("does not go on to ask those further off when all that are near are being asked", () => {
    const lookup = new Lookup<Contact>({ target, self, seeds: near.slice(100, 108) });
    for (const each of round(lookup)) lookup.answered(each, near.slice(0, 60), false);
    for (const each of round(lookup)) lookup.answered(each, near.slice(0, 60), false);
    expect(round(lookup)).toEqual([]);
    expect(lookup.done).toBe(true);
    expect(lookup.asked).toBe(24);
  });

  it("asks nobody early, and goes as far as ever, when it only looks for one", () => {
    const lookup = new Lookup<Contact>({
      target,
      self,
      seeds: near.slice(100, 116),
      confirm: false,
    });
    for (const each of round(lookup)) lookup.answered(each, nearest, false);
    expect(round(lookup)).toHaveLength(8);
  });

  it("waits for an early answer that the result could hold, but not for a slow one", () => {
    const lookup = new Lookup<Contact>({ target, self, seeds: near.slice(100, 116) });
    for (const each of round(lookup)) lookup.answered(each, nearest, false);
    const second = round(lookup);
    const last = second.pop() as Contact;
    for (const each of second) lookup.answered(each, nearest, true);
    expect(lookup.done).toBe(false);
    lookup.answered(last, nearest, true);
    expect(lookup.done).toBe(true);
  });

  it("waits for the slow only while its result is not full without them", () => {
    const lookup = new Lookup<Contact>({ target, self, seeds: near.slice(100, 116) });
    for (const each of round(lookup)) lookup.answered(each, near.slice(0, 20), false);
    const second = round(lookup);
    const silent = second.slice(0, 3);
    for (const each of second.slice(3)) lookup.answered(each, near.slice(0, 20), true);
    expect(lookup.done).toBe(false);
    for (const each of silent) lookup.slow(each);
    expect(round(lookup)).toEqual([]);
    expect(lookup.done).toBe(true);
    const answered = second.slice(3).map(({ id }) => id);
    expect(lookup.result().map(({ id }) => id)).toEqual(expect.arrayContaining(answered));
    expect(lookup.result()).toHaveLength(16);
  });

  it("finds the target though a liar had all its neighbours confirmed, all but it", () => {
    const [wanted, ...neighbours] = nearest as [Contact, ...Contact[]];
    const liar = near[30] as Contact;
    const honest = near.slice(100, 107);
    const lookup = new Lookup<Contact>({ target: wanted.nodeId, self, seeds: [liar, ...honest] });
    round(lookup);
    lookup.answered(liar, neighbours, true);
    const asked = round(lookup);
    expect(asked.length).toBeGreaterThan(7);
    // The other paths have heard nothing yet; what the neighbours say must not be lost.
    for (const each of honest) lookup.failed(each);
    for (let now = asked; now.length > 0; now = round(lookup)) {
      for (const each of now) lookup.answered(each, nearest, true);
    }
    expect(lookup.done).toBe(true);
    expect(lookup.result().map(({ id }) => id)).toContain(wanted.id);
  });
});
