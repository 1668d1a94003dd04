import { Identity, type Network, NetworkError, type Peer, type Scope } from "@testudo/core";
import { beforeEach, describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { Directory } from "../../src/gossip/directory.ts";
import { CLOCK_SKEW_MS, type ContactRecord, signRecord } from "../../src/record/record.ts";

const networkId = new Uint8Array(32).fill(1);
const own = Identity.fromSecret(new Uint8Array(32).fill(1));
const HOUR_MS = 3_600_000;

let runtime: VirtualRuntime;
let directory: Directory;
beforeEach(() => {
  runtime = new VirtualRuntime();
  const network = { id: own.id, identity: own, networkId, runtime, addresses: [] };
  directory = new Directory(network as unknown as Network);
});

const read = (bytes: Uint8Array, scope: Scope, source = "4:198.51.100"): void =>
  directory.read(bytes, scope, source);

function recordOf(
  identity: Identity,
  hosts: readonly string[] = ["192.0.2.1"],
  { seq = 1, lifeMs = HOUR_MS } = {},
): ContactRecord {
  return signRecord(identity, {
    networkId,
    seq,
    addresses: hosts.map((host) => addressOf(host, identity)),
    expiresAt: runtime.wallClock() + lifeMs,
  });
}
const addressOf = (host: string, { id }: Identity): string => `net:${host}:9000~noise:${id.text}`;

describe("a directory", () => {
  it("says where a node is, as it signed it", () => {
    const alice = Identity.generate();
    const record = recordOf(alice, ["192.0.2.1", "192.0.2.2"]);
    read(record.bytes, "public");
    expect(directory.addressOf(alice.id.text)).toBe(record.addresses.join(";"));
    expect(directory.recordOf(alice.id.text)).toEqual(record.bytes);
    const nobody = Identity.generate().id.text;
    expect([directory.addressOf(nobody), directory.recordOf(nobody)]).toEqual([
      undefined,
      undefined,
    ]);
  });

  it("goes by the newest record, whoever brings which in what order", () => {
    const alice = Identity.generate();
    const [old, current] = [
      recordOf(alice, ["192.0.2.1"], { seq: 1 }),
      recordOf(alice, ["192.0.2.2"], { seq: 2 }),
    ];
    for (const each of [old, current, old]) read(each.bytes, "public");
    expect(directory.recordOf(alice.id.text)).toEqual(current.bytes);
    // The same number said twice: the first stays.
    read(recordOf(alice, ["192.0.2.3"], { seq: 2 }).bytes, "public");
    expect(directory.addressOf(alice.id.text)).toBe(addressOf("192.0.2.2", alice));
    expect(directory.size).toBe(1);
  });

  it("gives the addresses that make sense where it was brought from", () => {
    const alice = Identity.generate();
    const [here, near, far] = ["127.0.0.1", "10.0.0.1", "192.0.2.1"].map((host) =>
      addressOf(host, alice),
    );
    const record = recordOf(alice, ["127.0.0.1", "10.0.0.1", "192.0.2.1"]);
    const known = (): string[] | undefined => directory.addressOf(alice.id.text)?.split(";");
    read(record.bytes, "public");
    expect(known()).toEqual([far]);
    read(record.bytes, "private");
    expect(known()).toEqual([near, far]);
    read(record.bytes, "device");
    expect(known()).toEqual([here, near, far]);
    // Who is near has vouched for them: they stay when somebody far away brings the same.
    read(record.bytes, "public");
    expect(known()).toEqual([here, near, far]);
    // Of a new record nobody near has said anything.
    read(recordOf(alice, ["127.0.0.1", "192.0.2.1"], { seq: 2 }).bytes, "public");
    expect(known()).toEqual([far]);
  });

  it("gives no address where none makes sense, and the record all the same", () => {
    const alice = Identity.generate();
    const record = recordOf(alice, ["127.0.0.1"]);
    read(record.bytes, "public");
    expect(directory.addressOf(alice.id.text)).toBeUndefined();
    expect(directory.recordOf(alice.id.text)).toEqual(record.bytes);
  });

  it("forgets what is past its date by more than clocks may differ", async () => {
    const alice = Identity.generate();
    read(recordOf(alice).bytes, "public");
    await runtime.advance(HOUR_MS + CLOCK_SKEW_MS - 1);
    expect(directory.addressOf(alice.id.text)).toBeDefined();
    await runtime.advance(1);
    expect(directory.addressOf(alice.id.text)).toBeUndefined();
    expect(directory.size).toBe(0);
  });

  it("says of itself what is true now, whatever others bring", () => {
    read(recordOf(own, ["192.0.2.66"], { seq: 2 ** 50 }).bytes, "device");
    expect(directory.size).toBe(0);
    expect(directory.recordOf(own.id.text)).toEqual(directory.own);
    expect(directory.addressOf(own.id.text)).toBeUndefined();
  });

  it("throws for what is no record, also when it begins like one that is known", () => {
    const alice = Identity.generate();
    const { bytes } = recordOf(alice);
    read(bytes, "public");
    const forged = new Uint8Array(bytes);
    forged[60] = (forged[60] as number) ^ 1;
    for (const broken of [new Uint8Array(0), bytes.subarray(0, 40), forged]) {
      let thrown: unknown;
      try {
        read(broken, "public");
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(NetworkError);
      expect(thrown).toMatchObject({ code: "BODY_MALFORMED" });
    }
    expect(directory.recordOf(alice.id.text)).toEqual(bytes);
  });

  it("holds 1,024 records, and of one source gives up what was longest not brought", () => {
    const identities = Array.from({ length: 1_026 }, () => Identity.generate());
    const records = identities.map((identity) => recordOf(identity));
    for (const { bytes } of records.slice(0, 1_024)) read(bytes, "public");
    expect(directory.size).toBe(1_024);
    // The second is brought again, and is not among the oldest any more.
    for (const at of [1, 1_024, 1_025]) {
      read((records[at] as ContactRecord).bytes, "public");
    }
    expect(directory.size).toBe(1_024);
    const isKnown = (at: number): boolean =>
      directory.recordOf((records[at] as ContactRecord).id.text) !== undefined;
    expect([0, 1, 2, 3, 1_023, 1_024, 1_025].map(isKnown)).toEqual([
      false,
      true,
      false,
      true,
      true,
      true,
      true,
    ]);
  });

  it("keeps what others brought, and whom it reached, whatever one of them brings", () => {
    const [alice, bob] = [Identity.generate(), Identity.generate()];
    const [old, current] = [1, 2].map((seq) => recordOf(alice, ["192.0.2.1"], { seq }).bytes);
    read(current as Uint8Array, "public", "4:192.0.2");
    read(recordOf(bob).bytes, "public");
    const address = "net:198.51.100.9:9000~noise";
    directory.reached({ id: bob.id, address } as Peer);
    for (let i = 0; i < 1_024; i++) read(recordOf(Identity.generate()).bytes, "public");
    read(old as Uint8Array, "public");
    expect(directory.size).toBe(1_024);
    expect(directory.recordOf(alice.id.text)).toEqual(current);
    expect(directory.recordOf(bob.id.text)).toBeDefined();
  });

  it("does not go back to a record older than one that had to go", () => {
    const alice = Identity.generate();
    const [old, current] = [1, 2].map((seq) => recordOf(alice, ["192.0.2.1"], { seq }).bytes);
    read(current as Uint8Array, "public");
    for (let i = 0; i < 1_024; i++) read(recordOf(Identity.generate()).bytes, "public");
    expect(directory.recordOf(alice.id.text)).toBeUndefined();
    read(old as Uint8Array, "public");
    expect(directory.addressOf(alice.id.text)).toBeUndefined();
    read(current as Uint8Array, "public");
    expect(directory.recordOf(alice.id.text)).toEqual(current);
  });

  it("verifies for one peer 128 new records at once, and 32 a second", async () => {
    const forged = (identity: Identity): Uint8Array => {
      const bytes = new Uint8Array(recordOf(identity).bytes);
      bytes[60] = (bytes[60] as number) ^ 1;
      return bytes;
    };
    const peer = { id: Identity.generate().id, address: "net:198.51.100.9:9000~noise" } as Peer;
    const some = (n: number): Uint8Array[] =>
      Array.from({ length: n }, () => recordOf(Identity.generate()).bytes);
    const first = some(33);
    for (const records of [first, some(33), some(33), some(29)])
      expect(directory.learn(peer, records)).toBe(true);
    expect(directory.size).toBe(128);
    // What is known already, and what is said of ourselves, costs nothing.
    expect(directory.learn(peer, [...first, forged(own)])).toBe(true);
    // Not even looked at: a signature that does not verify would throw.
    const more = [...first, forged(Identity.generate())];
    expect(directory.learn(peer, more)).toBe(false);
    await runtime.advance(1_000);
    expect(() => directory.learn(peer, more)).toThrow(NetworkError);
    expect(directory.learn(peer, some(31))).toBe(true);
    expect(directory.learn(peer, some(1))).toBe(false);
    expect(directory.size).toBe(128 + 31);
    const other = { id: Identity.generate().id, address: peer.address } as Peer;
    expect(directory.learn(other, some(1))).toBe(true);
  });
});
