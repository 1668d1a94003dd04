/** Looking for one node among strangers that are silent, slow, or lie; and the pause before it is looked for again. */

import { getEventListeners } from "node:events";
import { Identity, type Message, type NetworkError, networkError } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled } from "../../../../test/support/virtual-runtime.ts";
import type { NodeContact } from "../../src/kademlia/contacts.ts";
import { find } from "../../src/kademlia/find.ts";
import { Overlay } from "../../src/kademlia/overlay.ts";
import { type ContactRecord, signRecord } from "../../src/record/record.ts";
import { type OverlayNode, Overlays, says, stranger } from "./overlay.ts";

const QUERY_MS = 1_000;
const CLOSED: NetworkError = networkError("NETWORK_CLOSED", "it leaves");

type Stranger = Awaited<ReturnType<typeof stranger>>;

let overlays: Overlays;
let overlay: Overlay;
beforeEach(async () => {
  overlays = new Overlays();
  const { network } = await overlays.nodes.start("asker");
  overlay = new Overlay(network, {
    k: 16,
    s: 16,
    d: 3,
    alpha: 1,
    puzzle: { staticBits: 0, dynamicBits: 0 },
    solution: undefined,
    addresses: undefined,
    seq: 0,
    queryTimeoutMs: QUERY_MS,
    patienceMs: 300,
    lookupTimeoutMs: 20_000,
    maxRecords: 4_096,
  });
});
afterEach(async () => {
  overlay.close(CLOSED);
  await overlays.close();
});

const during = <T>(work: Promise<T>): Promise<T> => overlays.runtime.during(work);
const contactOf = (record: ContactRecord): NodeContact =>
  overlay.contact(record.bytes, "device") as NodeContact;

/** A stranger that we know, and who answers what `answer` says: `undefined` for nothing. */
async function known(name: string, answer: () => Message | undefined): Promise<Stranger> {
  const made = await stranger(overlays, name, answer);
  overlay.seen(contactOf(made.record()), true);
  return made;
}

/** What this identity said when it was at `place`; the higher `seq`, the newer. */
function recordAt(place: string, identity: Identity, seq: number): ContactRecord {
  return signRecord(identity, {
    networkId: overlay.network.networkId,
    seq,
    addresses: [`memory:${place}~vouch:${identity.id.text}`],
    expiresAt: overlays.runtime.wallClock() + 3_600_000,
  });
}

describe("a node that is found", () => {
  it("is asked itself before it is handed out", async () => {
    let answerNow = (): void => {};
    const wanted = await stranger(overlays, "wanted", (_, context) => {
      answerNow = () => void context.reply(says([]));
      return undefined;
    });
    const helper = await known("helper", () => says([wanted.record().bytes]));
    let found: NodeContact | undefined;
    const finding = find(overlay, wanted.network.id).then((contact) => {
      found = contact;
    });
    await overlays.runtime.advance(QUERY_MS / 2);
    expect([helper.asked.length, wanted.asked.length > 0, found]).toEqual([1, true, undefined]);
    answerNow();
    await during(finding);
    expect(found?.id).toBe(wanted.network.id.text);
    expect(found?.address).toContain("memory:wanted");
    // What it answered counts for the table, too.
    expect(overlay.table.get(wanted.network.id.text)).toBeDefined();
  });

  it("ends the search, whomever else there would be to ask", async () => {
    const wanted = await stranger(overlays, "wanted", () => says([]));
    await known("helper", () => says([wanted.record().bytes]));
    for (let i = 0; i < 3; i++) await known(`silent${i}`, () => undefined);
    const began = overlays.runtime.now();
    expect((await during(find(overlay, wanted.network.id)))?.id).toBe(wanted.network.id.text);
    expect(overlays.runtime.now() - began).toBeLessThan(QUERY_MS);
  });

  it("is handed out without its answer when there is none, by the newest record that was heard of", async () => {
    const gone = Identity.generate();
    const [old, newer] = [recordAt("first", gone, 1), recordAt("second", gone, 2)];
    await known("a", () => says([newer.bytes]));
    await known("b", () => says([old.bytes]));
    const found = await during(find(overlay, gone.id));
    expect(found?.record.seq).toBe(2);
  });

  it("is where it is now, and not where somebody who plays an old record back says", async () => {
    const liars: Stranger[] = [];
    let old: ContactRecord | undefined;
    for (let i = 0; i < 3; i++) {
      liars.push(
        await known(`liar${i}`, () => (old === undefined ? undefined : says([old.bytes], true))),
      );
    }
    const moved = await stranger(overlays, "moved", () => says([]));
    old = recordAt("long-gone", moved.network.identity, 1);
    const current = moved.record();
    // Who tells the truth is the last to be heard.
    const honest = await stranger(overlays, "honest", (_, context) => {
      overlays.runtime.setTimer(() => void context.reply(says([current.bytes])), 250);
      return undefined;
    });
    overlay.seen(contactOf(honest.record()), true);
    const found = await during(find(overlay, moved.network.id));
    expect(found?.record.seq).toBe(current.seq);
    expect(found?.address).toContain("memory:moved");
    expect(liars.some(({ asked }) => asked.length > 0)).toBe(true);
  });
});

describe("a node that nobody named", () => {
  it("is looked for again, after a pause, when not all answered", async () => {
    const wanted = await stranger(overlays, "wanted", () => says([]));
    const times: number[] = [];
    let isSilent = true;
    const all: Stranger[] = [];
    for (let i = 0; i < 3; i++) {
      all.push(
        await known(`helper${i}`, () => {
          times.push(overlays.runtime.now());
          return isSilent ? undefined : says([wanted.record().bytes]);
        }),
      );
    }
    const finding = find(overlay, wanted.network.id);
    // Dials, and each path's turn; all have failed by then, and we wait.
    await overlays.runtime.advance(QUERY_MS + 100);
    expect(all.map(({ asked }) => asked.length)).toEqual([1, 1, 1]);
    isSilent = false;
    expect((await during(finding))?.id).toBe(wanted.network.id.text);
    expect(times.length).toBeGreaterThan(3);
    const [first, again] = [times[0] as number, times[3] as number];
    expect(again - first).toBeGreaterThan(1.9 * QUERY_MS);
    expect(again - first).toBeLessThan(2.1 * QUERY_MS);
  });

  it("is looked for again by those who answered", async () => {
    const silent = await known("silent", () => undefined);
    const good = await known("good", () => says([]));
    const nobody = Identity.generate();
    const began = overlays.runtime.now();
    expect(await during(find(overlay, nobody.id))).toBeUndefined();
    // Who did not answer is not asked again while there are others.
    expect([silent.asked.length, good.asked.length]).toEqual([1, 2]);
    expect(overlays.runtime.now() - began).toBeLessThan(3.5 * QUERY_MS);
  });

  it("is looked for twice, and not three times, also when nobody answers at all", async () => {
    const silent = [await known("a", () => undefined), await known("b", () => undefined)];
    expect(await during(find(overlay, Identity.generate().id))).toBeUndefined();
    expect(silent.map(({ asked }) => asked.length)).toEqual([2, 2]);
  });

  it("is looked for once when all answered", async () => {
    const all = [await known("a", () => says([])), await known("b", () => says([]))];
    const began = overlays.runtime.now();
    expect(await during(find(overlay, Identity.generate().id))).toBeUndefined();
    expect(all.map(({ asked }) => asked.length)).toEqual([1, 1]);
    expect(overlays.runtime.now() - began).toBeLessThan(QUERY_MS);
  });

  it("is taken from the table when it is there, though it does not answer", async () => {
    const quiet = await known("quiet", () => undefined);
    const began = overlays.runtime.now();
    expect((await during(find(overlay, quiet.network.id)))?.id).toBe(quiet.network.id.text);
    expect(quiet.asked).toHaveLength(1);
    expect(overlays.runtime.now() - began).toBeLessThan(1.5 * QUERY_MS);
  });
});

it("whoever was away for a moment, and heard nothing from anybody, finds others when he is back", async () => {
  const all = await overlays.joined(5);
  const [asker, wanted, other] = all.slice(2) as [OverlayNode, OverlayNode, OverlayNode];
  let isAway = true;
  for (const connection of asker.line.connections) connection.lost = true;
  asker.line.onConnection = (connection) => {
    connection.lost = isAway;
  };
  for (const { network } of [wanted, other]) {
    await expect(during(asker.network.add(network.id))).rejects.toThrow();
  }
  expect(asker.overlay.closest(wanted.network.id)).toEqual([]);
  isAway = false;
  const peer = await during(asker.network.add(wanted.network.id));
  expect(peer.id.text).toBe(wanted.network.id.text);
  expect((await during(asker.overlay.lookup(other.network.id))).length).toBe(4);
});

describe("a search", () => {
  /** In the pause between two searches. */
  async function paused(signal?: AbortSignal): Promise<{ readonly finding: Promise<unknown> }> {
    const silent = await known("silent", () => undefined);
    const finding = find(overlay, Identity.generate().id, signal);
    finding.catch(() => {});
    await overlays.runtime.advance(1.5 * QUERY_MS);
    expect(silent.asked).toHaveLength(1);
    return { finding };
  }

  it("ends with its caller's signal, also in the pause, and leaves nothing behind", async () => {
    const caller = new AbortController();
    const { finding } = await paused(caller.signal);
    const pending = overlays.runtime.pending;
    const reason = new Error("no longer wanted");
    caller.abort(reason);
    await expect(finding).rejects.toBe(reason);
    expect(overlays.runtime.pending).toBe(pending - 1);
    expect(getEventListeners(caller.signal, "abort")).toEqual([]);
  });

  it("ends when the overlay closes, also in the pause, and leaves nothing behind", async () => {
    const caller = new AbortController();
    const { finding } = await paused(caller.signal);
    const pending = overlays.runtime.pending;
    overlay.close(CLOSED);
    await expect(finding).rejects.toBe(CLOSED);
    expect(overlays.runtime.pending).toBe(pending - 1);
    expect(getEventListeners(caller.signal, "abort")).toEqual([]);
  });

  it("ends with its caller's signal while others are asked, and does not begin with one that has fired", async () => {
    const silent = await known("silent", () => undefined);
    const caller = new AbortController();
    const finding = find(overlay, Identity.generate().id, caller.signal);
    await overlays.runtime.advance(100);
    const reason = new Error("no longer wanted");
    caller.abort(reason);
    await expect(finding).rejects.toBe(reason);
    expect(getEventListeners(caller.signal, "abort")).toEqual([]);
    await expect(find(overlay, Identity.generate().id, caller.signal)).rejects.toBe(reason);
    expect(silent.asked).toHaveLength(1);
  });
});

describe("a pause", () => {
  it("is as long as it is said to be", async () => {
    let isOver = false;
    const caller = new AbortController();
    const pausing = overlay.pause(500, caller.signal).then(() => {
      isOver = true;
    });
    await overlays.runtime.advance(499);
    expect(isOver).toBe(false);
    await overlays.runtime.advance(1);
    expect(isOver).toBe(true);
    await pausing;
    expect(overlays.runtime.pending).toBe(0);
    expect(getEventListeners(caller.signal, "abort")).toEqual([]);
  });

  it("ends with the signal, at once with one that has fired, and when the overlay closes", async () => {
    const caller = new AbortController();
    const reason = new Error("enough");
    const [told, untold] = [overlay.pause(500, caller.signal), overlay.pause(500)];
    for (const each of [told, untold]) each.catch(() => {});
    expect(overlays.runtime.pending).toBe(2);
    caller.abort(reason);
    await expect(told).rejects.toBe(reason);
    await expect(overlay.pause(500, caller.signal)).rejects.toBe(reason);
    expect(overlays.runtime.pending).toBe(1);
    overlay.close(CLOSED);
    await expect(untold).rejects.toBe(CLOSED);
    await expect(overlay.pause(500)).rejects.toBe(CLOSED);
    await settled();
    expect(overlays.runtime.pending).toBe(0);
  });
});
