import { deferred, type Network } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { Marks, SAVE_AFTER_MS } from "../../src/gossip/marks.ts";
import type { Mark } from "../../src/gossip/seen.ts";
import type { Storage } from "../../src/storage.ts";

const KEY = "k".repeat(32);

/** A storage in memory, and whose saves fail while `broken`. */
class Drawer implements Storage {
  kept: Uint8Array | undefined;
  saves = 0;
  broken = false;

  async load(): Promise<Uint8Array | undefined> {
    return this.kept;
  }

  async save(bytes: Uint8Array): Promise<void> {
    this.saves++;
    if (this.broken) throw new Error("no room");
    this.kept = bytes;
  }
}

class Desk {
  readonly runtime = new VirtualRuntime(1);
  readonly warned: string[] = [];
  readonly network = {
    runtime: this.runtime,
    limits: { hookTimeoutMs: 30_000 },
    logger: { warn: (_: object, text: string) => void this.warned.push(text) },
  } as unknown as Network;

  load(storage: Storage, maxOrigins = 64): Promise<Marks> {
    return Marks.load(this.network, storage, { maxOrigins });
  }

  mark(seq: number): Mark {
    return { originKey: KEY, epoch: 1, seq, time: this.runtime.wallClock() };
  }

  take(marks: Marks, seq: number): void {
    marks.seen.take(this.mark(seq), this.runtime.wallClock());
  }

  judge(marks: Marks, seq: number): string {
    return marks.seen.judge(this.mark(seq), this.runtime.wallClock());
  }
}

describe("marks", () => {
  it("are saved once for all that was taken within seconds, and never for nothing", async () => {
    const [desk, drawer] = [new Desk(), new Drawer()];
    const marks = await desk.load(drawer);
    await desk.runtime.advance(60_000);
    expect(drawer.saves).toBe(0);
    for (let seq = 1; seq <= 4; seq++) {
      desk.take(marks, seq);
      await desk.runtime.advance(SAVE_AFTER_MS / 4 - 1);
    }
    expect(drawer.saves).toBe(0);
    await desk.runtime.advance(4);
    expect(drawer.saves).toBe(1);
    desk.take(marks, 5);
    await desk.runtime.advance(60_000);
    expect(drawer.saves).toBe(2);
    await marks.close();
    expect([drawer.saves, desk.runtime.pending]).toEqual([2, 0]);
    const next = await desk.load(drawer);
    expect([desk.judge(next, 5), desk.judge(next, 6)]).toEqual(["seen", "new"]);
    expect(desk.warned).toEqual([]);
  });

  it("are saved at the end, and nothing is begun behind it", async () => {
    const [desk, drawer] = [new Desk(), new Drawer()];
    const marks = await desk.load(drawer);
    desk.take(marks, 1);
    await marks.close();
    expect(drawer.saves).toBe(1);
    desk.take(marks, 2);
    expect(desk.runtime.pending).toBe(0);
    expect(desk.judge(await desk.load(drawer), 1)).toBe("seen");
  });

  it("are saved one after the other, however slow the storage is", async () => {
    const desk = new Desk();
    const going: (() => void)[] = [];
    let most = 0;
    const slow: Storage = {
      load: async () => undefined,
      save: async () => {
        const done = deferred<void>();
        most = Math.max(most, going.push(done.resolve));
        await done.promise;
        going.pop();
      },
    };
    const marks = await desk.load(slow);
    desk.take(marks, 1);
    await desk.runtime.advance(SAVE_AFTER_MS);
    desk.take(marks, 2);
    await desk.runtime.advance(10 * SAVE_AFTER_MS);
    expect([going.length, desk.runtime.pending]).toEqual([1, 0]);
    const closing = marks.close();
    await settled();
    expect(going.length).toBe(1);
    going[0]?.();
    await settled();
    going[0]?.();
    await closing;
    expect([going.length, most]).toEqual([0, 1]);
  });

  it("that were not saved are tried again after growing pauses, and that is said", async () => {
    const [desk, drawer] = [new Desk(), new Drawer()];
    drawer.broken = true;
    const marks = await desk.load(drawer);
    desk.take(marks, 1);
    await desk.runtime.advance(SAVE_AFTER_MS * (1 + 2 + 4));
    expect(drawer.saves).toBe(3);
    await desk.runtime.advance(3_600_000);
    expect(drawer.saves).toBeLessThan(25);
    expect(desk.warned).toEqual(desk.warned.map(() => "gossip's marks were not saved"));
    expect(desk.warned).toHaveLength(drawer.saves);
    drawer.broken = false;
    await desk.runtime.advance(300_000);
    expect(drawer.kept).toBeDefined();
    const { saves } = drawer;
    desk.take(marks, 2);
    await desk.runtime.advance(SAVE_AFTER_MS);
    expect(drawer.saves).toBe(saves + 1);
    drawer.broken = true;
    desk.take(marks, 3);
    await marks.close();
    expect(desk.warned).toHaveLength(drawer.saves - 2);
  });

  it.each<[string, (whole: Uint8Array) => Uint8Array | Promise<never>]>([
    ["empty", () => new Uint8Array(0)],
    ["cut off", (whole) => whole.subarray(0, whole.length - 1)],
    ["of something else", (whole) => whole.map((byte, at) => (at === 3 ? 0 : byte))],
    ["damaged in one bit", (whole) => whole.map((byte, at) => (at === 21 ? byte ^ 1 : byte))],
    ["not to be had", () => Promise.reject(new Error("no such disk"))],
  ])(
    "that are %s are begun anew, and left alone until there is something new",
    async (_, change) => {
      const [desk, drawer] = [new Desk(), new Drawer()];
      const first = await desk.load(drawer);
      desk.take(first, 1);
      await first.close();
      const whole = drawer.kept as Uint8Array;
      const load = async (): Promise<Uint8Array> => change(whole);
      const again = await desk.load({ load, save: (bytes) => drawer.save(bytes) });
      expect(desk.judge(again, 1)).toBe("new");
      expect(desk.warned).toEqual(["gossip's kept marks cannot be read; it starts anew"]);
      await again.close();
      expect([drawer.saves, drawer.kept]).toEqual([1, whole]);
      desk.take(again, 1);
    },
  );

  it("that do not come are waited for no longer than half of the time there is", async () => {
    const desk = new Desk();
    const never = deferred<never>();
    const load = desk.load({ load: () => never.promise, save: async () => {} });
    await desk.runtime.advance(14_999);
    expect(desk.warned).toEqual([]);
    await desk.runtime.advance(1);
    expect(desk.judge(await load, 1)).toBe("new");
    expect([desk.warned.length, desk.runtime.pending]).toEqual([1, 0]);
  });
});
