import { describe, expect, it } from "vitest";
import { parseAddress } from "../src/address.ts";
import { Dials } from "../src/dials.ts";
import type { LivePeer } from "../src/peer.ts";
import { type Deferred, deferred } from "../src/queue.ts";

const HERE = parseAddress("memory:here");
const THERE = parseAddress("memory:there");

interface Started {
  readonly address: string;
  readonly signal: AbortSignal;
  readonly outcome: Deferred<LivePeer>;
}

function dials(): { dials: Dials; started: Started[] } {
  const started: Started[] = [];
  const made = new Dials((target, { signal }) => {
    const outcome = deferred<LivePeer>();
    signal.addEventListener("abort", () => outcome.reject(signal.reason), { once: true });
    started.push({ address: target.text, signal, outcome });
    return outcome.promise;
  });
  return { dials: made, started };
}

const peer = {} as LivePeer;

describe("dials", () => {
  it("of one address under way are one, and of two are two", async () => {
    const { dials: made, started } = dials();
    const both = [
      made.join(HERE),
      made.join(HERE, { signal: new AbortController().signal }),
      made.join(THERE),
    ];
    expect(started.map(({ address }) => address)).toEqual(["memory:here", "memory:there"]);
    for (const { outcome } of started) outcome.resolve(peer);
    expect(await Promise.all(both)).toEqual([peer, peer, peer]);
  });

  it("begin anew when the last is over, however it ended", async () => {
    const { dials: made, started } = dials();
    const first = made.join(HERE);
    started[0]?.outcome.reject(new Error("refused"));
    await expect(first).rejects.toThrow("refused");
    const second = made.join(HERE);
    started[1]?.outcome.resolve(peer);
    await second;
    void made.join(HERE);
    expect(started).toHaveLength(3);
  });

  it("go on while somebody waits, and end with the last caller's reason", async () => {
    const { dials: made, started } = dials();
    const [one, two] = [new AbortController(), new AbortController()];
    const waits = [
      made.join(HERE, { signal: one.signal }),
      made.join(HERE, { signal: two.signal }),
    ] as const;
    one.abort(new Error("one"));
    await expect(waits[0]).rejects.toThrow("one");
    expect(started[0]?.signal.aborted).toBe(false);
    two.abort(new Error("two"));
    await expect(waits[1]).rejects.toThrow("two");
    expect(started[0]?.signal.reason).toMatchObject({ message: "two" });
  });

  it("never end for a caller without a signal", async () => {
    const { dials: made, started } = dials();
    const patient = made.join(HERE);
    const leaving = new AbortController();
    const left = made.join(HERE, { signal: leaving.signal });
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    expect(started[0]?.signal.aborted).toBe(false);
    started[0]?.outcome.resolve(peer);
    expect(await patient).toBe(peer);
  });

  it("that were called off are not joined any more, though they are not over", async () => {
    const { dials: made, started } = dials();
    const leaving = new AbortController();
    const left = made.join(HERE, { signal: leaving.signal });
    leaving.abort(new Error("left"));
    const anew = made.join(HERE);
    expect(started).toHaveLength(2);
    await expect(left).rejects.toThrow("left");
    // The end of the first does not make the second forgotten.
    void made.join(HERE);
    expect(started).toHaveLength(2);
    started[1]?.outcome.resolve(peer);
    expect(await anew).toBe(peer);
  });

  it("are called off by a signal that has fired already", async () => {
    const { dials: made, started } = dials();
    await expect(
      made.join(HERE, { signal: AbortSignal.abort(new Error("early")) }),
    ).rejects.toThrow("early");
    expect(started[0]?.signal.aborted).toBe(true);
  });

  it("are cancelled by address, or all", async () => {
    const { dials: made } = dials();
    const [here, there] = [made.join(HERE), made.join(THERE)];
    made.cancel("memory:nowhere", () => new Error("none"));
    made.cancel("memory:here", () => new Error("deleted"));
    await expect(here).rejects.toThrow("deleted");
    made.cancelAll(new Error("closing"));
    await expect(there).rejects.toThrow("closing");
  });

  it("leave no listener on a caller's signal", async () => {
    const { dials: made, started } = dials();
    const controller = new AbortController();
    const waiting = made.join(HERE, { signal: controller.signal });
    started[0]?.outcome.resolve(peer);
    await waiting;
    controller.abort(new Error("too late"));
    expect(started[0]?.signal.aborted).toBe(false);
  });
});
