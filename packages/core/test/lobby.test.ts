import { describe, expect, it } from "vitest";
import { Nodes } from "../../../test/support/nodes.ts";
import type { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { vouch } from "../../../test/support/vouch.ts";
import type { Transform } from "../src/transform.ts";

/** `vouch` that thinks for a while before it shakes hands. */
function slow(runtime: () => VirtualRuntime, ms: number): Transform {
  const below = vouch();
  return {
    ...below,
    async handshake(wire, options) {
      await new Promise<void>((resolve) => runtime().setTimer(resolve, ms));
      return below.handshake(wire, options);
    },
  };
}

const never = (): Promise<boolean> => new Promise(() => {});

describe("from the connection to the table", () => {
  it("one bound holds, whatever part of it the handshake took", async () => {
    const nodes: Nodes = new Nodes({
      transform: () => slow(() => nodes.runtime, 600),
      limits: { handshakeTimeoutMs: 1_000, closeTimeoutMs: 50 },
    });
    const dialer = await nodes.start("dialer");
    const listener = await nodes.start("listener", { authorize: never });
    const before = nodes.runtime.now();
    await expect(nodes.runtime.during(dialer.network.add(listener.address))).rejects.toMatchObject({
      code: "HANDSHAKE_TIMEOUT",
    });
    expect(nodes.runtime.now() - before).toBe(1_000);
    await nodes.close();
  });

  it("a dialer's own authorize has no more time than that", async () => {
    const nodes = new Nodes({ limits: { handshakeTimeoutMs: 1_000, closeTimeoutMs: 50 } });
    const dialer = await nodes.start("dialer", { authorize: never });
    const listener = await nodes.start("listener");
    const adding = dialer.network.add(listener.address);
    await expect(nodes.runtime.during(adding)).rejects.toMatchObject({
      code: "HANDSHAKE_TIMEOUT",
    });
    await nodes.runtime.advance(100);
    expect([dialer.network.peers.size, listener.network.peers.size]).toEqual([0, 0]);
    // Its place is free again.
    await nodes.close();
  });

  it("a place is held until nothing of the stream is left, and then it is free", async () => {
    const nodes = new Nodes({ limits: { maxPeers: 1, closeTimeoutMs: 500 } });
    const hub = await nodes.start("hub");
    const [first, second] = [await nodes.start("first"), await nodes.start("second")];
    const [peer] = await nodes.connect(hub, first);
    const full = { code: "TOO_MANY_PEERS" };
    await expect(hub.network.add(second.address)).rejects.toMatchObject(full);
    first.line.loseAll();
    const deleting = hub.network.delete(peer);
    await expect(hub.network.add(second.address)).rejects.toMatchObject(full);
    await nodes.runtime.during(deleting);
    await nodes.connect(hub, second);
    await nodes.close();
  });
});
