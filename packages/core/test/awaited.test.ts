import { describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { Awaited } from "../src/awaited.ts";
import { networkError } from "../src/errors.ts";
import { PeerId } from "../src/identity.ts";
import type { LivePeer } from "../src/peer.ts";

const id = PeerId.from(new Uint8Array(32).fill(1));
const other = PeerId.from(new Uint8Array(32).fill(2));
const peer = { id } as LivePeer;
const forever = new AbortController().signal;

describe("what a declined dial waits for", () => {
  it("comes to all who wait for it, and to nobody else", async () => {
    const runtime = new VirtualRuntime();
    const awaited = new Awaited(runtime, 1_000);
    const both = [awaited.wait(id, forever), awaited.wait(id, forever)];
    const another = awaited.wait(other, forever);
    another.catch(() => {});
    awaited.came(peer);
    expect(await Promise.all(both)).toEqual([peer, peer]);
    expect([awaited.has(id.text), awaited.has(other.text)]).toEqual([false, true]);
    awaited.failAll(networkError("NETWORK_CLOSED", "closing"));
    await expect(another).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
    expect([awaited.has(other.text), runtime.pending]).toEqual([false, 0]);
  });

  it("does not come: in time, by what is told, or by the caller's signal", async () => {
    const runtime = new VirtualRuntime();
    const awaited = new Awaited(runtime, 1_000);
    await expect(runtime.during(awaited.wait(id, forever))).rejects.toMatchObject({
      code: "HANDSHAKE_TIMEOUT",
      peer: id.text,
    });
    expect(runtime.now()).toBe(1_000);
    const lost = awaited.wait(id, forever);
    awaited.fail(other.text, networkError("TRUNCATED", "not ours"));
    awaited.fail(id.text, networkError("TRUNCATED", "ours"));
    await expect(lost).rejects.toThrow("ours");
    const stop = new AbortController();
    const stopped = awaited.wait(id, stop.signal);
    stop.abort(new Error("enough"));
    await expect(stopped).rejects.toThrow("enough");
    expect(runtime.pending).toBe(0);
  });
});
