/**
 * Lookups among adversaries, through real networks: what figure 4 of S/Kademlia says for a model. An adversary is
 * a good node to whoever only checks on it, so that it stays in every table; but a lookup that asks it learns
 * nothing, and is told that it need not search on.
 *
 *     npx testudo sim run packages/sim/scenarios/kademlia-network.mjs --seed 1
 */

import { OPCODES } from "@testudo/core";
import { nodeIdOf } from "@testudo/plugins/kademlia/machines";
import { defineScenario, World } from "@testudo/sim";
import { join, LINK, settle } from "./lib/overlay.mjs";

/** Lookups of each kind, so many of them at once. */
const LOOKUPS = 1_000;
const AT_ONCE = 20;
const PATHS = [1, 2, 4, 8];
const SHARES = [0, 0.1, 0.2, 0.3];

/** `terminal`, no records, no value. */
const DEAD_END = { opcode: OPCODES.lookupNodeResponse, body: Uint8Array.of(1, 0) };

export const scenario = defineScenario({
  name: "kademlia-network",
  about: "Lookups over disjoint paths among adversaries, through real networks",
  nodes: 1_000,
  async run({ seed, nodes, signal, progress }) {
    const world = new World({ seed, signal, link: LINK });
    const wicked = new Set();
    const all = await join(world, nodes, {
      progress,
      options: (index) => ({ d: PATHS[index % PATHS.length] }),
      wrap: (overlay, index) => adversary(overlay, () => wicked.has(index)),
    });
    await settle(world, 45_000, progress);

    const order = world.random.sample(
      all.map((_, index) => index),
      nodes,
    );
    const rows = [];
    const count = Math.min(LOOKUPS, 10 * nodes);
    for (const share of SHARES) {
      for (const index of order.slice(0, Math.round(share * nodes))) wicked.add(index);
      const good = all
        .map((each, index) => ({ ...each, index }))
        .filter((_, at) => !wicked.has(at));
      for (const d of PATHS) {
        const askers = good.filter(({ index }) => PATHS[index % PATHS.length] === d);
        const success = await ask(world, askers, good, count, progress);
        rows.push([share, d, count, (100 * success) / count]);
      }
    }
    const { counters } = world;
    const { hash } = world.trace;
    await world.close();

    const at = (f, paths) => rows.find(([share, d]) => share === f && d === paths)?.[3];
    return {
      table: { columns: ["f", "d", "lookups", "success"], rows },
      plots: [
        {
          title: "Lookups that reach their node",
          x: { label: "share of adversaries", min: 0 },
          y: { label: "%", max: 100 },
          series: PATHS.map((d) => ({
            name: `d = ${d}`,
            points: rows.filter((row) => row[1] === d).map(([f, , , success]) => [f, success]),
          })),
        },
      ],
      verdicts: [
        { text: "d = 8 among 20 % adversaries: at least 99 %", held: at(0.2, 8) >= 99 },
        { text: "without adversaries all succeed", held: PATHS.every((d) => at(0, d) === 100) },
        { text: "one path does worse than eight", held: at(0.2, 1) < at(0.2, 8) },
      ],
      notes: [
        "success: the node looked for is the nearest that answered",
        "one path does as well: a table knows one node in seven here, and the nearest are asked beside the paths",
        `${counters.messages} messages, trace ${hash}`,
      ],
    };
  },
});

/** The plugin, but for its answers to lookups while it is wicked. */
function adversary(overlay, isWicked) {
  return {
    name: overlay.name,
    startup: (context) => overlay.startup(context),
    nodeAdded: (context) => overlay.nodeAdded(context),
    nodeDeleted: (context) => overlay.nodeDeleted(context),
    close: () => overlay.close(),
    newMessage(context) {
      const { message, peer, network } = context;
      if (!isWicked() || message.opcode !== OPCODES.lookupNodeRequest) {
        return overlay.newMessage(context);
      }
      // Who asks for the neighbours of his own place checks whether we live; who asks for ours looks for us.
      const target = message.body.subarray(0, 32);
      const known = [peer.id, network.id].some((id) => isSame(nodeIdOf(id.bytes), target));
      return known ? overlay.newMessage(context) : context.reply(DEAD_END);
    },
  };
}

function isSame(a, b) {
  return a.every((byte, at) => byte === b[at]);
}

async function ask(world, askers, targets, count, progress) {
  let right = 0;
  const one = async () => {
    const from = world.random.pick(askers);
    const [one, other] = world.random.sample(targets, 2);
    const to = one.index === from.index ? other : one;
    const { id } = to.node.network;
    const [nearest] = await from.overlay.lookup(id);
    if (nearest?.id.equals(id)) right++;
  };
  for (let done = 0; done < count; done += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - done) }, one);
    await world.during(Promise.all(some));
    await world.run(250);
    progress(done, count, "lookups");
  }
  return right;
}
