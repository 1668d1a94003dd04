import type { Peer } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { Cluster, Line, type Node, STACKS } from "../support/cluster.ts";
import { expectNoLeaks } from "../support/leaks.ts";

describe("writable", () => {
  expectNoLeaks();

  for (const stack of Object.keys(STACKS)) {
    it(`is who proved a key or was dialled, over ${stack}`, async () => {
      await using cluster = new Cluster(stack);
      const [one, other] = (await cluster.start(2)) as [Node, Node];
      await cluster.connect(one, other);
      const [there] = one.network.peers.values() as Iterable<Peer> as [Peer];
      const [here] = other.network.peers.values() as Iterable<Peer> as [Peer];
      const proved = stack !== "net~noauth";
      expect([there.authenticated, there.writable]).toEqual([proved, true]);
      expect([here.authenticated, here.writable]).toEqual([proved, proved]);
      expect(there.id.proved).toBe(proved);
      here.writable = true;
      expect(other.network.broadcast(Line.of("back")).queued).toBe(1);
      await one.saw(() => one.texts.length === 1);
    });
  }

  it("is decided by authorize, at once or later, and add overrules it", async () => {
    await using cluster = new Cluster();
    const asked: Peer[] = [];
    const no = await cluster.one({
      authorize: (peer) => {
        asked.push(peer);
        return false;
      },
    });
    const yes = await cluster.one({ authorize: async () => true });
    const unsure = await cluster.one({ authorize: () => "yes" as unknown as boolean });
    const one = await cluster.one();
    await cluster.connect(one, no, yes, unsure);
    expect(no.peer(one).writable).toBe(false);
    expect(yes.peer(one).writable).toBe(true);
    expect(unsure.peer(one).writable).toBe(false);
    expect(asked).toEqual([no.peer(one)]);
    expect(no.network.broadcast(Line.of("x")).queued).toBe(0);
    await no.peer(one).send(Line.of("sent all the same"));
    await one.saw(() => one.texts.length === 1);
    await no.network.add(one.address);
    expect(no.peer(one).writable).toBe(true);
  });

  for (const kind of ["throws", "rejects"]) {
    it(`a peer is refused when authorize ${kind}, and told so`, async () => {
      await using cluster = new Cluster();
      const strict = await cluster.one({
        authorize: () => {
          if (kind === "throws") throw new Error("secret reasons");
          return Promise.reject(new Error("secret reasons"));
        },
      });
      const one = await cluster.one();
      const refused = one.network.add(strict.address);
      await expect(refused).rejects.toMatchObject({ code: "PEER_REFUSED" });
      await expect(refused).rejects.not.toThrow(/secret/);
      await expect(strict.network.add(one.address)).rejects.toMatchObject({
        code: "PEER_REFUSED",
      });
      expect([...strict.events, ...one.events]).toEqual([]);
    });
  }

  it("a peer that leaves while authorize thinks is never added", async () => {
    await using cluster = new Cluster();
    const asked: ((verdict: boolean) => void)[] = [];
    const slow = await cluster.one({
      authorize: () => new Promise((resolve) => asked.push(resolve)),
    });
    const one = await cluster.one();
    const leaving = new AbortController();
    const adding = one.network.add(slow.address, { signal: leaving.signal });
    await expect.poll(() => asked.length).toBe(1);
    leaving.abort(new Error("enough"));
    await expect(adding).rejects.toThrow("enough");
    const again = one.network.add(slow.address);
    await expect.poll(() => asked.length).toBe(2);
    for (const decide of asked) decide(true);
    await again;
    await slow.saw(() => slow.count("added") === 1);
    expect(slow.network.peers.size).toBe(1);
    expect(slow.count("deleted")).toBe(0);
  });
});
