import { beforeAll, describe, expect, it } from "vitest";
import { kademliaColluding } from "../../src/model/kademlia-collusion.ts";
import { kademliaFigure4, kademliaFigure5 } from "../../src/model/kademlia-figures.ts";
import { Random } from "../../src/random.ts";
import type { ScenarioContext, ScenarioResult } from "../../src/scenario.ts";

function context(options: Partial<ScenarioContext> = {}): ScenarioContext {
  return {
    seed: 1,
    nodes: 1_000,
    random: new Random(1),
    signal: new AbortController().signal,
    progress: () => {},
    rest: async () => {},
    ...options,
  };
}

/** A column of the row that has these values. */
function cell(
  { table }: ScenarioResult,
  wanted: Record<string, string | number>,
  column: string,
): number {
  const at = (name: string): number => table.columns.indexOf(name);
  const rows = table.rows.filter((row) =>
    Object.entries(wanted).every(([name, value]) => row[at(name)] === value),
  );
  expect(rows.length).toBe(1);
  return rows[0]?.[at(column)] as number;
}

const small = { lookups: 400, shares: [0, 20, 50] };

describe("figure 4, with a tenth of the nodes", () => {
  let figure: ScenarioResult;
  const success = (d: number, f: number): number => cell(figure, { d, f }, "success");

  beforeAll(async () => {
    figure = await kademliaFigure4(context(), small);
  });

  it("has a row of each cell and a curve of each number of paths", () => {
    expect(figure.table.columns).toEqual(["f", "d", "k", "success", "queries"]);
    expect(figure.table.rows.length).toBe(15);
    expect(figure.plots?.[0]?.series.map(({ name, points }) => [name, points.length])).toEqual(
      [1, 2, 4, 8, 16].map((d) => [`d=${d}, k=16`, 3]),
    );
  });

  it("never fails among honest nodes", () => {
    for (const d of [1, 2, 4, 8, 16]) expect(success(d, 0)).toBe(100);
  });

  it("holds what the paper says of a fifth of adversaries", () => {
    expect(success(8, 20)).toBeGreaterThanOrEqual(99);
    expect(success(4, 20)).toBeGreaterThanOrEqual(97.5);
    // Fewer nodes, shorter paths: with 10,000 it is 68.7.
    expect(success(1, 20)).toBeGreaterThan(66);
    expect(success(1, 20)).toBeLessThan(90);
  });

  it("rises with the number of paths, at a price in proportion", () => {
    for (const [d, more] of [
      [1, 2],
      [2, 4],
      [4, 8],
    ] as const) {
      expect(success(more, 50)).toBeGreaterThan(success(d, 50) + 3);
    }
    const price = cell(figure, { d: 8, f: 0 }, "queries") / cell(figure, { d: 1, f: 0 }, "queries");
    expect(price).toBeGreaterThan(6);
    expect(price).toBeLessThan(16);
  });

  it("judges the cells it has, and the reference only with its number of nodes", () => {
    const texts = figure.verdicts?.map(({ text }) => text) ?? [];
    expect(texts.length).toBe(3);
    expect(texts.some((text) => text.includes("reference"))).toBe(false);
  });

  it("is the same with the same seed, and another with another", async () => {
    const again = await kademliaFigure4(context(), small);
    expect(again.table).toEqual(figure.table);
    const other = await kademliaFigure4(context({ random: new Random(2) }), small);
    expect(other.table).not.toEqual(figure.table);
  });
});

describe("figure 5, with a tenth of the nodes", () => {
  it("lies below figure 4", async () => {
    const figure = await kademliaFigure5(context(), small);
    expect(figure.table.rows.length).toBe(12);
    expect(cell(figure, { d: 8, k: 16, f: 20 }, "success")).toBeGreaterThanOrEqual(99);
    expect(figure.verdicts).toEqual([
      { text: "below k = 16 for d < 8 from 10 % adversaries on", held: true },
    ]);
  });
});

describe("the reference", () => {
  it("is compared with as many nodes as it had", { timeout: 60_000 }, async () => {
    const options = { lookups: 1_000, shares: [20] };
    const { verdicts = [] } = await kademliaFigure4(context({ nodes: 10_000 }), options);
    expect(verdicts[0]?.text).toMatch(
      /^5 cells within 2\.5 points of the reference \(d=\d+ at 20 %/,
    );
    expect(verdicts.every(({ held }) => held)).toBe(true);
  });
});

describe("collusion", () => {
  it("is reported mode by mode", async () => {
    const figure = await kademliaColluding(context(), { lookups: 60, shares: [20], paths: [1, 8] });
    for (const mode of ["silent", "colluding", "key", "ground"]) {
      expect(cell(figure, { mode, d: 8 }, "success")).toBeGreaterThan(95);
      expect(cell(figure, { mode, d: 1 }, "success")).toBeLessThan(100);
    }
    // Twenty ids made for a key are closer to it than anybody: all copies of its value would be theirs.
    expect(cell(figure, { mode: "ground", d: 8 }, "honest")).toBe(0);
    expect(cell(figure, { mode: "key", d: 8 }, "honest")).toBeGreaterThan(11);
    expect(figure.plots?.length).toBe(2);
  });
});

describe("an interrupted run", () => {
  it("ends with the signal's reason, and has told how far it was", async () => {
    const reason = new Error("interrupted");
    const told: number[] = [];
    const progress = (done: number, total: number): void => {
      told.push(done / total);
    };
    const rest = (): Promise<void> => Promise.reject(reason);
    const run = kademliaFigure4(context({ nodes: 50, progress, rest }), small);
    await expect(run).rejects.toBe(reason);
    expect(told).toEqual([250 / 6_000]);
  });
});
