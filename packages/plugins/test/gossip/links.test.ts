import { type Message, type Network, type Peer, PeerId, silent } from "@testudo/core";
import { beforeEach, describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import type { Conduct } from "../../src/gossip/conduct.ts";
import type { Directory } from "../../src/gossip/directory.ts";
import type { MembershipMessage } from "../../src/gossip/hyparview.ts";
import { Links, type LinksOptions } from "../../src/gossip/links.ts";
import { MembershipType } from "../../src/gossip/messages.ts";

const HELLO = { epoch: 0, record: new Uint8Array(0) };
const SHUFFLE_MS = 60_000;

/** Peers that say yes to whoever asks to be their neighbour, and a directory that says where they are. */
class Street {
  readonly runtime = new VirtualRuntime();
  readonly peers = new Map<string, Peer>();
  readonly houses = new Map<string, Peer>();
  /** What records say of nodes that are not connected. */
  readonly written = new Map<string, string>();
  readonly dialled: string[] = [];
  readonly up: string[] = [];
  readonly down: string[] = [];
  readonly brought: string[] = [];
  readonly reached: string[] = [];
  readonly blamed: string[] = [];
  mayBring = true;
  readonly links: Links;
  #count = 0;

  constructor(options: Partial<LinksOptions> = {}) {
    const network = {
      id: idOf(255),
      addresses: [],
      runtime: this.runtime,
      logger: silent,
      peers: this.peers,
      add: async (address: string) => {
        this.dialled.push(address);
        const peer = this.houses.get(address);
        if (peer === undefined) throw new Error("nobody lives there");
        return this.enter(peer);
      },
    };
    const directory = {
      learn: (peer: Peer, records: readonly Uint8Array[]) => {
        this.brought.push(`${peer.id.text} ${records.length}`);
        return this.mayBring;
      },
      reached: ({ id }: Peer) => this.reached.push(id.text),
      recordOf() {},
      addressOf: (id: string) => this.written.get(id),
    };
    this.links = new Links({
      network: network as unknown as Network,
      directory: directory as unknown as Directory,
      conduct: {
        isBanned: () => false,
        blame: ({ id }: Peer, misdeed: string) => this.blamed.push(`${id.text} ${misdeed}`),
      } as unknown as Conduct,
      viewed: true,
      active: 5,
      passive: 30,
      diverse: true,
      shuffleMs: SHUFFLE_MS,
      overlay: undefined,
      epochOf: () => 0,
      up: (peer) => this.up.push(peer.id.text),
      down: (peer) => this.down.push(peer),
      greeted() {},
      ...options,
    });
  }

  /** Somebody who lives there, and is not connected. `record`: where it says it lives. */
  house(host: string, more: Partial<Peer> = {}, record: string = host): Peer {
    const id = idOf(this.#count++);
    const house = { id, connected: true, worthy: true, passing: true, side: "dialer" };
    const send = async (message: Message): Promise<void> => {
      const { kind } = (
        message.opcode === MembershipType.opcode
          ? MembershipType.decode(message.body).message
          : { kind: "" }
      ) as MembershipMessage;
      const reply = { kind: "neighbor-reply", accepted: true } as const;
      if (kind === "join" || kind === "neighbor")
        this.links.membership(peer, { message: reply, records: [] });
    };
    const rest = { address: `net:${host}:1~noise`, send, hold: () => () => {} };
    const peer = { ...house, ...rest, ...more } as unknown as Peer;
    this.houses.set(`net:${record}:1~noise`, peer);
    this.written.set(id.text, `net:${record}:1~noise`);
    return peer;
  }

  enter(peer: Peer): Peer {
    this.peers.set(peer.id.text, peer);
    return peer;
  }

  /** It comes to us, and asks to be a neighbour. */
  arrives(host: string, more: Partial<Peer> = {}): Peer {
    const peer = this.enter(this.house(host, { side: "listener", ...more }));
    this.links.hello(peer, HELLO);
    this.links.membership(peer, { message: { kind: "join" }, records: [] });
    return peer;
  }

  /** We hear of it by one of our neighbours. */
  named(by: Peer, ...peers: readonly Peer[]): void {
    const names = peers.map(({ id }) => id.text);
    const origin = by.id.text;
    const message = { kind: "shuffle", origin, ttl: 1, peers: names } as const;
    this.links.membership(by, { message, records: [] });
  }

  hosts(): string[] {
    return [...this.links.active].map((id) => this.peers.get(id)?.address.split(":")[1] ?? "");
  }

  pass(ms: number): Promise<void> {
    return this.runtime.advance(ms);
  }
}

function idOf(number: number): PeerId {
  const bytes = new Uint8Array(32).fill(7);
  bytes[0] = number;
  return PeerId.from(bytes);
}

let street: Street;
beforeEach(() => {
  street = new Street();
});

describe("links over subnets", () => {
  it("are one to each", () => {
    for (let i = 1; i <= 8; i++) street.arrives(`198.51.100.${i}`);
    for (let i = 1; i <= 8; i++)
      street.arrives(`2001:db8:1:${i}::1`.replace(/.*/, (host) => `[${host}]`));
    expect(street.links.active.size).toBe(2);
    expect(street.links.speakers.size).toBe(16);
  });

  it("are as many as may be where addresses prove nothing", () => {
    for (const host of ["127.0.0.1", "127.0.0.2", "10.0.0.1"]) street.arrives(host);
    expect(street.hosts()).toEqual(["127.0.0.1", "127.0.0.2", "10.0.0.1"]);
  });

  it("are as many as may be where that is asked for", () => {
    street = new Street({ diverse: false });
    for (let i = 1; i <= 8; i++) street.arrives(`198.51.100.${i}`);
    expect(street.links.active.size).toBe(5);
  });

  it("are not even dialled where there is one", async () => {
    const first = street.arrives("198.51.100.1");
    street.named(first, street.house("198.51.100.2"), street.house("203.0.113.1"));
    await street.pass(SHUFFLE_MS);
    expect(street.hosts().toSorted()).toEqual(["198.51.100.1", "203.0.113.1"]);
    expect(street.dialled).toEqual(["net:203.0.113.1:1~noise"]);
  });

  it("are counted by where the connection leads, whatever a record says", async () => {
    const first = street.arrives("198.51.100.1");
    street.named(first, street.house("198.51.100.2", {}, "203.0.113.2"));
    await street.pass(SHUFFLE_MS);
    expect(street.dialled).toContain("net:203.0.113.2:1~noise");
    expect(street.hosts()).toEqual(["198.51.100.1"]);
  });

  it("keep places for those that this node picks itself", async () => {
    for (let i = 1; i <= 20; i++) street.arrives(`10.0.0.${i}`);
    expect(street.links.active.size).toBe(5);
    const [first] = [...street.links.active].map((id) => street.peers.get(id));
    street.named(first as Peer, street.house("192.0.2.1"), street.house("203.0.113.1"));
    await street.pass(SHUFFLE_MS);
    expect(street.links.active.size).toBe(5);
    for (let i = 1; i <= 20; i++) {
      street.arrives(`10.0.1.${i}`);
      await street.pass(1_000);
    }
    expect(street.hosts()).toEqual(expect.arrayContaining(["192.0.2.1", "203.0.113.1"]));
  });
});

describe("whom the application does not allow", () => {
  it("is no link, nor asked for anything, in whatever way we met", async () => {
    const unworthy = { worthy: false };
    const first = street.arrives("192.0.2.1");
    street.links.hello(street.enter(street.house("192.0.2.2", unworthy)), HELLO);
    const near = street.enter(street.house("198.51.100.1", unworthy));
    street.named(first, near, street.house("203.0.113.1", unworthy));
    await street.pass(3 * SHUFFLE_MS);
    expect(street.dialled).toEqual(["net:203.0.113.1:1~noise"]);
    expect(street.hosts()).toEqual(["192.0.2.1"]);
    expect([...street.links.speakers.values()]).toEqual([first]);
    expect(street.links.any()).toBe(first);
  });

  it("is one no longer, and is one again when it is allowed", async () => {
    for (const viewed of [true, false]) {
      street = new Street({ viewed });
      const peer = street.arrives("192.0.2.1");
      expect(street.up).toEqual([peer.id.text]);
      Object.assign(peer, { worthy: false });
      expect(street.links.any()).toBeUndefined();
      await street.pass(2 * SHUFFLE_MS);
      expect([street.down, street.links.speakers.size, street.links.active.size]).toEqual([
        [peer.id.text],
        0,
        0,
      ]);
      Object.assign(peer, { worthy: true });
      await street.pass(2 * SHUFFLE_MS);
      expect([street.up.length, street.links.speakers.size]).toEqual([2, 1]);
    }
  });
});

describe("who is alone", () => {
  it("asks the overlay soon, and less often while it finds nobody", async () => {
    const asked: number[] = [];
    const lookup = async (): Promise<never[]> => {
      asked.push(street.runtime.now());
      return [];
    };
    street = new Street({ overlay: { lookup } });
    await street.pass(10 * SHUFFLE_MS);
    const waits = asked.map((at, i) => at - (asked[i - 1] ?? 0));
    expect(waits[0]).toBeLessThanOrEqual(750);
    expect(asked.filter((at) => at < SHUFFLE_MS).length).toBeGreaterThan(4);
    for (const wait of waits.slice(5)) expect(wait).toBeGreaterThanOrEqual(SHUFFLE_MS / 8);
    expect(street.dialled).toEqual([]);
  });

  it("is with whom the overlay knows at once", async () => {
    const house = street.house("192.0.2.1");
    street = new Street({ overlay: { lookup: async () => [house] } });
    const there = street.house("192.0.2.1");
    await street.pass(750);
    expect([...street.links.active]).toEqual([there.id.text]);
  });
});

describe("the records that a peer brings", () => {
  const RECORD = new Uint8Array(100);

  it("are taken before what it says", () => {
    const peer = street.arrives("192.0.2.1");
    const message = { kind: "shuffle", origin: peer.id.text, ttl: 1, peers: [] } as const;
    street.links.membership(peer, { message, records: [RECORD, RECORD] });
    expect(street.brought.at(-1)).toBe(`${peer.id.text} 2`);
    expect(street.blamed).toEqual([]);
  });

  it("are dropped with what it says where they are too many, and it is blamed", async () => {
    const peer = street.arrives("192.0.2.1");
    street.mayBring = false;
    street.named(peer, street.house("203.0.113.1"));
    expect(street.blamed).toEqual([`${peer.id.text} more than its budget`]);
    await street.pass(SHUFFLE_MS);
    expect(street.dialled).toEqual([]);
    const other = street.enter(street.house("198.51.100.1"));
    street.links.hello(other, { epoch: 0, record: RECORD });
    expect(street.blamed.at(-1)).toBe(`${other.id.text} more than its budget`);
    expect(street.links.speakers.has(other.id.text)).toBe(false);
  });

  it("stay where we dialled it", () => {
    street.arrives("192.0.2.1");
    const peer = street.enter(street.house("203.0.113.1"));
    street.links.hello(peer, HELLO);
    expect(street.reached).toEqual([peer.id.text]);
  });
});

describe("at its end", () => {
  it("it holds nobody, and no timer", async () => {
    for (const name of ["192.0.2.1", "203.0.113.1"]) street.arrives(name);
    street.links.close();
    await street.pass(2 * SHUFFLE_MS);
    expect([street.links.active.size, street.links.speakers.size, street.runtime.pending]).toEqual([
      0, 0, 0,
    ]);
  });
});
