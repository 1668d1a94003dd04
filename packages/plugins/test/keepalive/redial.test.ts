import {
  type Deferred,
  deferred,
  type ErrorCode,
  type Network,
  type NetworkError,
  networkError,
  type Peer,
  silent,
} from "@testudo/core";
import { describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { Redial } from "../../src/keepalive/redial.ts";

const BOB = "net:example.org:1~noise:BOB";
const CUT = networkError("TRUNCATED", "the connection was cut");

interface Dial {
  readonly address: string;
  readonly at: number;
  readonly outcome: Deferred<Peer>;
  over: boolean;
}

/** As much of a network as the address book uses; dials end when the test says so. */
class World {
  readonly runtime: VirtualRuntime;
  readonly wanted = new Map<string, string>();
  readonly peers = new Map<string, Peer>();
  readonly dials: Dial[] = [];
  readonly warnings: unknown[] = [];
  /** How a dial ends when the test does not want to say: at once. */
  answer: ((dial: Dial) => void) | undefined;
  mostAtOnce = 0;
  readonly redial: Redial;

  constructor(seed: number = 1, prepare: (world: World) => void = () => {}) {
    this.runtime = new VirtualRuntime(seed);
    prepare(this);
    const network = {
      runtime: this.runtime,
      wanted: this.wanted,
      peers: this.peers,
      logger: { ...silent, warn: (details: unknown) => this.warnings.push(details) },
      add: (address: string, { signal }: { signal: AbortSignal }) => this.#add(address, signal),
    };
    const waits = { minDelayMs: 1_000, maxDelayMs: 16_000, stableMs: 60_000 };
    this.redial = new Redial(network as unknown as Network, waits);
  }

  #add(address: string, signal: AbortSignal): Promise<Peer> {
    const dial = { address, at: this.runtime.now(), outcome: deferred<Peer>(), over: false };
    const end = (): void => {
      dial.over = true;
    };
    dial.outcome.promise.then(end, end);
    signal.addEventListener("abort", () => dial.outcome.reject(signal.reason));
    this.dials.push(dial);
    const open = this.dials.filter((one) => one.address === address && !one.over).length;
    this.mostAtOnce = Math.max(this.mostAtOnce, open);
    this.answer?.(dial);
    return dial.outcome.promise;
  }

  /** The peer is here, reached at `address` if it was wanted. */
  arrive(id: string, address?: string): Peer {
    const peer = { id: { text: id }, connected: true } as Peer;
    this.peers.set(id, peer);
    this.redial.came(peer);
    if (address !== undefined) this.wanted.set(address, id);
    return peer;
  }

  leave(id: string, reason: NetworkError = CUT): void {
    const peer = this.peers.get(id);
    if (peer === undefined) throw new Error(`${id} is not here`);
    this.peers.delete(id);
    (peer as { connected: boolean }).connected = false;
    this.redial.left(peer, reason);
  }

  /** The last dial reaches `id`. */
  async reach(id: string): Promise<void> {
    const dial = this.dials.at(-1);
    if (dial === undefined) throw new Error("nothing was dialled");
    dial.outcome.resolve(this.arrive(id, dial.address));
    await settled();
  }

  async fail(reason: Error): Promise<void> {
    this.dials.at(-1)?.outcome.reject(reason);
    await settled();
  }
}

function refused(): NetworkError {
  return networkError("DIAL_REFUSED", "nobody there");
}

/** The times between one dial and the next when none succeeds. */
async function gaps(seed: number, count: number): Promise<number[]> {
  const world = new World(seed);
  world.answer = (dial) => dial.outcome.reject(refused());
  world.arrive("bob", BOB);
  world.leave("bob");
  await world.runtime.until(() => world.dials.length >= count, 1_000_000);
  world.redial.stop();
  expect(world.runtime.pending).toBe(0);
  return world.dials.map(({ at }, i) => at - (world.dials[i - 1]?.at ?? 0));
}

describe("redial", () => {
  it("dials an address again when its peer left, and rests once it is back", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.arrive("stranger");
    await world.runtime.advance(100_000);
    expect(world.dials).toEqual([]);
    world.leave("stranger");
    await world.runtime.advance(100_000);
    expect(world.dials).toEqual([]);
    world.leave("bob");
    await world.runtime.advance(1_000);
    expect(world.dials.map(({ address }) => address)).toEqual([BOB]);
    await world.reach("bob");
    await world.runtime.advance(100_000);
    expect(world.dials).toHaveLength(1);
    expect(world.runtime.pending).toBe(0);
  });

  it("waits at most 1, 2, 4, 8 and then 16 seconds, drawn evenly from nothing up", async () => {
    const bounds = [1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000];
    const sums = bounds.map(() => 0);
    const seeds = 400;
    for (let seed = 1; seed <= seeds; seed++) {
      for (const [i, gap] of (await gaps(seed, bounds.length)).entries()) {
        expect(gap).toBeLessThanOrEqual(bounds[i] as number);
        sums[i] = (sums[i] as number) + gap;
      }
    }
    for (const [i, sum] of sums.entries()) {
      // Five standard errors of the mean of an even spread.
      const mean = sum / seeds / (bounds[i] as number);
      expect(Math.abs(mean - 0.5)).toBeLessThan((5 * Math.sqrt(1 / 12)) / Math.sqrt(seeds));
    }
  });

  it("never has two dials of one address under way", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob");
    await world.runtime.advance(1_000);
    // It comes by itself and leaves again while our dial is still under way.
    world.arrive("bob");
    world.leave("bob");
    await world.runtime.advance(100_000);
    expect(world.dials).toHaveLength(1);
    await world.fail(refused());
    await world.runtime.advance(2_000);
    expect(world.dials).toHaveLength(2);
    expect(world.mostAtOnce).toBe(1);
  });

  it("starts again with the shortest wait after a stable minute, and not before", async () => {
    const world = new World(3);
    world.arrive("bob", BOB);
    const longest = async (stayMs: number): Promise<number> => {
      let longestMs = 0;
      for (let i = 0; i < 30; i++) {
        await world.runtime.advance(stayMs);
        const from = world.runtime.now();
        world.leave("bob");
        const dials = world.dials.length;
        await world.runtime.until(() => world.dials.length > dials, 20_000);
        longestMs = Math.max(longestMs, world.runtime.now() - from);
        await world.reach("bob");
      }
      return longestMs;
    };
    expect(await longest(60_000)).toBeLessThanOrEqual(1_000);
    expect(await longest(59_999)).toBeGreaterThan(8_000);
    expect(await longest(60_000)).toBeLessThanOrEqual(1_000);
  });

  it("does not dial an address that was taken back", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob");
    world.wanted.delete(BOB);
    await world.runtime.advance(100_000);
    expect(world.dials).toEqual([]);
    expect(world.runtime.pending).toBe(0);
  });

  it("stops when the address is taken back during a dial", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob");
    await world.runtime.advance(1_000);
    world.wanted.delete(BOB);
    await world.fail(networkError("STREAM_CLOSED", "deleted while dialling"));
    await world.runtime.advance(100_000);
    expect(world.dials).toHaveLength(1);
    expect(world.runtime.pending).toBe(0);
  });

  it("starts afresh with an address that was taken back and is wanted again", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new World(seed);
      world.arrive("bob", BOB);
      world.leave("bob");
      world.answer = (dial) => dial.outcome.reject(refused());
      await world.runtime.until(() => world.dials.length === 8, 1_000_000);
      world.wanted.delete(BOB);
      world.arrive("carol", "net:carol");
      world.leave("carol");
      world.wanted.delete("net:carol");
      world.arrive("bob", BOB);
      world.leave("bob");
      await world.runtime.advance(1_000);
      expect(world.dials.length).toBeGreaterThan(8);
      world.redial.stop();
    }
  });

  it("knows a peer that comes back under another id for as unstable as it is", async () => {
    const world = new World(3);
    world.arrive("bob 0", BOB);
    await world.runtime.advance(100_000);
    let longestMs = 0;
    for (let i = 1; i <= 30; i++) {
      const from = world.runtime.now();
      world.leave(`bob ${i - 1}`);
      await world.runtime.until(() => world.dials.length === i, 20_000);
      longestMs = Math.max(longestMs, world.runtime.now() - from);
      await world.reach(`bob ${i}`);
      await world.runtime.advance(10_000);
    }
    expect(longestMs).toBeGreaterThan(8_000);
  });

  it("need not dial a peer that came by itself", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob");
    world.arrive("bob");
    expect(world.runtime.pending).toBe(0);
    await world.runtime.advance(100_000);
    expect(world.dials).toEqual([]);
  });

  it("need not dial a peer that the user reached at another address", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob");
    // Added under a new id, as a peer without a key has one each time: nodeAdded could not tell.
    world.arrive("bob with another id");
    world.wanted.set(BOB, "bob with another id");
    await world.runtime.advance(100_000);
    expect(world.dials).toEqual([]);
  });

  it("dials again when the peer left at once", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob");
    await world.runtime.advance(1_000);
    const peer = world.arrive("bob", BOB);
    world.leave("bob");
    world.dials[0]?.outcome.resolve(peer);
    await world.runtime.advance(2_000);
    expect(world.dials).toHaveLength(2);
  });

  it("keeps up every address that led to the peer", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.wanted.set("ws://example.org", "bob");
    world.leave("bob");
    await world.runtime.advance(1_000);
    expect(world.dials.map(({ address }) => address).sort()).toEqual([BOB, "ws://example.org"]);
  });

  it("dials what is already wanted and not there when it begins", async () => {
    const world = new World(1, ({ wanted, peers }) => {
      wanted.set(BOB, "bob").set("net:here", "carol");
      peers.set("carol", {} as Peer);
    });
    await world.runtime.advance(1_000);
    expect(world.dials.map(({ address }) => address)).toEqual([BOB]);
  });

  const permanent: ErrorCode[] = [
    "PEER_REFUSED",
    "PEER_UNEXPECTED",
    "SELF_DIAL",
    "ADDRESS_MALFORMED",
    "ADDRESS_UNSUPPORTED",
  ];
  for (const code of permanent) {
    it(`gives up after ${code}, with a warning that names no address`, async () => {
      const world = new World();
      world.arrive("bob", BOB);
      world.leave("bob");
      await world.runtime.advance(1_000);
      await world.fail(networkError(code, "for good"));
      await world.runtime.advance(100_000);
      expect(world.dials).toHaveLength(1);
      expect(world.runtime.pending).toBe(0);
      expect(world.warnings).toMatchObject([{ peer: "bob", error: { code } }]);
      expect(JSON.stringify(world.warnings)).not.toContain("example.org");
    });
  }

  it("does not dial who said it refuses us, even while a dial is under way", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob", networkError("PEER_REFUSED", "closed by the peer: not you"));
    await world.runtime.advance(100_000);
    expect(world.dials).toEqual([]);
    world.arrive("bob");
    world.leave("bob");
    await world.runtime.advance(1_000);
    expect(world.dials).toHaveLength(1);
    world.arrive("bob");
    world.leave("bob", networkError("PEER_REFUSED", "closed by the peer: not you"));
    await world.fail(refused());
    await world.runtime.advance(100_000);
    expect(world.dials).toHaveLength(1);
    expect(world.runtime.pending).toBe(0);
  });

  it("gives up an address of which every alternative is hopeless, and no other", async () => {
    const hopeless = networkError("ADDRESS_UNSUPPORTED", "no such stack");
    const failed = (...causes: Error[]): Error =>
      networkError("DIAL_REFUSED", "none worked", { cause: new AggregateError(causes) });
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob");
    await world.runtime.advance(1_000);
    await world.fail(failed(hopeless, refused()));
    await world.runtime.advance(2_000);
    expect(world.dials).toHaveLength(2);
    await world.fail(failed(hopeless, networkError("PEER_REFUSED", "not you")));
    await world.runtime.advance(100_000);
    expect(world.dials).toHaveLength(2);
  });

  it("goes on looking for an id, whose next address may be a better one, until its node refuses", async () => {
    const world = new World();
    const id = "A".repeat(43);
    world.arrive("bob", id);
    world.leave("bob");
    for (const code of permanent.filter(
      (each) => each !== "PEER_REFUSED" && each !== "SELF_DIAL",
    )) {
      const dials = world.dials.length;
      expect(await world.runtime.until(() => world.dials.length > dials, 16_000)).toBe(true);
      await world.fail(networkError(code, "the address that was found"));
    }
    const dials = world.dials.length;
    expect(await world.runtime.until(() => world.dials.length > dials, 16_000)).toBe(true);
    await world.fail(networkError("PEER_REFUSED", "not you"));
    await world.runtime.advance(100_000);
    expect(world.dials).toHaveLength(dials + 1);
  });

  it("goes on after anything that may pass, whatever was thrown", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.leave("bob");
    for (const reason of [
      networkError("DIAL_TIMEOUT", "no answer"),
      networkError("HANDSHAKE_FAILED", "noise"),
      networkError("TOO_MANY_PEERS", "full"),
      new Error("anything"),
    ]) {
      const dials = world.dials.length;
      expect(await world.runtime.until(() => world.dials.length > dials, 16_000)).toBe(true);
      await world.fail(reason);
    }
  });

  it("cancels its waits and its dials when it is stopped", async () => {
    const world = new World();
    world.arrive("bob", BOB);
    world.arrive("carol", "net:carol");
    world.leave("bob");
    await world.runtime.advance(1_000);
    world.leave("carol");
    expect(world.runtime.pending).toBe(1);
    world.redial.stop();
    await settled();
    expect(world.dials.map(({ over }) => over)).toEqual([true]);
    await world.runtime.advance(100_000);
    expect(world.dials).toHaveLength(1);
    expect(world.runtime.pending).toBe(0);
  });
});
