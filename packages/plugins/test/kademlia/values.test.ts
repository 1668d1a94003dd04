import { Identity, toHex, toUtf8 } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LookupResponse } from "../../src/kademlia/messages.ts";
import type { Overlay } from "../../src/kademlia/overlay.ts";
import { Store } from "../../src/kademlia/store.ts";
import { contentValue, signedValue } from "../../src/kademlia/value.ts";
import { Values } from "../../src/kademlia/values.ts";
import { type OverlayNode, Overlays } from "./overlay.ts";

let overlays: Overlays;
beforeEach(() => {
  overlays = new Overlays();
});
afterEach(() => overlays.close());

const during = <T>(work: Promise<T>): Promise<T> => overlays.runtime.during(work);
const content = toUtf8("a value");
const HOUR_MS = 3_600_000;

describe("a value", () => {
  it("comes to who joins later, by who keeps it, when its publisher is gone", async () => {
    const all = await overlays.joined(3, { checkMs: HOUR_MS, refreshMs: HOUR_MS });
    const [first, second, publisher] = all as [OverlayNode, OverlayNode, OverlayNode];
    const { key, nodes } = await during(publisher.overlay.put(content));
    expect(nodes).toBe(2);
    await during(publisher.network.close());
    const late = await overlays.start("late", { bootstrap: [first.address] });
    await during(late.overlay.joined());
    await overlays.runtime.advance(HOUR_MS + 60_000);
    await during(Promise.all([first.network.close(), second.network.close()]));
    expect((await during(late.overlay.get(key)))?.content).toEqual(content);
  });

  it("is gone a day after its publisher, however often its keepers pass it on", async () => {
    const all = await overlays.joined(4, { checkMs: HOUR_MS, refreshMs: HOUR_MS });
    const [first, , , publisher] = all as [OverlayNode, OverlayNode, OverlayNode, OverlayNode];
    const { key } = await during(publisher.overlay.put(content));
    expect(publisher.overlay.withdraw(key)).toBe(true);
    await overlays.runtime.advance(23 * HOUR_MS);
    expect((await during(first.overlay.get(key)))?.content).toEqual(content);
    await overlays.runtime.advance(HOUR_MS + 60_000);
    expect(await during(first.overlay.get(key))).toBeUndefined();
  });

  it("is put again soon when nobody took it, and no more once it is withdrawn", async () => {
    const alone = await overlays.start("alone");
    const { key, nodes } = await during(alone.overlay.put(content));
    expect(nodes).toBe(0);
    const other = await overlays.start("other", { bootstrap: [alone.address] });
    await during(other.overlay.joined());
    await overlays.runtime.advance(90_000);
    expect((await during(other.overlay.get(key)))?.content).toEqual(content);
    expect(alone.overlay.withdraw(key)).toBe(true);
    expect(alone.overlay.withdraw(key)).toBe(false);
  });

  it("is not put again when its signal ended it, or when a newer one is", async () => {
    const identity = Identity.fromSecret(new Uint8Array(32).fill(1));
    const signed = (seq: number) =>
      signedValue(identity, {
        networkId: new Uint8Array(32),
        salt: new Uint8Array(0),
        content: Uint8Array.of(seq),
        seq,
        expiresAt: 10 * HOUR_MS,
      });
    const puts: string[] = [];
    const overlay = {
      now: 0,
      network: { runtime: { wallClock: () => 1 } },
      lookup: async (key: Uint8Array, { signal }: { signal?: AbortSignal }) => {
        signal?.throwIfAborted();
        puts.push(toHex(key));
        return [];
      },
      isOurs: () => false,
    };
    const store = new Store({ self: new Uint8Array(32) });
    const values = new Values(overlay as unknown as Overlay, store);
    const ended = AbortSignal.abort(new Error("no more"));
    const value = contentValue(content);
    await expect(values.publish(value, ended)).rejects.toThrow("no more");
    expect(values.withdraw(value.key)).toBe(false);
    await values.publish(signed(2));
    await expect(values.publish(signed(3), ended)).rejects.toThrow("no more");
    expect(await values.publish(signed(1))).toMatchObject({ nodes: 0 });
    expect(puts).toHaveLength(1);
    overlay.now += HOUR_MS;
    await values.republish(HOUR_MS);
    expect(puts).toHaveLength(2);
    expect(values.withdraw(signed(2).key)).toBe(true);
  });

  it("of another's is passed on, also while an own one finds nobody", async () => {
    const now = 1_700_000_000_000;
    const store = new Store({ self: new Uint8Array(32) });
    const overlay = {
      now: 0,
      network: { runtime: { wallClock: () => now } },
      options: { s: 16 },
      table: { closest: () => [] },
      lookup: async () => [],
      isOurs: () => false,
    };
    const values = new Values(overlay as unknown as Overlay, store);
    await values.publish(contentValue(toUtf8("own")));
    store.put(contentValue(toUtf8("another's")), now - HOUR_MS);
    expect(store.due(now - HOUR_MS)).toHaveLength(1);
    overlay.now += HOUR_MS;
    await values.republish(HOUR_MS);
    expect(store.due(now - HOUR_MS)).toHaveLength(0);
  });

  it("of a liar is not believed", async () => {
    const all = await overlays.joined(2);
    const [first] = all as [OverlayNode];
    const { key } = contentValue(content);
    const liar = await overlays.nodes.start("liar");
    const { kademlia } = await import("../../src/kademlia/index.ts");
    const overlay = kademlia({ bootstrap: [first.address] });
    const wrong = contentValue(toUtf8("another value")).bytes;
    await during(
      liar.network.registerPlugin({
        name: "liar",
        startup: (context) => overlay.startup(context),
        nodeAdded: (context) => overlay.nodeAdded(context),
        nodeDeleted: (context) => overlay.nodeDeleted(context),
        close: () => overlay.close(),
        newMessage(context) {
          if (context.message.opcode !== 161) return overlay.newMessage(context);
          return context.reply(LookupResponse.of({ terminal: true, records: [], value: wrong }));
        },
      }),
    );
    await during(overlay.joined());
    await overlays.runtime.advance(10_000);
    expect(first.overlay.size).toBe(2);
    expect(await during(first.overlay.get(key))).toBeUndefined();
    await during(first.overlay.put(content));
    expect((await during(first.overlay.get(key)))?.content).toEqual(content);
  });

  it("is one of 1,024 that a node publishes at most", async () => {
    const alone = await overlays.start("alone");
    for (let i = 0; i < 1_024; i++) await during(alone.overlay.put(toUtf8(`${i}`)));
    await expect(alone.overlay.put(toUtf8("one more"))).rejects.toMatchObject({
      code: "SEND_BUFFER_FULL",
    });
    expect((await during(alone.overlay.put(toUtf8("7")))).nodes).toBe(0);
  });
});
