/** Real sockets, on loopback and nowhere else: they join and send on 127.0.0.1 only, at a port that was free. */

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { deferred, fromUtf8, Network } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { mdns } from "../../src/mdns/index.ts";
import type { Multicast, MulticastEvents } from "../../src/mdns/link.ts";
import { openMulticast } from "../../src/mdns/multicast.ts";

const LOOPBACK = "127.0.0.1";
const GROUP = "224.0.0.251";
const NAME = "0123._testudo._udp.local";
const nothing: MulticastEvents = { asked: () => {}, told: () => {}, warned: () => {} };

let port = 0;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const socket = createSocket("udp4");
  socket.bind(0, LOOPBACK);
  await once(socket, "listening");
  port = socket.address().port;
  socket.close();
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(
  events: Partial<MulticastEvents> = {},
  admit: () => boolean = () => true,
): Promise<Multicast> {
  const link = await openMulticast({ ...nothing, ...events }, { interface: LOOPBACK, port, admit });
  closing.push(() => link.close());
  return link;
}

/** A socket that says what it likes, on loopback. */
async function stranger(): Promise<(bytes: Uint8Array) => void> {
  const socket: Socket = createSocket("udp4");
  socket.bind(0, LOOPBACK);
  await once(socket, "listening");
  socket.setMulticastInterface(LOOPBACK);
  closing.push(async () => socket.close());
  return (bytes) => socket.send(bytes, port, GROUP);
}

// Elsewhere loopback may have no multicast; what is above the socket is tested without one.
describe.skipIf(process.platform !== "linux")("multicast DNS on loopback", () => {
  expectNoLeaks();

  it("carries questions and answers", async () => {
    const asked = deferred<string>();
    const told = deferred<unknown>();
    const one = await open({
      told: (name, texts, from) => told.resolve([name, texts.map((text) => fromUtf8(text)), from]),
    });
    const other = await open({ asked: (name) => asked.resolve(name) });
    one.ask(NAME.toUpperCase());
    expect(await asked.promise).toBe(NAME);
    other.tell(NAME, ["net:10.0.0.1:1~noise", "é"]);
    expect(await told.promise).toEqual([NAME, ["net:10.0.0.1:1~noise", "é"], LOOPBACK]);
  });

  it("survives what is no DNS, drops what has too many records, and what is over the budget", async () => {
    const warned = deferred<Error>();
    const names: string[] = [];
    const last = deferred<void>();
    let budget = 4;
    await open(
      {
        warned: (error) => warned.resolve(error),
        asked: (name) => {
          names.push(name);
          if (name === "last.local") last.resolve();
        },
      },
      () => budget-- > 0,
    );
    const say = await stranger();
    const quiet = await open();
    say(new Uint8Array(5).fill(0xff));
    await warned.promise;
    // 65 questions of one name: the first written out, the others pointing to it.
    const question = [1, 97, 0, 0, 16, 0, 1];
    const pointers = Array.from({ length: 64 }, () => [0xc0, 12, 0, 16, 0, 1]).flat();
    say(Uint8Array.from([0, 0, 0, 0, 0, 65, 0, 0, 0, 0, 0, 0, ...question, ...pointers]));
    say(Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...question]));
    quiet.ask("last.local");
    await last.promise;
    quiet.ask("too-many.local");
    const seen = deferred<void>();
    const witness = await open({ asked: (name) => void (name === "end.local" && seen.resolve()) });
    witness.ask("end.local");
    await seen.promise;
    expect(names).toEqual(["a", "last.local"]);
  });

  it("closes, twice if asked to, and sends nothing afterwards", async () => {
    const link = await open();
    await Promise.all([link.close(), link.close()]);
    link.ask(NAME);
    link.tell(NAME, ["x"]);
  });

  it("brings two networks together", async () => {
    const met = deferred<string>();
    const [alice, bob] = ["alice", "bob"].map(() => {
      const network = new Network({ networkId: `mdns ${port}`, stacks: [[net(), noise()]] });
      closing.push(() => network.close());
      return network;
    }) as [Network, Network];
    await alice.registerPlugin({ nodeAdded: ({ peer }) => met.resolve(peer.id.text) });
    for (const network of [alice, bob]) {
      await network.listen("net:127.0.0.1:0~noise");
      await network.registerPlugin(mdns({ interface: LOOPBACK, port }));
    }
    expect(await met.promise).toBe(bob.id.text);
    expect(alice.peers.get(bob.id.text)?.passing).toBe(true);
  });
});
