import { type NetworkError, networkError } from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TestNode } from "../../../../test/support/nodes.ts";
import type { NodeContact } from "../../src/kademlia/contacts.ts";
import { LookupRequest, LookupResponse } from "../../src/kademlia/messages.ts";
import { nodeIdOf } from "../../src/kademlia/node-id.ts";
import { Rpc } from "../../src/kademlia/rpc.ts";
import { Overlays, says, stranger } from "./overlay.ts";

let overlays: Overlays;
let asker: TestNode;
let mute: boolean;
let other: Awaited<ReturnType<typeof stranger>>;
let to: NodeContact;
beforeEach(async () => {
  overlays = new Overlays();
  asker = await overlays.nodes.start("asker");
  mute = false;
  other = await stranger(overlays, "other", () => (mute ? undefined : says([])));
  const { id } = other.network;
  to = { id: id.text, nodeId: nodeIdOf(id.bytes), record: other.record(), address: other.address };
});
afterEach(() => overlays.close());

const during = <T>(work: Promise<T>): Promise<T> => overlays.runtime.during(work);
const message = LookupRequest.of({ target: new Uint8Array(32), count: 1 });
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "answered",
    (error: NetworkError) => error.code,
  );
const rpc = (maxConcurrent = 2, maxWaiting = 3): Rpc =>
  new Rpc(asker.network, { timeoutMs: 1_000, maxConcurrent, maxWaiting });

describe("questions", () => {
  it("dial in passing, and use the stream that is there", async () => {
    const asking = rpc();
    const question = { to, message, reply: LookupResponse };
    expect((await during(asking.ask(question))).records).toEqual([]);
    expect(asker.network.peers.get(to.id)?.passing).toBe(true);
    await during(asking.ask(question));
    expect(other.asked).toHaveLength(2);
  });

  it("have one deadline with their dial, and wait in a line of bounded length", async () => {
    mute = true;
    const asking = rpc();
    const began = overlays.runtime.now();
    const times: number[] = [];
    const outcomes = Array.from({ length: 6 }, () =>
      codeOf(asking.ask({ to, message, reply: LookupResponse })).then((code) => {
        times.push(Math.round((overlays.runtime.now() - began) / 1_000));
        return code;
      }),
    );
    const late = "REQUEST_TIMEOUT";
    expect(await during(Promise.all(outcomes))).toEqual([
      late,
      late,
      late,
      late,
      late,
      "SEND_BUFFER_FULL",
    ]);
    expect(times).toEqual([0, 1, 1, 2, 2, 3]);
    mute = false;
    expect(await during(codeOf(asking.ask({ to, message, reply: LookupResponse })))).toBe(
      "answered",
    );
  });

  it("end when they are told to, also while they wait, and all of them at a close", async () => {
    mute = true;
    const asking = rpc(1);
    const ends: AbortController[] = [];
    const ask = (): Promise<string> =>
      codeOf(asking.ask({ to, message, reply: LookupResponse }, (end) => void ends.push(end)));
    const first = ask();
    const waiting = [ask(), ask()];
    await overlays.runtime.advance(100);
    expect(ends).toHaveLength(1);
    ends[0]?.abort(networkError("STREAM_CLOSED", "enough"));
    expect(await during(first)).toBe("STREAM_CLOSED");
    asking.close(networkError("NETWORK_CLOSED", "over"));
    expect(await during(Promise.all(waiting))).toEqual(["NETWORK_CLOSED", "NETWORK_CLOSED"]);
    expect(await during(ask())).toBe("NETWORK_CLOSED");
  });

  it("fail with what the dial failed with", async () => {
    const gone = { ...to, address: to.address.replace("other", "nobody") };
    expect(await during(codeOf(rpc().ask({ to: gone, message, reply: LookupResponse })))).toBe(
      "DIAL_REFUSED",
    );
  });
});
