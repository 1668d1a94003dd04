import { Network } from "@testudo/core";
import { memory } from "@testudo/transports/memory";
import { noise } from "@testudo/transports/noise";
import { afterEach, describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { OwnRecord } from "../../src/record/own-record.ts";
import { RECORD_LIFE_MS, readRecord } from "../../src/record/record.ts";

const runtime = new VirtualRuntime();
const networks: Network[] = [];

function network(): Network {
  const made = new Network({ runtime, stacks: [[memory({ runtime }), noise()]] });
  networks.push(made);
  return made;
}

afterEach(async () => {
  await runtime.during(Promise.all(networks.splice(0).map((each) => each.close())));
});

describe("a node's own record", () => {
  it("has the network's addresses, lasts a day, and is signed once for all who ask", async () => {
    const node = network();
    const address = await node.listen("memory:own-record~noise");
    const own = new OwnRecord(node);
    const record = own.current();
    expect(record).toMatchObject({ addresses: [address], seq: runtime.wallClock() });
    expect(record.expiresAt).toBe(runtime.wallClock() + RECORD_LIFE_MS);
    expect(own.current()).toBe(record);
    const { networkId } = node;
    expect(readRecord(record.bytes, { networkId, now: runtime.wallClock() })).toEqual(record);
  });

  it("is signed anew, with a higher number, when the addresses change or half its life is over", async () => {
    const node = network();
    const own = new OwnRecord(node);
    const bare = own.current();
    expect(bare.addresses).toEqual([]);
    const address = await node.listen("memory:own-record-2~noise");
    const listening = own.current();
    expect(listening.addresses).toEqual([address]);
    expect(listening.seq).toBe(bare.seq + 1);
    await runtime.advance(RECORD_LIFE_MS / 2 - 1);
    expect(own.current()).toBe(listening);
    await runtime.advance(1);
    const renewed = own.current();
    expect(renewed.seq).toBe(runtime.wallClock());
    expect(renewed.expiresAt).toBe(runtime.wallClock() + RECORD_LIFE_MS);
    await runtime.during(node.unlisten(address));
    expect(own.current()).toMatchObject({ addresses: [], seq: renewed.seq + 1 });
    expect(own.seq).toBe(renewed.seq + 1);
  });

  it("goes on from the number it is told, also when the clock was set back", () => {
    const node = network();
    const ahead = runtime.wallClock() + 10_000;
    const own = new OwnRecord(node, { seq: ahead });
    expect(own.current().seq).toBe(ahead + 1);
    const puzzle = new Uint8Array(8).fill(1);
    const given = new OwnRecord(node, {
      puzzle,
      addresses: () => [`net:a.org:1~noise:${node.id}`],
    });
    expect(given.current()).toMatchObject({
      puzzle,
      addresses: [`net:a.org:1~noise:${node.id.text}`],
    });
  });
});
