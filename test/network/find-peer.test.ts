/** `network.add` of a peer id: the plugins that may know are asked, and nothing but the very key is dialled. */

import { Identity, type Network, type NetworkError, PeerId, type Plugin } from "@testudo/core";
import { keepalive } from "@testudo/plugins/keepalive";
import { describe, expect, it } from "vitest";
import { Nodes, type TestNode } from "../support/nodes.ts";

const LATENCY_MS = 5;

/** A plugin that knows where some nodes are, and notes who was asked for. */
function phoneBook(
  name: string,
  entries: Readonly<Record<string, string | undefined>>,
  asked: string[] = [],
): Plugin & { asked: string[] } {
  return {
    name,
    asked,
    async findPeer(id) {
      asked.push(`${name} ${id.short}`);
      return entries[id.text];
    },
  };
}

async function three(): Promise<{ nodes: Nodes; alice: TestNode; bob: TestNode; carol: TestNode }> {
  const nodes = new Nodes({ line: { latencyMs: LATENCY_MS } });
  const start = (name: string): Promise<TestNode> => nodes.start(name);
  return {
    nodes,
    alice: await start("alice"),
    bob: await start("bob"),
    carol: await start("carol"),
  };
}

async function failure(nodes: Nodes, work: Promise<unknown>): Promise<NetworkError> {
  return nodes.runtime.during(
    work.then(
      () => {
        throw new Error("it worked");
      },
      (error: NetworkError) => error,
    ),
  );
}

const health = (network: Network): [string, number][] =>
  network.networkState().plugins.map(({ name, faults }) => [name, faults]);

describe("adding a peer by its id", () => {
  for (const form of ["a PeerId", "its text"] as const) {
    it(`given as ${form} asks the plugins, dials, and keeps the id as wanted`, async () => {
      const { nodes, alice, bob } = await three();
      const book = await alice.network.registerPlugin(
        phoneBook("book", { [bob.network.id.text]: bob.address }),
      );
      const name = form === "a PeerId" ? bob.network.id : bob.network.id.text;
      const [peer, same] = await nodes.runtime.during(
        Promise.all([alice.network.add(name), alice.network.add(name)]),
      );
      expect(peer.id.equals(bob.network.id)).toBe(true);
      expect(same).toBe(peer);
      expect(await alice.network.add(name)).toBe(peer);
      expect(book.asked).toEqual([`book ${bob.network.id.short}`]);
      expect([...alice.network.wanted]).toEqual([[bob.network.id.text, bob.network.id.text]]);
      expect(peer.writable).toBe(true);
      await nodes.close();
    });
  }

  it("is the peer that we have, without asking", async () => {
    const { nodes, alice, bob } = await three();
    const [, here] = await nodes.connect(alice, bob);
    here.writable = false;
    expect(await bob.network.add(alice.network.id)).toBe(here);
    expect(here.writable).toBe(true);
    await nodes.close();
  });

  it("goes on to the next plugin when one does not know, throws, or gives what does not work", async () => {
    const { nodes, alice, bob, carol } = await three();
    const asked: string[] = [];
    const { text } = bob.network.id;
    const plugins: Plugin[] = [
      phoneBook("ignorant", {}, asked),
      {
        name: "broken",
        findPeer: () => {
          asked.push("broken");
          throw new Error("no");
        },
      },
      { name: "odd", findPeer: async () => 7 as unknown as string },
      phoneBook("no address", { [text]: "::::" }, asked),
      phoneBook("another's", { [text]: carol.address }, asked),
      phoneBook("keyless", { [text]: "memory:bob~vouch" }, asked),
      phoneBook("stale", { [text]: `memory:nowhere~vouch:${text}` }, asked),
      phoneBook("right", { [text]: `${carol.address};${bob.address}` }, asked),
      phoneBook("not needed", { [text]: bob.address }, asked),
    ];
    for (const plugin of plugins) await alice.network.registerPlugin(plugin);
    const peer = await nodes.runtime.during(alice.network.add(bob.network.id));
    expect(peer.address).toBe(bob.address);
    expect(asked.map((line) => line.replace(` ${bob.network.id.short}`, ""))).toEqual([
      "ignorant",
      "broken",
      "no address",
      "another's",
      "keyless",
      "stale",
      "right",
    ]);
    expect([...alice.network.peers.keys()]).toEqual([text]);
    expect(carol.network.networkState().counters.bytesIn).toBe(0);
    expect(health(alice.network).filter(([, faults]) => faults > 0)).toEqual([
      ["broken", 1],
      ["odd", 1],
    ]);
    await nodes.close();
  });

  it("is refused when no plugin can look, and says so", async () => {
    const { nodes, alice, bob } = await three();
    const error = await failure(nodes, alice.network.add(bob.network.id));
    expect(error).toMatchObject({ name: "AddressError", code: "ADDRESS_UNSUPPORTED" });
    expect(error.message).toContain("findPeer");
    expect(alice.network.wanted.size).toBe(0);
    await nodes.close();
  });

  it("fails with PEER_NOT_FOUND when nobody knows the node", async () => {
    const { nodes, alice, bob } = await three();
    await alice.network.registerPlugin(phoneBook("empty", {}));
    const error = await failure(nodes, alice.network.add(bob.network.id));
    expect(error).toMatchObject({
      name: "DialError",
      code: "PEER_NOT_FOUND",
      peer: bob.network.id.text,
    });
    await nodes.close();
  });

  it("never dials another key, nor a route without one", async () => {
    const { nodes, alice, bob, carol } = await three();
    for (const wrong of [carol.address, "memory:bob~vouch", "memory:bob", "nonsense:1~vouch"]) {
      const book = phoneBook("liar", { [bob.network.id.text]: wrong });
      await alice.network.registerPlugin(book);
      const error = await failure(nodes, alice.network.add(bob.network.id));
      expect(error).toMatchObject({ code: "PEER_UNEXPECTED", peer: bob.network.id.text });
      await alice.network.unregisterPlugin(book);
    }
    expect(bob.network.networkState().counters.bytesIn).toBe(0);
    expect(carol.network.networkState().counters.bytesIn).toBe(0);
    await nodes.close();
  });

  it("is refused for this node itself, and for an id that proves nothing", async () => {
    const { nodes, alice } = await three();
    await alice.network.registerPlugin(phoneBook("empty", {}));
    const self = await failure(nodes, alice.network.add(alice.network.id));
    expect(self.code).toBe("SELF_DIAL");
    const nobody = PeerId.unproved(new Uint8Array(16));
    expect((await failure(nodes, alice.network.add(nobody))).code).toBe("PEER_NOT_FOUND");
    await nodes.close();
  });

  it("gives each plugin its time, and blames who has no end", async () => {
    const { nodes, alice, bob } = await three();
    const ends: boolean[] = [];
    await alice.network.registerPlugin({
      name: "endless",
      findPeer: (_, { signal }) => {
        signal.addEventListener("abort", () => void ends.push(true));
        return new Promise(() => {});
      },
    });
    await alice.network.registerPlugin(phoneBook("book", { [bob.network.id.text]: bob.address }));
    const before = nodes.runtime.now();
    await nodes.runtime.during(alice.network.add(bob.network.id));
    const took = nodes.runtime.now() - before;
    expect(took).toBeGreaterThanOrEqual(alice.network.limits.hookTimeoutMs);
    expect(ends).toEqual([true]);
    expect(health(alice.network)).toEqual([
      ["endless", 1],
      ["book", 0],
    ]);
    await nodes.close();
  });

  it("ends with its callers' signal, with delete, and with the network", async () => {
    const { nodes, alice, bob } = await three();
    let looking = 0;
    await alice.network.registerPlugin({
      name: "endless",
      findPeer: (_, { signal }) => {
        looking++;
        return new Promise((__, reject) => {
          signal.addEventListener("abort", () => {
            looking--;
            reject(signal.reason);
          });
        });
      },
    });
    const leaving = new AbortController();
    const cancelled = alice.network.add(bob.network.id, { signal: leaving.signal });
    cancelled.catch(() => {});
    await nodes.runtime.advance(10);
    expect(looking).toBe(1);
    leaving.abort(new Error("enough"));
    await expect(cancelled).rejects.toThrow("enough");
    const deleted = alice.network.add(bob.network.id);
    deleted.catch(() => {});
    await nodes.runtime.advance(10);
    await nodes.runtime.during(alice.network.delete(bob.network.id));
    await expect(deleted).rejects.toMatchObject({
      code: "STREAM_CLOSED",
      peer: bob.network.id.text,
    });
    const closed = alice.network.add(bob.network.id);
    closed.catch(() => {});
    await nodes.runtime.advance(10);
    await nodes.runtime.during(alice.network.close());
    await expect(closed).rejects.toMatchObject({ code: "NETWORK_CLOSED" });
    expect(looking).toBe(0);
    expect(health(alice.network)).toEqual([["endless", 0]]);
    await nodes.close();
  });

  it("finds it again, at another address, when it left", async () => {
    const nodes = new Nodes({ line: { latencyMs: LATENCY_MS } });
    const identity = Identity.generate((length) => nodes.runtime.randomBytes(length));
    const alice = await nodes.start("alice");
    const entries: Record<string, string> = {};
    await alice.network.registerPlugin(phoneBook("book", entries));
    await alice.network.registerPlugin(keepalive());
    const bob = await nodes.start("bob", { identity });
    entries[bob.network.id.text] = bob.address;
    await nodes.runtime.during(alice.network.add(identity.id));
    await nodes.runtime.during(bob.network.close());
    await nodes.runtime.advance(30_000);
    const moved = await nodes.start("bob-elsewhere", { identity });
    await moved.network.registerPlugin(keepalive());
    entries[bob.network.id.text] = moved.address;
    await nodes.runtime.advance(30_000);
    expect(alice.network.peers.get(identity.id.text)?.address).toBe(moved.address);
    await nodes.close();
  });

  it("moves a peer that we have to the address that is found", async () => {
    const { nodes, alice, bob } = await three();
    const [peer] = await nodes.connect(alice, bob);
    const other = await bob.network.listen("memory:bob-again~vouch");
    await alice.network.registerPlugin(phoneBook("book", { [bob.network.id.text]: other }));
    expect(await nodes.runtime.during(alice.network.add(bob.network.id, { move: true }))).toBe(
      peer,
    );
    expect(peer.address).toBe(other);
    expect([...alice.network.wanted.keys()]).toEqual([bob.network.id.text]);
    await nodes.close();
  });

  it("does not make broadcasts look for ids: those are failures, as ever", async () => {
    const { nodes, alice, bob } = await three();
    const book = phoneBook("book", { [bob.network.id.text]: bob.address });
    await alice.network.registerPlugin(book);
    const message = { opcode: 1_700, body: new Uint8Array(1) };
    const { failed } = await alice.network.broadcast(message, bob.network.id).report();
    expect(failed).toMatchObject([{ error: { code: "STREAM_CLOSED" } }]);
    expect(book.asked).toEqual([]);
    await nodes.close();
  });
});
