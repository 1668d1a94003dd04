/**
 * An eclipse through whole networks: a node with discovery and gossip restarts, and an attacker of eight subnets, with as
 * many nodes as there are honest ones, was told first. Nothing here is a model but the internet.
 *
 * The attacker's nodes dial the victim before it does anything, are glad to be its neighbours, answer all questions, name
 * only each other, and hand nothing on.
 */

import {
  defineMessage,
  type Plugin,
  type Section,
  section,
  type Transport,
  text,
} from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";
import { type Kademlia, kademlia, type Storage } from "@testudo/plugins/kademlia";
import { decodeSnapshot } from "@testudo/plugins/kademlia/machines";
import { type ContactRecord, readRecord, signRecord } from "@testudo/plugins/record";
import { type SimNode, World } from "@testudo/sim";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  AnnounceMessage,
  CensusMessage,
  GraftMessage,
  ItemsMessage,
  PruneMessage,
  PushMessage,
} from "../../packages/plugins/src/gossip/messages.ts";
import {
  LookupRequest,
  LookupResponse,
  RecordNews,
} from "../../packages/plugins/src/kademlia/messages.ts";

const News = defineMessage({ name: "news", opcode: 1_000, codec: text, reach: "network" });
const HONEST = 40;
const SYBILS = 40;
const SUBNETS = 8;
const GONE = 4;
const PORT = 9_000;
const VICTIM = "198.51.100.1";
/** The attacker's nodes take what is broadcast, and hand nothing on. */
const SWALLOWED: ReadonlySet<number> = new Set(
  [PushMessage, AnnounceMessage, PruneMessage, GraftMessage, CensusMessage, ItemsMessage].map(
    ({ opcode }) => opcode,
  ),
);

interface Node {
  readonly node: SimNode;
  readonly address: string;
  readonly overlay: Kademlia;
}

/** One network under attack. */
class Siege {
  readonly world: World;
  readonly honest: Node[] = [];
  /** News that the victim was given. */
  heard = 0;
  readonly sybils: SimNode[] = [];
  readonly #records: ContactRecord[] = [];
  #kept: Uint8Array | undefined;
  #address = "";

  constructor(seed: number) {
    this.world = new World({ seed, link: { latencyMs: 20, jitterMs: 10 } });
  }

  async grow(): Promise<void> {
    const { random } = this.world;
    while (this.honest.length < HONEST) {
      const at = random.below(2 ** 16);
      const host = `${20 + (at >> 12)}.${at & 255}.${random.below(256)}.${this.honest.length}`;
      this.honest.push(await this.#start(host));
      await this.world.run(200);
    }
    await this.world.run(30_000);
  }

  async startVictim(): Promise<Node> {
    const storage: Storage = {
      load: async () => this.#kept,
      save: async (bytes) => {
        this.#kept = new Uint8Array(bytes);
      },
    };
    const victim = await this.#start(VICTIM, storage);
    this.#address = victim.address;
    return victim;
  }

  /** Ids of the anchors in the storage. */
  get anchors(): string[] {
    const reading = { networkId: this.#network.networkId, now: this.#network.runtime.wallClock() };
    return decodeSnapshot(this.#kept ?? new Uint8Array(0)).anchors.map(
      (bytes) => readRecord(bytes, reading).id.text,
    );
  }

  isHonest(id: string): boolean {
    return this.honest.some(({ node }) => node.running && node.network.id.text === id);
  }

  async invade(): Promise<void> {
    while (this.sybils.length < SYBILS) {
      const i = this.sybils.length;
      this.sybils.push(await this.#sybil(`${203 + (i % SUBNETS)}.0.113.${i}`));
    }
  }

  /** Of the attacker's nodes, those that are the victim's peers. */
  sybilsAt({ node }: Node): number {
    return this.sybils.filter(({ network }) => node.network.peers.has(network.id.text)).length;
  }

  /** All of them dial the victim, in this moment. */
  press(): void {
    for (const { network } of this.sybils) network.add(this.#address).catch(() => {});
  }

  get #network(): SimNode["network"] {
    return (this.honest[0] as Node).node.network;
  }

  async #start(host: string, storage?: Storage): Promise<Node> {
    const bootstrap = this.honest.slice(0, 1).map(({ address }) => address);
    const overlay = kademlia({ bootstrap, ...(storage !== undefined && { storage }) });
    const witness: Plugin = {
      name: "witness",
      newMessage: ({ message }) => {
        if (host === VICTIM && message.as(News) !== undefined) this.heard++;
      },
    };
    const plugins = [overlay, gossip({ overlay }), witness];
    const { node, address } = await this.#listen(host, plugins);
    return { node, address, overlay };
  }

  async #listen(
    name: string,
    plugins: readonly Plugin[],
  ): Promise<{ node: SimNode; address: string }> {
    const node = this.world.add({
      name,
      plugins,
      listen: false,
      stacks: (sim, vouch) => [[named(sim), vouch]],
    });
    await this.world.during(node.ready);
    const address = await this.world.during(node.network.listen(`sim:${name}:${PORT}~vouch`));
    return { node, address };
  }

  async #sybil(host: string): Promise<SimNode> {
    const talk = gossip({ active: 50, passive: 50, diverse: false });
    const answers: Plugin = {
      name: "sybil",
      startup: (context) => talk.startup(context),
      nodeDeleted: (context) => talk.nodeDeleted(context),
      close: () => talk.close(),
      newMessage: (context) => {
        const { message, reply } = context;
        if (!SWALLOWED.has(message.opcode)) talk.newMessage(context);
        if (message.as(LookupRequest) === undefined) return undefined;
        const records = this.world.random.sample(this.#records, 16).map(({ bytes }) => bytes);
        return reply(LookupResponse.of({ terminal: true, records, value: undefined }));
      },
      nodeAdded: async (context) => {
        talk.nodeAdded(context);
        await context.peer.send(RecordNews.of(record.bytes)).catch(() => {});
      },
    };
    const { node, address } = await this.#listen(host, [answers]);
    const { network } = node;
    const now = Math.floor(network.runtime.wallClock());
    const record = signRecord(network.identity, {
      networkId: network.networkId,
      seq: now,
      addresses: [address],
      expiresAt: now + 3_600_000,
    });
    this.#records.push(record);
    return node;
  }
}

/** The world's transport, with a port where somebody came from, so that his subnet is seen. */
function named(sim: Transport): Transport {
  const shown = ({ name, args }: Section): Section => section(name, args[0] ?? "", "50000");
  const { listen } = sim;
  if (listen === undefined) throw new TypeError("the world's transport listens");
  return {
    ...sim,
    listen: (at, accept, options) =>
      listen(
        at,
        (connection) => {
          Object.defineProperty(connection, "remote", { value: shown(connection.remote) });
          accept(connection);
        },
        options,
      ),
  };
}

function isAnchored({ node }: Node, siege: Siege): number {
  return siege.anchors.filter((id) => siege.isHonest(id) && node.network.peers.has(id)).length;
}

describe("a node that restarts among sybils", () => {
  it.each([1, 2, 3])("is with honest ones again (seed %i)", { timeout: 60_000 }, async (seed) => {
    const siege = new Siege(seed);
    const { world } = siege;
    onTestFinished(() => world.close());
    await siege.grow();
    const before = await siege.startVictim();
    await siege.invade();
    // Half of all that it hears of are the attacker's, and all of his come to it.
    siege.press();
    await world.run(90_000);
    expect(siege.sybilsAt(before)).toBe(SYBILS);
    await world.during(before.node.stop());
    expect(siege.anchors).toHaveLength(8);
    for (const { node } of world.random.sample(siege.honest.slice(1), GONE)) node.vanish();
    await world.run(5_000);

    const again = await siege.startVictim();
    siege.press();
    await world.run(5_000);
    expect(siege.sybilsAt(again)).toBe(SYBILS);
    expect(isAnchored(again, siege)).toBeGreaterThanOrEqual(2);
    await world.during(again.overlay.joined());
    const picked = again.overlay.sample(10).filter(({ id }) => siege.isHonest(id.text));
    expect(picked.length).toBeGreaterThanOrEqual(5);

    // Its neighbours are not all the attacker's: it hears what the others say.
    await world.run(30_000);
    const said = siege.honest.filter(({ node }) => node.running);
    for (const { node } of said) node.network.broadcast(News.of("here"));
    await world.run(20_000);
    expect(siege.heard).toBeGreaterThan(said.length / 2);
  });
});
