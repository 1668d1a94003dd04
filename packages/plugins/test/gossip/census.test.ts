import { describe, expect, it } from "vitest";
import { Census } from "../../src/gossip/census.ts";

/** Nodes in a graph, some of which have the message; what they say arrives at once, or never. */
class World {
  readonly censuses = new Map<string, Census>();
  readonly links: Readonly<Record<string, readonly string[]>>;
  readonly silent = new Set<string>();
  readonly without = new Set<string>();
  readonly #queue: (() => void)[] = [];
  now = 0;

  constructor(links: Readonly<Record<string, readonly string[]>>) {
    this.links = links;
    for (const name of Object.keys(links)) {
      this.censuses.set(
        name,
        new Census({
          out: {
            ask: (to, id, leftMs) =>
              this.#say(name, () =>
                this.censuses
                  .get(to)
                  ?.receiveQuestion(
                    name,
                    id,
                    leftMs,
                    !this.without.has(to),
                    this.linksOf(to),
                    this.now,
                  ),
              ),
            answer: (to, id, nodes, complete) =>
              this.#say(name, () =>
                this.censuses.get(to)?.receiveAnswer(name, id, nodes, complete),
              ),
          },
        }),
      );
    }
  }

  linksOf(name: string): readonly string[] {
    return this.links[name] ?? [];
  }

  begin(name: string, id: string): { nodes: number; complete: boolean }[] {
    const said: { nodes: number; complete: boolean }[] = [];
    this.censuses
      .get(name)
      ?.begin(id, this.linksOf(name), 1_000, this.now, (nodes, complete) =>
        said.push({ nodes, complete }),
      );
    this.run();
    return said;
  }

  run(): void {
    for (let step = this.#queue.shift(); step !== undefined; step = this.#queue.shift()) step();
  }

  pass(ms: number): void {
    this.now += ms;
    for (const census of this.censuses.values()) census.poll(this.now);
    this.run();
  }

  #say(from: string, what: () => void): void {
    if (!this.silent.has(from)) this.#queue.push(what);
  }
}

const chain = { a: ["b"], b: ["a", "c"], c: ["b", "d"], d: ["c"] };
const circle = { a: ["b", "d"], b: ["a", "c"], c: ["b", "d"], d: ["c", "a"] };

describe("a census", () => {
  it("counts everybody who has it, but who asks", () => {
    expect(new World(chain).begin("a", "m")).toEqual([{ nodes: 3, complete: true }]);
    expect(new World(chain).begin("b", "m")).toEqual([{ nodes: 3, complete: true }]);
  });

  it("counts nobody twice", () => {
    expect(new World(circle).begin("a", "m")).toEqual([{ nodes: 3, complete: true }]);
  });

  it("is not complete without those who do not have it", () => {
    const world = new World(chain);
    world.without.add("c");
    expect(world.begin("a", "m")).toEqual([{ nodes: 1, complete: false }]);
  });

  it("waits for the silent no longer than it may, and loses only them", () => {
    const world = new World({ ...chain, a: ["b", "e"], e: ["a"] });
    world.silent.add("d");
    const said = world.begin("a", "m");
    expect(said).toEqual([]);
    for (let i = 0; i < 20 && said.length === 0; i++) world.pass(50);
    expect(said).toEqual([{ nodes: 3, complete: false }]);
    expect(world.now).toBeLessThan(1_000);
  });

  it("does not wait for who is gone", () => {
    const world = new World(chain);
    world.silent.add("b");
    const said = world.begin("a", "m");
    world.censuses.get("a")?.down("b");
    expect(said).toEqual([{ nodes: 0, complete: false }]);
  });

  it("is made once for a message", () => {
    const world = new World(chain);
    world.begin("a", "m");
    expect(world.begin("a", "m")).toEqual([{ nodes: 0, complete: false }]);
  });

  it("of nobody is nobody", () => {
    expect(new World({ a: [] }).begin("a", "m")).toEqual([{ nodes: 0, complete: true }]);
  });

  it("takes answers only from whom it asked, once, and bounded", () => {
    const world = new World({ a: ["b", "c"], b: [], c: [] });
    world.silent.add("b");
    world.silent.add("c");
    const said = world.begin("a", "m");
    const census = world.censuses.get("a");
    census?.receiveAnswer("x", "m", 5, true);
    census?.receiveAnswer("b", "other", 5, true);
    census?.receiveAnswer("b", "m", 2 ** 32 - 1, true);
    census?.receiveAnswer("b", "m", 2 ** 32 - 1, true);
    expect(said).toEqual([]);
    census?.receiveAnswer("c", "m", 2 ** 32 - 1, true);
    expect(said).toEqual([{ nodes: 2 ** 31, complete: true }]);
  });

  it("has a bounded number of questions open", () => {
    const answers: boolean[] = [];
    const census = new Census({
      maxOpen: 4,
      out: { ask: () => {}, answer: (_to, _id, _nodes, complete) => answers.push(complete) },
    });
    for (let i = 0; i < 10; i++) census.receiveQuestion("x", `m${i}`, 1_000, true, ["y"], 0);
    expect(census.size).toBe(4);
    expect(answers).toEqual(Array(6).fill(false));
  });
});
