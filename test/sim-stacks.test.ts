/** The simulator's transport below real transforms, and below networks that an application makes. */

import { defineMessage, text } from "@testudo/core";
import { World } from "@testudo/sim";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { createNetwork } from "testudo";
import { expect, it, onTestFinished } from "vitest";

const Say = defineMessage({ name: "say", opcode: 1000, codec: text });

function newWorld(): World {
  const world = new World({ seed: 1, link: { latencyMs: 50 } });
  onTestFinished(() => world.close());
  return world;
}

it("carries noise", async () => {
  const world = newWorld();
  const heard: string[] = [];
  const sealed = noise();
  const ear = {
    newMessage: ({ message }: { message: { as(type: typeof Say): string | undefined } }) =>
      void heard.push(message.as(Say) ?? ""),
  };
  const stacks: Parameters<World["add"]>[0] = { stacks: (sim) => [[sim, sealed]] };
  const alice = world.add({ ...stacks, name: "alice", plugins: [ear] });
  const bob = world.add(stacks);
  expect(alice.address).toBe(`sim:alice~noise:${alice.identity.id.text}`);
  const peer = await world.during(bob.network.add(alice.address));
  expect(peer.authenticated).toBe(true);
  // Each message of the handshake takes its time.
  expect(world.now).toBeGreaterThanOrEqual(200);
  await world.during(peer.send(Say.of("sealed")));
  await world.until(() => heard.length > 0, 1_000);
  expect(heard).toEqual(["sealed"]);
});

it("lets one node speak several stacks", async () => {
  const world = newWorld();
  const open = world.add({
    name: "open",
    options: { allowPublicNoauth: true },
    stacks: (sim, vouch) => [
      [sim, vouch],
      [sim, noauth()],
    ],
  });
  const plain = world.add({
    stacks: (sim) => [[sim, noauth()]],
    options: { allowPublicNoauth: true },
  });
  expect(open.address).toMatch(/^sim:open~vouch:\S+;sim:open:1~noauth$/);
  const peer = await world.during(plain.network.add(open.address));
  expect(peer.authenticated).toBe(false);
  expect((await world.during(world.add().network.add(open.address))).authenticated).toBe(true);
});

it("runs the networks of an application, with its plugins", async () => {
  const world = newWorld();
  const make = { network: createNetwork };
  const [alice, bob] = [world.add(make), world.add(make)];
  await world.during(bob.network.add(alice.address));
  await world.run(60_000);
  const [peer] = bob.network.peers.values();
  // The latency plugin has measured the simulated link.
  expect(peer?.roundTripMs).toBeCloseTo(100, 0);
  bob.vanish();
  // And the keepalive plugin has noticed that nobody answers.
  expect(await world.until(() => alice.network.peers.size === 0, 120_000)).toBe(true);
});
