import { describe, expect, it } from "vitest";
import { Candidates } from "../../src/kademlia/candidates.ts";
import type { Contact } from "../../src/kademlia/node-id.ts";
import { contact } from "./contacts.ts";

const named = (candidates: Candidates<Contact>, from: number, to: number, now = 0): void => {
  for (let n = from; n < to; n++) candidates.offer(contact(n), now);
};

describe("who is named", () => {
  it("waits for his turn, once, in the order of the names", () => {
    const candidates = new Candidates<Contact>(() => true);
    named(candidates, 0, 3);
    named(candidates, 0, 3);
    expect(candidates.take(2).map(({ id }) => id)).toEqual(["p0", "p1"]);
    expect(candidates.take(2).map(({ id }) => id)).toEqual(["p2"]);
    expect(candidates.size).toBe(0);
  });

  it("is not kept when the table has no place, nor when it was taken meanwhile", () => {
    let room = true;
    const candidates = new Candidates<Contact>(({ id }) => room && id !== "p1");
    named(candidates, 0, 3);
    expect(candidates.size).toBe(2);
    room = false;
    expect(candidates.take(9)).toEqual([]);
    expect(candidates.size).toBe(0);
  });

  it("is one of 256 at most, however many are named", () => {
    const candidates = new Candidates<Contact>(() => true);
    named(candidates, 0, 5_000);
    expect(candidates.size).toBe(256);
  });

  it("is left alone for ten minutes when he did not answer, unless he does after all", () => {
    const candidates = new Candidates<Contact>(() => true);
    candidates.failed("p0", 0);
    named(candidates, 0, 1, 599_999);
    expect(candidates.size).toBe(0);
    named(candidates, 0, 1, 600_000);
    expect(candidates.size).toBe(1);
    candidates.failed("p1", 0);
    candidates.answered("p1");
    named(candidates, 1, 2);
    expect(candidates.take(9)).toHaveLength(2);
  });

  it("is forgotten as one that did not answer when a thousand more did not", () => {
    const candidates = new Candidates<Contact>(() => true);
    for (let n = 0; n <= 1_024; n++) candidates.failed(`p${n}`, 0);
    named(candidates, 0, 2);
    expect(candidates.take(9).map(({ id }) => id)).toEqual(["p0"]);
  });
});
