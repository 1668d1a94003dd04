/**
 * An eclipse: a node restarts while half of the addresses it hears of are an attacker's, who has eight subnets and
 * as many keys as he likes. Whom does it know again, and whom would it link to?
 *
 * A model, without a network. What is driven is the plugin's own code: `RoutingTable` with its caps on subnets,
 * `spread` as `sample()` has it, `chooseAnchors`, signed records, and the snapshot as bytes. What is not: the keeper's
 * clock and its dials (that anchors are dialled before anything else, and all that was kept after them, is played here
 * in that order), lookups, the attacker's answers, and gossip, which has its own ways to its neighbours.
 * test/network/eclipse.test.ts plays all of that with whole networks, but few of them and few times.
 *
 * Before the restart the victim heard of everybody in random order, and all answered. It held links to a sample of
 * them for long, and all of the attacker's nodes that it knew held links to it. At the restart one of ten honest nodes
 * is gone; the attacker's are all there, answer everything, and come to the victim before it has asked anybody. Its
 * anchors answer next, then the attacker's are asked, then what else was kept. Without the defence in question: no caps
 * in the table, links and anchors drawn from all nodes alike, whoever came as good an anchor as whoever was dialled, no
 * anchors.
 *
 *     npx testudo sim run packages/sim/scenarios/eclipse.mjs --seed 1
 */

import { Identity } from "@testudo/core";
import {
  chooseAnchors,
  decodeSnapshot,
  encodeSnapshot,
  MAX_ANCHORS,
  MAX_KEPT_RECORDS,
  nodeIdOf,
  RoutingTable,
  spread,
  subnetsOf,
} from "@testudo/plugins/kademlia/machines";
import { readRecord, signRecord } from "@testudo/plugins/record";
import { defineScenario } from "@testudo/sim";

const TRIALS = 1_000;
const LINKS = 8;
const ATTACKER_SUBNETS = 8;
const GONE = 0.1;
/** When the victim stops, on its own clock. */
const STOPPED_MS = 3_600_000;
const NOW = 1_700_000_000_000;
const NETWORK_ID = new Uint8Array(32);

const ALL = { caps: true, choice: true, order: true, anchors: true };
const RUNS = [
  { name: "all", ...ALL },
  { name: "no anchors", ...ALL, anchors: false },
  { name: "no order", ...ALL, order: false },
  { name: "no choice", ...ALL, choice: false },
  { name: "no caps", ...ALL, caps: false },
  { name: "none", caps: false, choice: false, order: false, anchors: false },
];

export const scenario = defineScenario({
  name: "eclipse",
  about: "Links of a node that restarts while half of all addresses are an attacker's",
  nodes: 1_000,
  async run({ nodes, random, progress, rest }) {
    const half = Math.floor(nodes / 2);
    const honest = [];
    const sybils = [];
    for (let i = 0; i < half; i++) {
      // Honest nodes are where people are: now and then two in one subnet.
      const at = random.below(2 ** 14);
      honest.push(
        node(random, `${20 + (at >> 8)}.${at & 255}.${random.below(256)}.${i & 255}`, true),
      );
      const subnet = i % ATTACKER_SUBNETS;
      sybils.push(node(random, `${203 + subnet}.0.113.${(i >> 3) & 255}`, false));
    }
    const known = new Map([...honest, ...sybils].map((each) => [each.contact.id, each]));

    const rows = [];
    const series = [];
    for (const run of RUNS) {
      const counts = [];
      const shares = [];
      const anchored = [];
      const early = [];
      for (let trial = 0; trial < TRIALS; trial++) {
        const found = restart({ ...run, honest, sybils, known, random });
        const [links, first, anchors] = found.map(
          (all) => all.filter((each) => each.honest).length,
        );
        counts.push(links);
        shares.push(links / found[0].length);
        early.push(first);
        anchored.push(anchors);
        progress(rows.length * TRIALS + trial, RUNS.length * TRIALS, run.name);
        if (trial % 20 === 0) await rest();
      }
      const mean = shares.reduce((sum, share) => sum + share, 0) / TRIALS;
      const percent = (count) => (100 * count) / TRIALS;
      rows.push([
        run.name,
        TRIALS,
        percent(shares.filter((share) => share > 0).length),
        100 * mean,
        100 * Math.min(...shares),
        percent(early.filter((count) => count > 0).length),
        percent(anchored.filter((count) => count >= 2).length),
      ]);
      const points = Array.from({ length: LINKS }, (_, i) => [
        i + 1,
        percent(counts.filter((count) => count > i).length),
      ]);
      series.push({ name: `defences: ${run.name}`, points });
    }
    const [every, unanchored] = rows;
    return {
      table: {
        columns: [
          "defence",
          "trials",
          "linked",
          "honest_mean",
          "honest_least",
          "early",
          "two_anchors",
        ],
        rows,
      },
      plots: [
        {
          title: "Trials with so many honest links at least",
          x: { label: "honest links" },
          y: { label: "% of trials", min: 0, max: 100 },
          series,
        },
      ],
      verdicts: [
        { text: "an honest link in every trial", held: every[2] === 100 && unanchored[2] === 100 },
        {
          text: "60 % of all links honest on average",
          held: every[3] >= 60 && unanchored[3] >= 60,
        },
        { text: "two honest anchors kept in every trial", held: every[6] === 100 },
        { text: "with them an honest link at once in 99 % of trials", held: every[5] >= 99 },
      ],
      notes: [
        `${half} honest nodes and ${half} of the attacker's in ${ATTACKER_SUBNETS} subnets of 256; ${LINKS} links`,
        "linked: trials with an honest link; early: also before more than the anchors was asked;",
        "two_anchors: trials in which two honest anchors answered before anybody else; all in %",
      ],
    };
  },
});

function node(random, host, honest) {
  const identity = Identity.generate((length) => random.bytes(length));
  const record = signRecord(identity, {
    networkId: NETWORK_ID,
    seq: NOW,
    addresses: [`net:${host}:9000~noise:${identity.id.text}`],
    expiresAt: NOW + 3_600_000,
  });
  const contact = {
    id: identity.id.text,
    nodeId: nodeIdOf(identity.publicKey),
    subnets: subnetsOf([host]),
  };
  return { contact, record, honest };
}

/** Links in the end, links as soon as the anchors and the attacker's have answered, and anchors that answered. */
function restart({ caps, choice, order, anchors, honest, sybils, known, random }) {
  const self = { id: "victim", nodeId: random.bytes(32) };
  const below = (bound) => random.below(bound);
  const unlimited = Number.POSITIVE_INFINITY;
  const none = { perBucketSubnet: unlimited, perTableSubnet: unlimited };
  const newTable = () => new RoutingTable({ self, ...(caps ? {} : none) });
  const heard = (table, { contact }, now) => table.insert(contact, { answered: true }, now);
  const everybody = (table) => table.closest(self.nodeId, table.size);
  const some = (table, n) =>
    choice ? spread(everybody(table), n, below) : random.sample(everybody(table), n);
  const read = (bytes) => known.get(idOf(bytes));
  const isThere = (each) => !each.honest || random.next() >= GONE;

  const before = newTable();
  for (const each of random.sample([...honest, ...sybils], honest.length + sybils.length)) {
    heard(before, each, 0);
  }
  const nearest = before.closest(self.nodeId, MAX_KEPT_RECORDS);
  const dialled = new Set(some(before, LINKS));
  const streamOf = (contact) => {
    if (dialled.has(contact)) return { since: 0, passing: true, side: "dialer" };
    if (known.get(contact.id).honest) return undefined;
    return { since: 0, passing: false, side: order ? "listener" : "dialer" };
  };
  const acquaintances = nearest.map((contact) => ({ contact, stream: streamOf(contact) }));
  const chosen = choice
    ? chooseAnchors(acquaintances, { now: STOPPED_MS, random: below })
    : random.sample(nearest, MAX_ANCHORS);
  const bytesOf = ({ id }) => known.get(id).record.bytes;
  const kept = decodeSnapshot(
    encodeSnapshot({
      seq: NOW,
      records: nearest.map(bytesOf),
      anchors: anchors ? chosen.map(bytesOf) : [],
    }),
  );

  const after = newTable();
  // They come first, but nobody is handed out who was not asked, and these are asked after the anchors.
  for (const { contact } of sybils) after.insert(contact, { answered: false }, 0);
  const answering = kept.anchors.map(read).filter(isThere);
  for (const each of answering) heard(after, each, 1_000);
  for (const each of sybils) heard(after, each, 2_000);
  const early = some(after, LINKS);
  for (const each of kept.records.map(read)) {
    if (after.wants(each.contact) && isThere(each)) heard(after, each, 3_000);
  }
  const links = some(after, LINKS);
  const nodeOf = ({ id }) => known.get(id);
  return [links.map(nodeOf), early.map(nodeOf), answering];
}

const ids = new Map();
/** Whose record it is; its signature was verified when it was first read. */
function idOf(bytes) {
  const key = Buffer.from(bytes.buffer, bytes.byteOffset, 32).toString("base64");
  if (!ids.has(key)) ids.set(key, readRecord(bytes, { networkId: NETWORK_ID, now: NOW }).id.text);
  return ids.get(key);
}
