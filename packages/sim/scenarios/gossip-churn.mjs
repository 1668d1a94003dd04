/**
 * Gossip where nodes come and go: half of them stay, the others are killed, fall silent, or say goodbye, and new ones
 * take their places. Keepalive watches over the peers, as in an application. What is measured is what those hear that stay, and what those have that came.
 *
 *     npx testudo sim run packages/sim/scenarios/gossip-churn.mjs --seed 1
 */

import { keepalive } from "@testudo/plugins/keepalive";
import { defineScenario, World } from "@testudo/sim";
import { gather, LINK, member, pass, percentile, Witness } from "./lib/gossip.mjs";

/** Of a node that takes part in the churn: its mean life, and how long its place is empty. */
const LIVES_MS = [240_000, 120_000, 60_000, 30_000];
const EMPTY_MS = 10_000;
const PHASE_MS = 180_000;
const EVERY_MS = 1_000;
const SETTLE_MS = 60_000;
/** Who says goodbye, who is killed, who falls silent. */
const WAYS = ["stop", "kill", "vanish"];
const BODY_BYTES = 128;
/** Within the window, so that whoever comes is owed all of the last phases. */
const LATE_MS = 60_000;

export const scenario = defineScenario({
  name: "gossip-churn",
  about: "Messages among those that stay while others come and go, and to those that come late",
  nodes: 60,
  async run({ seed, nodes, signal, progress }) {
    const world = new World({ seed, signal, link: LINK });
    const witness = new Witness(world);
    const more = () => ({ plugins: [keepalive()] });
    const all = await gather(world, witness, { count: nodes, more, progress });
    await pass(world, 120_000, progress, "views mix");
    const half = Math.floor(nodes / 2);
    const stayers = all.slice(0, half);
    let movers = all.slice(half);

    let made = 0;
    /** Through somebody that stays, or that is there as well. */
    const come = (list) => {
      const name = `late${made++}`;
      const one = member(world, witness, { name, more: more() });
      const through = world.random.pick(stayers).node.address;
      one.node.network.add(through).catch(() => {});
      one.since = world.now;
      list.push(one);
      return one.node;
    };

    const rows = [];
    for (const lifeMs of LIVES_MS) {
      const began = world.now;
      const churns = WAYS.map((how, at) =>
        world.churn({
          nodes: movers.filter((_, index) => index % WAYS.length === at).map(({ node }) => node),
          meanUpMs: lifeMs,
          meanDownMs: EMPTY_MS,
          how,
          rejoin: () => come(movers),
        }),
      );
      const numbers = [];
      while (world.now - began < PHASE_MS) {
        numbers.push(witness.say(world.random.pick(stayers), BODY_BYTES).number);
        await world.run(EVERY_MS);
        progress(world.now - began, PHASE_MS, `lives of ${lifeMs / 1_000} s`);
      }
      for (const churn of churns) churn.stop();
      await pass(world, SETTLE_MS, progress, "all settles");
      movers = movers.filter(({ node }) => node.running);
      const delays = witness.delays(numbers, stayers).sort((a, b) => a - b);
      const heard = delays.filter((delay) => delay !== undefined);
      const soon = heard.filter((delay) => delay <= 6_000);
      const late = movers.filter(({ since }) => since > began);
      rows.push([
        lifeMs / 1_000,
        churns.reduce((sum, { left }) => sum + left, 0),
        percent(soon.length, delays.length),
        percent(heard.length, delays.length),
        Math.round(percentile(heard, 0.5)),
        Math.round(percentile(heard, 0.99)),
        Math.round(heard.at(-1)),
        100 * witness.share(numbers, late),
      ]);
      // Places that were empty as the phase ended are filled again.
      while (movers.length < nodes - half) come(movers);
      await pass(world, SETTLE_MS, progress, "all settles");
    }

    const joins = await lateJoiners({ world, witness, come, progress });
    const { hash } = world.trace;
    await world.close();
    const column = (at) => rows.map((row) => row[at]);
    return {
      table: {
        columns: ["life", "left", "soon", "heard", "p50", "p99", "max", "latecomers"],
        rows,
      },
      plots: [
        {
          title: "How late messages come to those that stay",
          x: { label: "mean life of the others (s)", min: 0 },
          y: { label: "ms", min: 0 },
          series: [
            { name: "half of them", points: rows.map((row) => [row[0], row[4]]) },
            { name: "99 %", points: rows.map((row) => [row[0], row[5]]) },
          ],
        },
      ],
      verdicts: [
        { text: "whoever stays hears everything", held: column(3).every((share) => share === 100) },
        { text: "99.9 % of it within 6 s", held: column(2).every((share) => share >= 99.9) },
        {
          text: "who came has everything of the phase it came in",
          held: column(7).every((share) => share === 100),
        },
        { text: "who comes late has all of the window within a minute", held: joins.have === 1 },
        { text: "nobody is given anything twice", held: witness.copies === 0 },
      ],
      notes: [
        "half of the nodes stay; a third each of the others says goodbye, is killed, and falls silent",
        "soon: percent within 6 s; p50, p99, max: ms; latecomers: percent of the phase's messages that those have that came in it",
        `${joins.count} that came at the end had ${joins.messages} messages of the window after ${joins.first} to ${joins.last} ms`,
        `trace ${hash}`,
      ],
    };
  },
});

function percent(part, all) {
  return Math.round((100_000 * part) / all) / 1_000;
}

/** How long some that come now need to have what was said in the last ten minutes. */
async function lateJoiners({ world, witness, come, progress }) {
  const numbers = [...witness.said].filter(([, { at }]) => world.now - at < 600_000);
  const owed = numbers.map(([number]) => number);
  const list = [];
  const began = world.now;
  for (let i = 0; i < 10; i++) come(list);
  const times = new Map();
  while (world.now - began < LATE_MS && times.size < list.length) {
    await world.run(250);
    for (const one of list) {
      if (!times.has(one) && witness.share(owed, [one]) === 1) times.set(one, world.now - began);
    }
    progress(world.now - began, LATE_MS, "latecomers");
  }
  const sorted = [...times.values()];
  return {
    count: list.length,
    messages: owed.length,
    have: witness.share(owed, list),
    first: sorted[0],
    last: sorted.at(-1),
  };
}
