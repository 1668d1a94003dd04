import { Identity, Network } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { Contacts, type NodeContact } from "../../src/kademlia/contacts.ts";
import { nodeIdOf } from "../../src/kademlia/node-id.ts";
import { type ContactRecord, signRecord } from "../../src/record/record.ts";

const network = new Network();
const { networkId, runtime } = network;
const identity = Identity.generate();
const key = identity.id.text;
const PUBLIC = `net:198.51.100.7:9000~noise:${key}`;
const HOME = `net:192.168.1.7:9000~noise:${key}`;
const HERE = `net:127.0.0.1:9000~noise:${key}`;

function record(addresses: readonly string[], more = 0, who = identity): ContactRecord {
  const now = Math.floor(runtime.wallClock());
  return signRecord(who, { networkId, seq: now + more, addresses, expiresAt: now + 3_600_000 });
}
const fresh = (bits = 0): Contacts =>
  new Contacts(network, { staticBits: bits, dynamicBits: bits }, 10);

/** Of one subnet, whoever they are. */
const CROWD = { id: "crowd", nodeId: new Uint8Array(32), subnets: ["4:203.0.113"] };
const FRIEND = { id: "friend", nodeId: new Uint8Array(32), subnets: ["4:192.0.2"] };

function stranger(i: number): Uint8Array {
  const who = Identity.generate();
  return record([`net:203.0.113.${i}:9000~noise:${who.id.text}`], 0, who).bytes;
}

describe("a contact", () => {
  it("has the addresses that whoever brought it can know", () => {
    const { bytes } = record([PUBLIC, HOME, HERE]);
    const contacts = fresh();
    expect(contacts.read(bytes, "public")?.address).toBe(PUBLIC);
    expect(contacts.read(bytes, "private")?.address).toBe(`${PUBLIC};${HOME}`);
    expect(contacts.read(bytes, "device")?.address).toBe(`${PUBLIC};${HOME};${HERE}`);
    expect(contacts.read(record([HOME], 1).bytes, "public")).toBeUndefined();
  });

  it("has its place from its key, and its subnets from its addresses", () => {
    const contact = fresh().read(record([PUBLIC, HERE]).bytes, "device");
    expect(contact?.nodeId).toEqual(nodeIdOf(identity.publicKey));
    expect(contact?.subnets).toEqual(["4:198.51.100"]);
  });

  it("is of the newest record that was ever brought, by whomever", () => {
    const contacts = fresh();
    const old = record([PUBLIC]);
    const young = record([PUBLIC.replace("9000", "9001")], 1_000);
    contacts.read(young.bytes, "public");
    expect(contacts.read(old.bytes, "public")?.record.seq).toBe(young.seq);
  });

  it("is the same one for the same record", () => {
    const contacts = fresh();
    const { bytes } = record([PUBLIC]);
    expect(contacts.read(new Uint8Array(bytes), "public")).toBe(contacts.read(bytes, "public"));
  });

  it("is nobody for our own record, nor for one without the work", () => {
    const own = record([PUBLIC.replace(key, network.id.text)], 0, network.identity);
    expect(fresh().read(own.bytes, "public")).toBeUndefined();
    expect(fresh(30).read(record([PUBLIC]).bytes, "public")).toBeUndefined();
  });

  it("is not made of what is no record", () => {
    const { bytes } = record([PUBLIC]);
    const forged = new Uint8Array(bytes);
    forged[70] = (forged[70] as number) ^ 1;
    const malformed = expect.objectContaining({ code: "BODY_MALFORMED" });
    expect(() => fresh().read(forged, "public")).toThrow(malformed);
    expect(() => fresh().read(bytes.subarray(0, 31), "public")).toThrow(malformed);
  });

  it("is none of an old record, whatever a stranger brought since a newer one", () => {
    const [old, young] = [record([PUBLIC]), record([PUBLIC.replace("9000", "9001")], 1_000)];
    const strangers = Array.from({ length: 20 }, (_, i) => stranger(i));
    for (const known of ["unheard of", "by another", "reached"]) {
      const contacts = fresh();
      const contact = contacts.read(young.bytes, "public", known === "by another" ? FRIEND : CROWD);
      if (known === "reached") contacts.reached(contact as NodeContact);
      for (const bytes of strangers) contacts.read(bytes, "public", CROWD);
      const now = contacts.read(old.bytes, "public", CROWD);
      expect(now?.record.seq, known).toBe(known === "unheard of" ? undefined : young.seq);
      expect(contacts.read(young.bytes, "public", CROWD)?.record.seq).toBe(young.seq);
    }
  });

  it("comes from a node, or else from itself", () => {
    const young = record([PUBLIC], 1_000);
    const contacts = fresh();
    contacts.read(young.bytes, "public");
    for (let i = 0; i < 20; i++) contacts.read(stranger(i), "public");
    // Nobody has brought more than one: whoever was not heard of for longest had to go.
    expect(contacts.read(record([PUBLIC]).bytes, "public")).toBeUndefined();
  });
});
