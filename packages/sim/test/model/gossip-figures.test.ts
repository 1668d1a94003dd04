import { describe, expect, test } from "vitest";
import {
  broadcastModes,
  hyparviewHealing,
  MembershipModel,
  plumtreeFailures,
  plumtreeSilentParents,
  plumtreeTable1,
} from "../../src/model/gossip.ts";
import { Random } from "../../src/random.ts";
import type { ScenarioContext, ScenarioResult } from "../../src/scenario.ts";

function context(nodes: number, seed = 1): ScenarioContext {
  const { signal } = new AbortController();
  return {
    seed,
    nodes,
    random: new Random(seed),
    signal,
    progress: () => {},
    rest: () => Promise.resolve(),
  };
}

const missed = ({ verdicts = [] }: ScenarioResult) =>
  verdicts.filter(({ held }) => !held).map(({ text }) => text);

test("membership is symmetric, and its places are all but taken, once joined and mixed", () => {
  const model = new MembershipModel({ nodes: 500, random: new Random(2) });
  model.joinAll();
  for (let i = 0; i < 10; i++) model.cycle();
  let links = 0;
  for (let node = 0; node < 500; node++) {
    const active = model.machines[node]?.active ?? new Set();
    links += active.size;
    for (const peer of active) {
      expect(model.machines[Number(peer)]?.active.has(String(node))).toBe(true);
    }
  }
  expect(links).toBeGreaterThan(2475);
  expect(model.islands()).toEqual([500]);
  expect(model.flood(0)).toMatchObject({ reached: 500, payload: links - 499 });
});

describe("the tables, small", () => {
  test("plumtree-table1", async () => {
    const result = await plumtreeTable1(context(500), { cycles: 25, warmUp: 10, settle: 14 });
    expect(result.table.columns).toEqual(["strategy", "payload", "control", "total"]);
    expect(result.table.rows.map(([strategy]) => strategy)).toEqual([
      "eager flood",
      "plumtree single sender",
      "plumtree many senders",
      "plumtree optimised many senders",
    ]);
    expect(missed(result)).toEqual([]);
    for (const [, payload, control, total] of result.table.rows) {
      expect(total).toBe(Number(payload) + Number(control));
    }
  });

  test("hyparview-healing", async () => {
    const result = await hyparviewHealing(context(800), { failed: [80, 90], cycles: 6, settle: 8 });
    expect(result.table.columns).toEqual(["failed", "cycle", "reliability"]);
    expect(missed(result)).toEqual([]);
    const atOnce = result.table.rows.filter(([, cycle]) => cycle === 0);
    for (const row of atOnce) expect(row[2]).toBeLessThan(50);
  });

  test("plumtree-failures", async () => {
    const result = await plumtreeFailures(context(500), { cycles: 25, settle: 8 });
    expect(missed(result)).toEqual([]);
    expect(result.table.rows.at(-1)?.[1]).toBe(425);
  });

  test("plumtree-silent-parents", async () => {
    const options = { messages: 10, honest: 5, settle: 14 };
    const result = await plumtreeSilentParents(context(500), options);
    const reached = missed(result).filter((text) => !text.includes("p99"));
    expect(reached).toEqual([]);
    const first = (links: number) => result.table.rows.find((row) => row[0] === links);
    expect(Number(first(2)?.[4])).toBeLessThan(Number(first(1)?.[4]));
    // One more link costs copies and spares most nodes the wait for timer 1 and a graft.
    expect(2 * Number(first(2)?.[7])).toBeLessThan(Number(first(1)?.[7]));
  });

  test("broadcast-modes", async () => {
    const { table } = await broadcastModes(context(300));
    const reach = (mode: string, failed: number) =>
      Number(table.rows.find((row) => row[0] === mode && row[1] === failed)?.[3]);
    for (const mode of ["flood", "plumtree", "plumtree robust", "delegation to 1"]) {
      expect([mode, reach(mode, 0)]).toEqual([mode, 100]);
    }
    // What a tree repairs and a delegation does not.
    expect(reach("plumtree", 20)).toBeGreaterThan(reach("delegation to 2", 20));
    expect(reach("delegation to 2", 20)).toBeGreaterThan(reach("delegation to 1", 20));
  });

  test("the same seed gives the same rows", async () => {
    const options = { cycles: 5, warmUp: 1, settle: 2 };
    const once = await plumtreeTable1(context(100, 7), options);
    const again = await plumtreeTable1(context(100, 7), options);
    expect(again).toEqual(once);
  });

  test("an interruption is heard", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(plumtreeTable1({ ...context(100), signal })).rejects.toThrow("enough");
  });
});
