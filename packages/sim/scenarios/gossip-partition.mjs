/**
 * A network that falls into two for ten minutes, speaks on both sides, and finds together again.
 *
 * Nobody helps: no bootstrap address is dialled again, no overlay is asked. The connections across break in
 * the meantime. 80 nodes and not thousands, since each checks the signatures of 2,000 messages.
 *
 *     npx testudo sim run packages/sim/scenarios/gossip-partition.mjs --seed 1
 */

import { defineScenario, World } from "@testudo/sim";
import { gather, LINK, pass, Tally, Witness } from "./lib/gossip.mjs";

const PARTED_MS = 600_000;
/** For the last message to arrive. */
const LAST_MS = 5_000;
const PERIOD_MS = 30_000;
const MESSAGES = 1_000;
const BODY_BYTES = 128;
const ID_BYTES = 16;
const SMALL_PART = 0.3;
const STEP_MS = 1_000;
/** What comparing costs, without what it brings. */
const COMPARING = ["reconcile", "reconcile-reply", "want"];

export const scenario = defineScenario({
  name: "gossip-partition",
  about: "Two sides of a partition that heals after ten minutes, and what it takes to be one again",
  nodes: 80,
  async run({ seed, nodes, signal, progress }) {
    const world = new World({ seed, signal, link: LINK });
    const [witness, tally] = [new Witness(world), new Tally()];
    const all = await gather(world, witness, {
      count: nodes,
      options: { reconcileMs: PERIOD_MS },
      more: () => ({ stacks: tally.stacks }),
      progress,
    });
    await pass(world, 120_000, progress, "views mix");

    const small = world.random.sample(all, Math.round(SMALL_PART * nodes));
    const large = all.filter((one) => !small.includes(one));
    world.partition(small.map(({ node }) => node));
    const [mine, theirs] = [[], []];
    for (let said = 0; said < MESSAGES; said++) {
      mine.push(witness.say(world.random.pick(small), BODY_BYTES).number);
      theirs.push(witness.say(world.random.pick(large), BODY_BYTES).number);
      await world.run(PARTED_MS / MESSAGES);
      progress(said + 1, MESSAGES, "messages on each side");
    }
    await world.run(LAST_MS);
    const inside = Math.min(witness.share(mine, small), witness.share(theirs, large));
    const across = Math.max(witness.share(mine, large), witness.share(theirs, small));
    const crossing = linksOf(small);
    let missing = 0;
    for (const { name } of small)
      missing += theirs.filter((n) => !witness.heardBy(name).has(n)).length;
    for (const { name } of large)
      missing += mine.filter((n) => !witness.heardBy(name).has(n)).length;

    tally.take();
    world.heal();
    const rows = [];
    let whole;
    for (let ms = 0; ms <= 2 * PERIOD_MS || (whole === undefined && ms < 600_000); ms += STEP_MS) {
      if (ms > 0) await world.run(STEP_MS);
      const [left, right] = [witness.share(theirs, small), witness.share(mine, large)];
      if (left === 1 && right === 1) whole ??= ms;
      const bytes = tally.bytes;
      const comparing = COMPARING.reduce((sum, kind) => sum + bytes.get(kind), 0);
      rows.push([ms / 1_000, 100 * left, 100 * right, linksOf(small), comparing]);
      progress(ms, 2 * PERIOD_MS, "after healing");
    }
    const bytes = tally.take();
    const sum = (...kinds) => kinds.reduce((total, kind) => total + bytes.get(kind), 0);
    const comparing = sum(...COMPARING);
    const carried = sum("push", "items");
    const { hash } = world.trace;
    await world.close();

    const ids = missing * ID_BYTES;
    return {
      table: { columns: ["s", "small", "large", "links", "bytes"], rows },
      plots: [
        {
          title: "What each side has of what the other said",
          x: { label: "seconds after healing", min: 0 },
          y: { label: "%", min: 0, max: 100 },
          series: [
            { name: "the 30 %", points: rows.map(([s, part]) => [s, part]) },
            { name: "the 70 %", points: rows.map(([s, , part]) => [s, part]) },
          ],
        },
      ],
      verdicts: [
        {
          text: "while parted, each side hears all of its own and nothing else",
          held: inside === 1 && across === 0,
        },
        {
          text: "both sides have everything within two periods (60 s)",
          held: whole <= 2 * PERIOD_MS,
        },
        {
          text: "comparing costs at most 3 times the ids of what was missing",
          held: comparing <= 3 * ids,
        },
        { text: "nobody is given anything twice", held: witness.copies === 0 },
      ],
      notes: [
        `whole again after ${whole === undefined ? "more than 600" : whole / 1_000} s; links across when it healed: ${crossing}`,
        `bytes: of the messages reconcile, reconcile-reply and want that all ${nodes} nodes wrote since the healing, headers included:`,
        `${comparing}, for ${missing} missing messages whose ids are ${ids} bytes: ${(comparing / ids).toFixed(2)} times`,
        `push and items: ${carried} bytes, ${(carried / (missing * (BODY_BYTES + 120))).toFixed(2)} times what was missing`,
        [...bytes].map(([kind, count]) => `${kind} ${count}`).join(", "),
        `trace ${hash}`,
      ],
    };
  },
});

/** Neighbours of one side that are on the other. */
function linksOf(small) {
  const names = new Set(small.map(({ node }) => node.network.id.text));
  let count = 0;
  for (const { node } of small) {
    for (const peer of node.network.peers.keys()) if (!names.has(peer)) count++;
  }
  return count;
}
