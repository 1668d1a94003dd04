/** Reconciliation with one peer, on virtual time. */

import { describe, expect, it } from "vitest";
import { settled } from "../../../../test/support/virtual-runtime.ts";
import { fill, peerOf, said, sided, useWorld, world } from "./sync-world.ts";

useWorld();

describe("a reconciliation", () => {
  it("leaves both sides with all that either has", async () => {
    const [mine, theirs] = [sided(), sided()];
    const ids = [...said(0, mine.window, 40), ...said(1, theirs.window, 700)];
    const { peer } = peerOf(theirs);
    mine.sync.with(peer);
    await settled();
    for (const { window } of [mine, theirs]) {
      expect(ids.filter((id) => !window.has(id))).toEqual([]);
      expect(window.size).toBe(740);
    }
    expect(mine.asked).toEqual([[peer, true]]);
  });

  it("is one question where both have the same", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(0, mine.window, 100);
    fill(theirs.window, mine.sync.answer(mine.window.ids.slice(0, 100)));
    const { peer, log } = peerOf(theirs);
    mine.sync.with(peer);
    await settled();
    expect(log).toEqual(["ranges"]);
  });

  it("goes in parts of a bounded size", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(0, mine.window, 20, 50_000);
    said(1, theirs.window, 20, 50_000);
    const sizes: number[] = [];
    const { peer, brought } = peerOf(theirs, {
      items: (wanted) => {
        const parts = theirs.sync.answer(wanted);
        sizes.push(parts.reduce((sum, { item }) => sum + item.length, 0));
        return parts;
      },
    });
    mine.sync.with(peer);
    await settled();
    expect([mine.window.size, theirs.window.size]).toEqual([40, 40]);
    expect(sizes).toHaveLength(10);
    expect(brought).toHaveLength(10);
    for (const size of [...sizes, ...brought]) expect(size).toBeLessThan(131_072);
  });

  it("moves only so many bytes each way; the rest waits for the next", async () => {
    const [mine, theirs] = [sided({ maxBytes: 250_000 }), sided()];
    said(0, mine.window, 20, 50_000);
    said(1, theirs.window, 20, 50_000);
    const { peer, brought } = peerOf(theirs);
    mine.sync.with(peer);
    await settled();
    // Parts of two each, until a quarter of a million is reached.
    expect([mine.window.size, theirs.window.size]).toEqual([26, 26]);
    expect(brought).toHaveLength(3);
    mine.sync.with(peer);
    await settled();
    expect(mine.window.size).toBe(32);
  });

  it("answers with one item that is larger than a part, and not with none", () => {
    const { window, sync } = sided();
    const ids = said(0, window, 2, 200_000);
    expect(sync.answer(["?".repeat(16), ...ids])).toHaveLength(1);
  });

  it("ends with one who brings what nobody asked for, again and again", async () => {
    const [mine, theirs] = [sided({ maxBytes: 20_000 }), sided()];
    said(1, theirs.window, 30);
    const spare = sided();
    const junk = said(0, spare.window, 1);
    const { peer, log } = peerOf(theirs, { items: () => spare.sync.answer(junk) });
    mine.sync.with(peer);
    await world.runtime.advance(30_000);
    expect(mine.asked).toHaveLength(1);
    expect(log.filter((what) => what === "want").length).toBeLessThanOrEqual(30);
  });

  it("asks no faster than what comes is taken, and brings no faster than it may be", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(1, theirs.window, 1_000);
    said(0, mine.window, 4_000);
    let room = 300;
    const slow = sided(
      {
        take: (_, brought) => {
          fill(mine.window, brought.slice(0, room));
          room = 0;
        },
      },
      mine.window,
    );
    const { peer, log } = peerOf(theirs);
    slow.sync.with(peer);
    await world.runtime.advance(500);
    for (let second = 0; second < 3; second++) {
      room = 300;
      await world.runtime.advance(1_000);
    }
    expect(mine.window.size).toBe(5_000);
    expect(log.filter((what) => what === "want").length).toBeLessThanOrEqual(6);
    expect(theirs.window.size).toBeLessThan(5_000);
    await world.runtime.advance(2_000);
    expect(theirs.window.size).toBe(5_000);
  });

  it("ends with one who has nothing of what it said it has", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(1, theirs.window, 600);
    const { peer, log } = peerOf(theirs, { items: () => [] });
    mine.sync.with(peer);
    await settled();
    expect(log.filter((what) => what === "want")).toHaveLength(2);
    expect(mine.asked).toEqual([[peer, true]]);
  });

  it("closes one whose answer does not fit, and goes on with the next", async () => {
    const [mine, theirs] = [sided(), sided()];
    said(0, mine.window, 3);
    const end = { time: Number.POSITIVE_INFINITY, id: "" };
    const liar = peerOf(theirs, { ranges: () => [{ to: end, content: "list" }] });
    const honest = peerOf(theirs);
    mine.sync.with(liar.peer);
    mine.sync.with(honest.peer);
    await settled();
    expect(liar.closed).toMatchObject([{ code: "BODY_MALFORMED" }]);
    expect(theirs.window.size).toBe(3);
  });
});
