import { expect, test } from "vitest";
import { newWorld } from "./support/world.ts";

test("nodes leave and come as often as it is said, and stop when told", async () => {
  const world = newWorld();
  for (let i = 0; i < 40; i++) world.add();
  const churn = world.churn({
    meanUpMs: 10_000,
    meanDownMs: 10_000,
    rejoin: ({ name }) => world.add({ name }),
  });
  await world.run(200_000);
  // Each of the 40 places has a cycle of 20 s.
  expect(churn.left).toBeGreaterThan(300);
  expect(churn.left).toBeLessThan(500);
  expect(churn.left - churn.joined).toBe(40 - world.nodes.size);
  expect(world.nodes.size).toBeGreaterThan(8);
  expect(world.nodes.size).toBeLessThan(32);
  churn.stop();
  const { left, joined } = churn;
  await world.run(100_000);
  expect([churn.left, churn.joined]).toEqual([left, joined]);
});

test.each(["stop", "kill", "vanish"] as const)(
  "they leave by %s, and nobody comes",
  async (how) => {
    const world = newWorld();
    const [stays, ...others] = Array.from({ length: 5 }, () => world.add());
    world.churn({ nodes: others, meanUpMs: 1_000, how });
    await world.run(60_000);
    expect([...world.nodes.values()]).toEqual([stays]);
  },
);

test("times that make no sense are refused", () => {
  const world = newWorld();
  expect(() => world.churn({ meanUpMs: 0 })).toThrow(RangeError);
  expect(() => world.churn({ meanUpMs: 1, meanDownMs: -1 })).toThrow(RangeError);
});
