import { describe, expect, it } from "vitest";
import { PeerDelivery } from "../src/delivery.ts";
import { networkError } from "../src/errors.ts";
import { Batch } from "../src/outbox.ts";
import type { Peer } from "../src/peer.ts";
import { deferred } from "../src/queue.ts";

function peer(): Peer {
  return {} as Peer;
}

const CUT = networkError("TRUNCATED", "the connection was cut");

describe("a delivery", () => {
  it("to nobody has nothing to report", async () => {
    const delivery = new PeerDelivery();
    expect(delivery.queued).toBe(0);
    expect(await delivery.report()).toEqual({ sent: [], failed: [] });
  });

  it("counts the peers whose queue took the message", () => {
    const delivery = new PeerDelivery();
    delivery.add(peer(), new Batch());
    delivery.add(peer(), new Batch());
    delivery.fail(peer(), CUT);
    expect(delivery.queued).toBe(2);
  });

  it("reports once it is certain of each peer, and the same again", async () => {
    const delivery = new PeerDelivery();
    const [ann, ben, cat] = [peer(), peer(), peer()];
    const batches = [new Batch(), new Batch()] as const;
    delivery.add(ann, batches[0]);
    delivery.add(ben, batches[1]);
    delivery.fail(cat, CUT);
    let reported = false;
    const report = delivery.report().then((result) => {
      reported = true;
      return result;
    });
    batches[1].settle(CUT);
    await Promise.resolve();
    expect(reported).toBe(false);
    batches[0].settle("sent");
    const { sent, failed } = await report;
    expect(sent).toEqual([ann]);
    expect(failed).toEqual([
      { peer: cat, error: CUT },
      { peer: ben, error: CUT },
    ]);
    expect(sent[0]).toBe(ann);
    expect(failed[1]?.peer).toBe(ben);
    expect(await delivery.report()).toEqual({ sent, failed });
  });

  it("waits for what is still being dialled, which may add to it or fail it", async () => {
    const delivery = new PeerDelivery();
    const [reached, refused] = [deferred<void>(), deferred<void>()];
    const batch = new Batch();
    const ann = peer();
    delivery.wait(reached.promise.then(() => delivery.add(ann, batch)));
    delivery.wait(refused.promise.then(() => delivery.fail("net:nobody:1", CUT)));
    const report = delivery.report();
    batch.settle("sent");
    refused.resolve();
    reached.resolve();
    expect(await report).toEqual({ sent: [ann], failed: [{ peer: "net:nobody:1", error: CUT }] });
    expect(delivery.queued).toBe(1);
  });

  it("that nobody asks about rejects nowhere", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => {
      unhandled.push(reason);
    };
    process.on("unhandledRejection", note);
    try {
      const delivery = new PeerDelivery();
      const batch = new Batch();
      delivery.add(peer(), batch);
      batch.settle(CUT);
      const asked = new PeerDelivery();
      asked.add(peer(), batch);
      expect((await asked.report()).failed).toHaveLength(1);
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
    } finally {
      process.off("unhandledRejection", note);
    }
  });
});
