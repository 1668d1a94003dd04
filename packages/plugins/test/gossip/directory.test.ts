import { Identity, type Network, NetworkError } from "@testudo/core";
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
    directory.read(record.bytes, "public");
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
    for (const each of [old, current, old]) directory.read(each.bytes, "public");
    expect(directory.recordOf(alice.id.text)).toEqual(current.bytes);
    // The same number said twice: the first stays.
    directory.read(recordOf(alice, ["192.0.2.3"], { seq: 2 }).bytes, "public");
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
    directory.read(record.bytes, "public");
    expect(known()).toEqual([far]);
    directory.read(record.bytes, "private");
    expect(known()).toEqual([near, far]);
    directory.read(record.bytes, "device");
    expect(known()).toEqual([here, near, far]);
    // Who is near has vouched for them: they stay when somebody far away brings the same.
    directory.read(record.bytes, "public");
    expect(known()).toEqual([here, near, far]);
    // Of a new record nobody near has said anything.
    directory.read(recordOf(alice, ["127.0.0.1", "192.0.2.1"], { seq: 2 }).bytes, "public");
    expect(known()).toEqual([far]);
  });

  it("gives no address where none makes sense, and the record all the same", () => {
    const alice = Identity.generate();
    const record = recordOf(alice, ["127.0.0.1"]);
    directory.read(record.bytes, "public");
    expect(directory.addressOf(alice.id.text)).toBeUndefined();
    expect(directory.recordOf(alice.id.text)).toEqual(record.bytes);
  });

  it("forgets what is past its date by more than clocks may differ", async () => {
    const alice = Identity.generate();
    directory.read(recordOf(alice).bytes, "public");
    await runtime.advance(HOUR_MS + CLOCK_SKEW_MS - 1);
    expect(directory.addressOf(alice.id.text)).toBeDefined();
    await runtime.advance(1);
    expect(directory.addressOf(alice.id.text)).toBeUndefined();
    expect(directory.size).toBe(0);
  });

  it("says of itself what is true now, whatever others bring", () => {
    directory.read(recordOf(own, ["192.0.2.66"], { seq: 2 ** 50 }).bytes, "device");
    expect(directory.size).toBe(0);
    expect(directory.recordOf(own.id.text)).toEqual(directory.own);
    expect(directory.addressOf(own.id.text)).toBeUndefined();
  });

  it("throws for what is no record, also when it begins like one that is known", () => {
    const alice = Identity.generate();
    const { bytes } = recordOf(alice);
    directory.read(bytes, "public");
    const forged = new Uint8Array(bytes);
    forged[60] = (forged[60] as number) ^ 1;
    for (const broken of [new Uint8Array(0), bytes.subarray(0, 40), forged]) {
      let thrown: unknown;
      try {
        directory.read(broken, "public");
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(NetworkError);
      expect(thrown).toMatchObject({ code: "BODY_MALFORMED" });
    }
    expect(directory.recordOf(alice.id.text)).toEqual(bytes);
  });

  it("holds 1,024 records, and gives up what was longest not brought", () => {
    const identities = Array.from({ length: 1_026 }, () => Identity.generate());
    const records = identities.map((identity) => recordOf(identity));
    for (const { bytes } of records.slice(0, 1_024)) directory.read(bytes, "public");
    expect(directory.size).toBe(1_024);
    // The second is brought again, and is not among the oldest any more.
    for (const at of [1, 1_024, 1_025]) {
      directory.read((records[at] as ContactRecord).bytes, "public");
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
});
