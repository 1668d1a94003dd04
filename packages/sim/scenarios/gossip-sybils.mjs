/**
 * Gossip among sybils, four for each honest node: what gossipsub was attacked with, on real networks. Each attack has
 * a world of its own. 50 honest nodes and 200 sybils, so that all attacks together take some minutes: every honest
 * node checks every signature, and sybils that behave do, too.
 *
 * Nothing is asked of the figures but that everything is heard where nobody attacks.
 *
 *     npx testudo sim run packages/sim/scenarios/gossip-sybils.mjs --seed 1
 */

import { defineScenario, World } from "@testudo/sim";
import { gather, LINK, member, pass, percentile, Witness } from "./lib/gossip.mjs";
import { Sybil } from "./lib/sybil.mjs";

const SYBILS_A_NODE = 4;
const PUBLISHERS = 10;
const BODY_BYTES = 2_048;
const MESSAGES = 60;
const EVERY_MS = 1_000;
/** By then a message is in time. */
const SOON_MS = 6_000;
/** How long the others may take to bring what was missed. */
const AFTER_MS = 60_000;
const SETTLE_MS = 60_000;
/** How long sybils are there before anything is measured. */
const SIEGE_MS = 30_000;
/** Sybils that come at once, and how long until the next do. */
const WAVE = 100;
const WAVE_MS = 2_000;
/** Honest nodes that a sybil dials, where it has no victim. */
const DIALS = 2;

/**
 * `deed`: what its sybils do (lib/sybil.mjs). `victims`: whom all of them dial, and try to keep from the others.
 * `cold`: they are there from the beginning, else they come to a network that has settled. `late`: they behave until
 * the first message is said.
 */
const ATTACKS = [
  { name: "none", deed: "behave", sybils: 0 },
  { name: "bystanders", deed: "behave" },
  { name: "eclipse-one", deed: "swallow", victims: 1 },
  { name: "eclipse-publishers", deed: "swallow", victims: PUBLISHERS },
  { name: "censor", deed: "swallow" },
  { name: "pretend", deed: "pretend" },
  { name: "degrade", deed: "delay" },
  { name: "cold-boot", deed: "swallow", cold: true },
  { name: "covert-flash", deed: "swallow", late: true },
  { name: "promises", deed: "promise" },
  { name: "garbage", deed: "garbage" },
];

export const scenario = defineScenario({
  name: "gossip-sybils",
  about: "What honest nodes hear among sybils that eclipse, censor, delay, lie and flood",
  nodes: 50,
  async run({ seed, nodes, signal, progress }) {
    const rows = [];
    const notes = [];
    for (const [at, attack] of ATTACKS.entries()) {
      const step = (_done, _total, what) =>
        progress(at, ATTACKS.length, `${attack.name}: ${what ?? ""}`);
      const found = await trial({ seed, signal, nodes, attack, progress: step });
      rows.push(...found.rows);
      notes.push(found.note);
    }
    const [before] = rows;
    for (const row of rows) row.push(row[6] - before[6]);
    return {
      table: {
        columns: ["attack", "who", "sybils", "soon", "heard", "p50", "p99", "linked", "added"],
        rows,
      },
      plots: [
        {
          title: "What honest nodes hear",
          x: { label: `attack (${ATTACKS.map(({ name }, at) => `${at} ${name}`).join(", ")})` },
          y: { label: "%", min: 0, max: 100 },
          series: [
            { name: "within 6 s", points: pointsOf(rows, 3) },
            { name: "within a minute", points: pointsOf(rows, 4) },
          ],
        },
      ],
      verdicts: [{ text: "without an attack all is heard within 6 s", held: before[3] === 100 }],
      notes,
    };
  },
});

function pointsOf(rows, column) {
  return ATTACKS.map(({ name }, at) => [at, rows.find((row) => row[0] === name)[column]]);
}

async function trial({ seed, signal, nodes, attack, progress }) {
  const world = new World({ seed, signal, link: LINK });
  const witness = new Witness(world);
  const count = attack.sybils ?? SYBILS_A_NODE * nodes;
  const band = { world, deed: attack.deed, on: !attack.late, victims: [], all: [] };
  let honest;
  if (attack.cold) {
    honest = await gather(world, witness, { count: 10, options: {}, progress });
    const coming = [
      invade({ band, honest, count, progress }),
      follow({ world, witness, honest, nodes }),
    ];
    await world.during(Promise.all(coming), 600_000);
  } else {
    honest = await gather(world, witness, { count: nodes, options: {}, progress });
    await pass(world, SETTLE_MS, progress, "views mix");
  }
  const publishers = world.random.sample(honest, PUBLISHERS);
  band.victims = publishers.slice(0, attack.victims ?? 0);
  if (!attack.cold) await world.during(invade({ band, honest, count, progress }), 600_000);
  await pass(world, SIEGE_MS, progress, "siege");

  band.on = true;
  const numbers = [];
  for (let said = 0; said < MESSAGES; said++) {
    numbers.push(witness.say(publishers[said % PUBLISHERS], BODY_BYTES).number);
    await world.run(EVERY_MS);
    progress(said, MESSAGES, "messages");
  }
  await pass(world, AFTER_MS, progress, "what was missed");

  const row = (who, told, members) => {
    const delays = witness.delays(told, members);
    const heard = delays.filter((delay) => delay !== undefined).sort((a, b) => a - b);
    const soon = heard.filter((delay) => delay <= SOON_MS).length;
    return [
      attack.name,
      who,
      count,
      percent(soon, delays.length),
      percent(heard.length, delays.length),
      Math.round(percentile(heard, 0.5)),
      Math.round(percentile(heard, 0.99)),
      linked(members, honest),
    ];
  };
  const rows = [row("all", numbers, honest)];
  if (band.victims.length > 0) {
    const said = numbers.filter((number) =>
      band.victims.some(({ name }) => name === witness.said.get(number).by),
    );
    rows.push(row("victims hear", numbers, band.victims));
    rows.push(row("victims say", said, honest));
  }
  const { hash } = world.trace;
  const { messages } = world.counters;
  await world.close();
  return { rows, note: `${attack.name}: ${messages} messages, trace ${hash}` };
}

/** The rest of the honest nodes, as the sybils come too. */
async function follow({ world, witness, honest, nodes }) {
  while (honest.length < nodes) {
    const wave = Math.min(25, nodes - honest.length);
    const known = [...honest];
    for (let i = 0; i < wave; i++) {
      const one = member(world, witness, { name: `n${honest.length}` });
      one.node.network.add(world.random.pick(known).node.address).catch(() => {});
      honest.push(one);
    }
    await world.sleep(WAVE_MS);
  }
}

/** Sybils come in waves, each through some honest nodes, or all to the victims. */
async function invade({ band, honest, count, progress }) {
  const { world, victims, all } = band;
  while (all.length < count) {
    const until = Math.min(all.length + WAVE, count);
    while (all.length < until) {
      const doors =
        victims.length > 0
          ? [victims[all.length % victims.length]]
          : world.random.sample(honest, DIALS);
      const sybil = new Sybil(band, `s${all.length}`);
      all.push(sybil);
      for (const { node } of doors) sybil.node.network.add(node.address).catch(() => {});
    }
    await world.sleep(WAVE_MS);
    progress(all.length, count, "sybils");
  }
}

function percent(part, all) {
  return Math.round((100_000 * part) / all) / 1_000;
}

/** Honest peers of a member, on average. */
function linked(members, honest) {
  const ids = new Set(honest.map(({ node }) => node.network.id.text));
  let sum = 0;
  for (const { node } of members) {
    for (const id of node.network.peers.keys()) if (ids.has(id)) sum++;
  }
  return Math.round((10 * sum) / members.length) / 10;
}
