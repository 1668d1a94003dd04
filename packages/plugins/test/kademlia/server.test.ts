import { type NetworkError, toUtf8 } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TestNode } from "../../../../test/support/nodes.ts";
import {
  FindValue,
  LookupRequest,
  LookupResponse,
  RecordNews,
  StoreRequest,
  StoreResponse,
} from "../../src/kademlia/messages.ts";
import { STORED } from "../../src/kademlia/store.ts";
import { contentValue } from "../../src/kademlia/value.ts";
import { readRecord } from "../../src/record/record.ts";
import { type OverlayNode, Overlays, recordOf, says, stranger } from "./overlay.ts";

const target = new Uint8Array(32).fill(5);

let overlays: Overlays;
let all: OverlayNode[];
let first: OverlayNode;
beforeEach(async () => {
  overlays = new Overlays();
  all = await overlays.joined(4);
  first = all[0] as OverlayNode;
});
afterEach(() => overlays.close());

const during = <T>(work: Promise<T>): Promise<T> => overlays.runtime.during(work);

/** Why a node's first peer left. */
function endOf({ network }: TestNode): Promise<string | undefined> {
  return new Promise((resolve) => {
    void network.registerPlugin({
      nodeDeleted: ({ reason }) => resolve((reason as NetworkError).code),
    });
  });
}

describe("who asks", () => {
  it("is told of checked nodes only, and not of himself", async () => {
    const silent = await stranger(overlays, "silent", () => undefined);
    const asker = await stranger(overlays, "asker", () => says([]));
    await during(silent.network.add(first.address));
    const peer = await during(asker.network.add(first.address));
    await overlays.runtime.advance(5_000);
    expect(silent.asked.length).toBeGreaterThan(0);
    expect(asker.asked.length).toBeGreaterThan(0);
    const answer = await during(
      peer.request(LookupRequest.of({ target, count: 32 }), LookupResponse),
    );
    const { networkId } = first.network;
    const now = overlays.runtime.wallClock();
    const ids = answer.records.map((bytes) => readRecord(bytes, { networkId, now }).id.text);
    expect(ids.toSorted()).toEqual(
      all
        .slice(1)
        .map(({ network }) => network.id.text)
        .toSorted(),
    );
    const one = await during(peer.request(LookupRequest.of({ target, count: 1 }), LookupResponse));
    expect(one.records).toHaveLength(1);
    expect(one.value).toBeUndefined();
  });

  it("more than a node may is not answered, then closed; the others are served", async () => {
    const flooder = await stranger(overlays, "flooder", () => says([]));
    const left = endOf(flooder);
    let answers = 0;
    await flooder.network.registerPlugin({
      newMessage({ message }) {
        if (message.as(LookupResponse) !== undefined) answers++;
      },
    });
    const peer = await during(flooder.network.add(first.address));
    for (let i = 0; i < 1_300; i++) {
      peer.send(LookupRequest.of({ target, count: 1 })).catch(() => {});
      if (i % 100 === 0) await overlays.runtime.advance(1);
    }
    expect(await during(left)).toBe("PEER_REFUSED");
    // One of the burst was its record.
    expect(answers).toBeGreaterThanOrEqual(199);
    expect(answers).toBeLessThan(220);
    expect(await during((all[1] as OverlayNode).overlay.lookup(first.network.id))).toHaveLength(3);
  });

  it("something that cannot be read is closed", async () => {
    const liar = await stranger(overlays, "liar", () => says([]));
    const left = endOf(liar);
    const peer = await during(liar.network.add(first.address));
    await peer.send({ ...LookupRequest.of({ target, count: 1 }), body: Uint8Array.of(1) });
    expect(await during(left)).toBe("BODY_MALFORMED");
  });
});

describe("who tells of himself", () => {
  it("is asked first; who tells of others is not heard, and closed when he goes on", async () => {
    const other = await overlays.nodes.start("other");
    const liar = await stranger(overlays, "liar", () => says([]));
    const left = endOf(liar);
    const peer = await during(liar.network.add(first.address));
    const foreign = recordOf(overlays, other).bytes;
    await peer.send(RecordNews.of(foreign));
    await overlays.runtime.advance(5_000);
    expect(
      first.overlay.closest(other.network.id).some(({ id }) => id.equals(other.network.id)),
    ).toBe(false);
    expect(first.network.peers.has(liar.network.id.text)).toBe(true);
    for (let i = 0; i < 8; i++) await peer.send(RecordNews.of(foreign));
    expect(await during(left)).toBe("BODY_MALFORMED");
  });

  it("and whose clock is off by two days is not believed, but not locked out either", async () => {
    const late = await stranger(overlays, "late", () => says([]));
    const peer = await during(late.network.add(first.address));
    const old = new Uint8Array(late.record().bytes);
    old.fill(0, 40, 48);
    await peer.send(RecordNews.of(old));
    await overlays.runtime.advance(1_000);
    expect(first.network.peers.has(late.network.id.text)).toBe(true);
    const answer = await during(
      peer.request(LookupRequest.of({ target, count: 1 }), LookupResponse),
    );
    expect(answer.records).toHaveLength(1);
  });
});

describe("who brings a value", () => {
  it("hears what became of it, and finds it again", async () => {
    const asker = await stranger(overlays, "asker", () => says([]));
    const peer = await during(asker.network.add(first.address));
    const value = contentValue(toUtf8("kept"));
    const keep = (bytes: Uint8Array): Promise<number> =>
      during(peer.request(StoreRequest.of({ value: bytes, lifeMs: 60_000 }), StoreResponse));
    expect(await keep(value.bytes)).toBe(STORED.stored);
    expect(await keep(Uint8Array.of(9, 9, 9))).toBe(STORED.malformed);
    const found = await during(
      peer.request(FindValue.of({ target: value.key, count: 4 }), LookupResponse),
    );
    expect(found.value).toEqual(value.bytes);
    const none = await during(peer.request(FindValue.of({ target, count: 4 }), LookupResponse));
    expect(none.value).toBeUndefined();
  });

  it("far from us is sent elsewhere, once we know enough who are nearer", async () => {
    const started = [await overlays.start("m0", { s: 1 })];
    const bootstrap = [started[0]?.address ?? ""];
    for (let i = 1; i < 6; i++) started.push(await overlays.start(`m${i}`, { s: 1, bootstrap }));
    await during(Promise.all(started.map(({ overlay }) => overlay.joined())));
    await overlays.runtime.advance(20_000);
    const [publisher] = started;
    const put = await during((publisher as OverlayNode).overlay.put(toUtf8("x")));
    expect(put.nodes).toBeLessThanOrEqual(2);
    const asker = await stranger(overlays, "asker", () => says([]));
    const outcomes: number[] = [];
    for (const { address } of started) {
      const peer = await during(asker.network.add(address, { passing: true }));
      const request = StoreRequest.of({ value: contentValue(toUtf8("y")).bytes, lifeMs: 60_000 });
      outcomes.push(await during(peer.request(request, StoreResponse)));
    }
    expect(outcomes.filter((outcome) => outcome === STORED.elsewhere).length).toBeGreaterThan(0);
    expect(outcomes.filter((outcome) => outcome === STORED.stored).length).toBeGreaterThan(0);
  });
});
