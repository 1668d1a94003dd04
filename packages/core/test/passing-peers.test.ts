import { describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import type { Side } from "../src/connection.ts";
import { LISTENER_PATIENCE, PassingPeers } from "../src/passing-peers.ts";
import type { LivePeer } from "../src/peer.ts";

const IDLE_MS = 100;

class Passer {
  passing = true;
  connected = true;
  inUse = false;
  side: Side;
  closedAt: number | undefined;
  readonly #close: (passer: Passer) => void;

  constructor(side: Side, close: (passer: Passer) => void) {
    this.side = side;
    this.#close = close;
  }

  get live(): LivePeer {
    return this as unknown as LivePeer;
  }

  close(): void {
    this.#close(this);
  }
}

function world(): {
  runtime: VirtualRuntime;
  peers: PassingPeers;
  passer: (side?: Side) => Passer;
} {
  const runtime = new VirtualRuntime();
  const peers = new PassingPeers(runtime, IDLE_MS);
  const close = (passer: Passer): void => {
    passer.closedAt = runtime.now();
    passer.connected = false;
    peers.forget(passer.live);
  };
  const passer = (side: Side = "dialer"): Passer => {
    const made = new Passer(side, close);
    peers.used(made.live);
    return made;
  };
  return { runtime, peers, passer };
}

describe("passing peers", () => {
  it("are closed after their time, the arrived ones later, and leave no timer", async () => {
    const { runtime, passer } = world();
    const [dialled, arrived] = [passer(), passer("listener")];
    await runtime.advance(1_000);
    expect([dialled.closedAt, arrived.closedAt]).toEqual([IDLE_MS, LISTENER_PATIENCE * IDLE_MS]);
    expect(runtime.pending).toBe(0);
  });

  it("begin anew with each use, to the millisecond", async () => {
    const { runtime, peers, passer } = world();
    const [busy, idle] = [passer(), passer()];
    for (let i = 0; i < 7; i++) {
      await runtime.advance(60);
      peers.used(busy.live);
    }
    await runtime.advance(1_000);
    expect([busy.closedAt, idle.closedAt]).toEqual([7 * 60 + IDLE_MS, IDLE_MS]);
  });

  it("share two timers, however many they are", () => {
    const { runtime, passer } = world();
    for (let i = 0; i < 50; i++) passer(i % 2 === 0 ? "dialer" : "listener");
    expect(runtime.pending).toBe(2);
  });

  it("are looked at again when they are in use", async () => {
    const { runtime, passer } = world();
    const held = passer();
    held.inUse = true;
    await runtime.advance(350);
    held.inUse = false;
    await runtime.advance(1_000);
    expect(held.closedAt).toBe(400);
  });

  it("are forgotten when they stay or leave, and are not there before they enter the table", async () => {
    const { runtime, peers, passer } = world();
    const [stays, leaves] = [passer(), passer()];
    stays.passing = false;
    peers.used(stays.live);
    leaves.connected = false;
    peers.forget(leaves.live);
    expect(runtime.pending).toBe(0);
    const early = passer();
    early.connected = false;
    peers.used(early.live);
    await runtime.advance(1_000);
    expect([stays.closedAt, leaves.closedAt, early.closedAt]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("go by the side they have now", async () => {
    const { runtime, peers, passer } = world();
    const moved = passer("dialer");
    moved.side = "listener";
    peers.used(moved.live);
    await runtime.advance(1_000);
    expect(moved.closedAt).toBe(LISTENER_PATIENCE * IDLE_MS);
  });
});
