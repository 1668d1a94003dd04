/**
 * An eclipse: a node restarts while half of the addresses it hears of are an attacker's, who has eight subnets and
 * as many keys as he likes. Whom does it link to?
 *
 * A model: the very table, caps on subnets, choice over subnets, records and snapshot of the plugin, without a
 * network. Before the restart the victim heard of everybody in random order, and all answered; its links of that
 * time are its anchors. At the restart one of ten honest nodes is gone; the attacker's are all there, answer
 * everything, and come to the victim before anybody else. It takes up its anchors, and fills its links from its
 * table. Without the defence in question: no caps in the table, links drawn from all nodes alike, no anchors.
 *
 *     npx testudo sim run packages/sim/scenarios/eclipse.mjs --seed 1
 */

import { Identity } from "@testudo/core";
import {
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
const NOW = 1_700_000_000_000;
const NETWORK_ID = new Uint8Array(32);

const RUNS = [
  { name: "all", caps: true, choice: true, anchors: true },
  { name: "no anchors", caps: true, choice: true, anchors: false },
  { name: "no choice", caps: true, choice: false, anchors: true },
  { name: "no caps", caps: false, choice: true, anchors: true },
  { name: "none", caps: false, choice: false, anchors: false },
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
      const fromAnchors = [];
      for (let trial = 0; trial < TRIALS; trial++) {
        const links = restart({ ...run, honest, sybils, known, random });
        const good = links.filter((each) => each.honest);
        counts.push(good.length);
        shares.push(good.length / links.length);
        fromAnchors.push(good.filter((each) => each.anchor).length);
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
        percent(fromAnchors.filter((count) => count >= 2).length),
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
        columns: ["defence", "trials", "linked", "honest_mean", "honest_least", "two_anchors"],
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
        { text: "two honest anchors kept in every trial", held: every[5] === 100 },
      ],
      notes: [
        `${half} honest nodes and ${half} of the attacker's in ${ATTACKER_SUBNETS} subnets of 256; ${LINKS} links`,
        "linked: trials with an honest link; two_anchors: with two honest links that were anchors; all in %",
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

function restart({ caps, choice, anchors, honest, sybils, known, random }) {
  const self = { id: "victim", nodeId: random.bytes(32) };
  const table = (now) => {
    const none = {
      perBucketSubnet: Number.POSITIVE_INFINITY,
      perTableSubnet: Number.POSITIVE_INFINITY,
    };
    const made = new RoutingTable({ self, ...(caps ? {} : none) });
    return { made, hear: ({ contact }) => made.insert(contact, { answered: true }, now) };
  };
  const before = table(0);
  for (const each of random.sample([...honest, ...sybils], honest.length + sybils.length)) {
    before.hear(each);
  }
  const chosen = (all, n) =>
    choice ? spread(all, n, (bound) => random.below(bound)) : random.sample(all, n);
  const nearest = before.made.closest(self.nodeId, MAX_KEPT_RECORDS);
  const bytesOf = ({ id }) => known.get(id).record.bytes;
  const kept = decodeSnapshot(
    encodeSnapshot({
      seq: NOW,
      records: nearest.map(bytesOf),
      anchors: anchors ? chosen(nearest, MAX_ANCHORS).map(bytesOf) : [],
    }),
  );

  const alive = (each) => !each.honest || random.next() >= GONE;
  const read = (bytes) => known.get(idOf(bytes));
  const after = table(1_000);
  const links = [];
  for (const each of kept.anchors.map(read)) {
    if (!alive(each)) continue;
    after.hear(each);
    if (links.length < LINKS) links.push({ ...each, anchor: true });
  }
  // The attacker's come first, whatever else the victim does.
  for (const each of sybils) after.hear(each);
  for (const each of kept.records.map(read)) if (alive(each)) after.hear(each);
  const all = after.made.closest(self.nodeId, MAX_KEPT_RECORDS);
  for (const { id } of chosen(all, all.length)) {
    if (links.length >= LINKS) break;
    if (!links.some(({ contact }) => contact.id === id))
      links.push({ ...known.get(id), anchor: false });
  }
  return links;
}

const ids = new Map();
/** Whose record it is; its signature was verified when it was first read. */
function idOf(bytes) {
  const key = Buffer.from(bytes.buffer, bytes.byteOffset, 32).toString("base64");
  if (!ids.has(key)) ids.set(key, readRecord(bytes, { networkId: NETWORK_ID, now: NOW }).id.text);
  return ids.get(key);
}
