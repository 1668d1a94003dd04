/**
 * Strangers at the door of a real listener: garbage, dripping, silence, floods and coming and going. None of
 * them becomes a peer, what they may hold is bounded, and honest nodes get in all the while.
 */

import { concat, Identity, Network, type Transform, toUtf8 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { OPCODES } from "../../packages/core/src/opcode.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { type Adversary, CONFIRM, frame } from "./adversary.ts";
import { heapAfterCollection, Random, turn } from "./fuzz.ts";
import { pause, Stranger } from "./stranger.ts";
import { Answer, Ask, Victim } from "./victim.ts";

const FLOOD = 1_000;
const CHURN = 10_000;
const MAX_HANDSHAKES = 64;

/** A first message that a listener of this transform answers. */
function firstMessage(transform: Transform, networkId: Uint8Array): Uint8Array {
  const key = provider.keyAgreement().publicKey;
  if (transform.name === "noise") return concat(Uint8Array.of(32, 0), key);
  return concat(provider.hmac("SHA512", networkId, key).subarray(0, 32), key);
}

/** How many of them the listener has not thrown out, once it has had time to. */
async function stillOpen(strangers: readonly Stranger[], atMost: number): Promise<number> {
  const open = (): number => strangers.filter(({ over }) => !over).length;
  for (let i = 0; i < 200 && open() > atMost; i++) await pause(10);
  return open();
}

describe.each([
  ["noise", noise],
  ["shs", shs],
] as const)("strangers at the door of net~%s", (_, make) => {
  expectNoLeaks();

  it("garbage is cut without an answer and never a peer", async () => {
    const victim = await Victim.start(make);
    const random = new Random(11);
    const first = firstMessage(victim.transform, victim.network.networkId);
    const garbage = [
      new Uint8Array(0),
      Uint8Array.of(0),
      new Uint8Array(1_000),
      new Uint8Array(100_000).fill(0xff),
      toUtf8("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      toUtf8("SSH-2.0-OpenSSH_9.6\r\n"),
      Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...random.bytes(300)),
      random.bytes(65_536),
      CONFIRM,
      first.subarray(0, first.length - 1),
      concat(first, random.bytes(500)),
      concat(first, first, first),
    ];
    for (const bytes of garbage) {
      const stranger = await Stranger.connect(victim.port);
      await stranger.leaveWith(bytes);
      // An honest first message is answered by the second, and whatever follows by nothing.
      expect(stranger.heard.length).toBeLessThanOrEqual(300);
    }
    expect(victim.added.length).toBe(1);
    await victim.mustServe();
    await victim.close();
  });

  it("dripping does not put the deadline off", async () => {
    const victim = await Victim.start(make, { handshakeTimeoutMs: 300 });
    const first = firstMessage(victim.transform, victim.network.networkId);
    const drippers = await Promise.all(
      Array.from({ length: 20 }, () => Stranger.connect(victim.port)),
    );
    const admitted = await victim.adversary();
    for (let at = 0; at < 10_000 && drippers.some(({ over }) => !over); at++) {
      for (const dripper of drippers)
        dripper.say(first.subarray(at % first.length, (at % first.length) + 1));
      // One that has shaken hands drips its confirm, and never the last byte of it.
      if (at + 1 < CONFIRM.length) admitted.say(CONFIRM.subarray(at, at + 1));
      await pause(20);
    }
    expect(drippers.every(({ over }) => over)).toBe(true);
    expect(await admitted.over).toBe("HANDSHAKE_TIMEOUT");
    admitted.cut();
    expect(victim.added.length).toBe(1);
    await victim.mustServe();
    await victim.close();
  });

  it("a flood of half-open connections keeps nobody out and holds a bounded number", async () => {
    const victim = await Victim.start(make, { maxHandshakesPerAddress: MAX_HANDSHAKES });
    const first = firstMessage(victim.transform, victim.network.networkId);
    const strangers: Stranger[] = [];
    let flooding = true;
    const flood = (async () => {
      for (let i = 0; i < FLOOD; i += 50) {
        const wave = await Promise.all(
          Array.from({ length: 50 }, () => Stranger.connect(victim.port)),
        );
        for (const [index, stranger] of wave.entries()) if (index % 2 === 0) stranger.say(first);
        strangers.push(...wave);
      }
      flooding = false;
    })();
    let served = 0;
    while (flooding) {
      await victim.mustServe();
      served++;
    }
    await flood;
    expect(served).toBeGreaterThan(0);
    expect(await stillOpen(strangers, MAX_HANDSHAKES)).toBeLessThanOrEqual(MAX_HANDSHAKES);
    for (let i = 0; i < 10; i++) await victim.mustServe();
    for (const stranger of strangers) stranger.cut();
    await victim.mustServe();
    expect(victim.network.peers.size).toBeLessThanOrEqual(2);
    await victim.close();
  });

  it("those who shake hands and then say nothing are bounded like the others", async () => {
    const victim = await Victim.start(make, { maxHandshakesPerAddress: 8 });
    const silent: Adversary[] = [];
    for (let i = 0; i < 40; i++) silent.push(await victim.adversary());
    let over = 0;
    for (const adversary of silent) void adversary.over.then(() => over++);
    for (let i = 0; i < 200 && over < 32; i++) await pause(10);
    expect(over).toBe(32);
    await victim.mustServe();
    for (const adversary of silent) adversary.cut();
    await victim.close();
  });

  it("a place that was taken is given back, however its taker left", async () => {
    const victim = await Victim.start(make, { maxPeers: 3 });
    const first = firstMessage(victim.transform, victim.network.networkId);
    for (let i = 0; i < 60; i++) {
      const before = victim.added.length;
      const stranger = await Stranger.connect(victim.port);
      if (i % 3 === 0) await stranger.leaveWith(first);
      else if (i % 3 === 1) stranger.cut();
      const adversary = await victim.adversary();
      if (i % 2 === 0) {
        adversary.say(CONFIRM);
        await victim.until(() => victim.added.length > before);
        const departure = victim.departureOf(before);
        if (i % 4 === 0) adversary.cut();
        else await adversary.leave();
        await departure;
      } else if (i % 4 === 1) adversary.cut();
      else await adversary.leave();
      stranger.cut();
    }
    await victim.mustServe();
    await victim.close();
  });

  it("one key that comes again and again, and says there is an older stream, is one peer", async () => {
    const victim = await Victim.start(make, { closeTimeoutMs: 300, handshakeTimeoutMs: 1_000 });
    const identity = Identity.generate();
    const older = frame(OPCODES.confirm, Uint8Array.of(0));
    const crowd: Adversary[] = [];
    for (let i = 0; i < 60; i++) {
      const adversary = await victim.adversary(identity);
      adversary.say(i % 3 === 0 ? CONFIRM : older);
      crowd.push(adversary);
      expect(victim.network.peers.size).toBeLessThanOrEqual(2);
    }
    await victim.mustServe();
    for (const adversary of crowd) adversary.cut();
    await victim.until(() => victim.network.peers.size === 1);
    await victim.mustServe();
    const edges = (ids: readonly string[]): number =>
      ids.filter((id) => id === identity.id.text).length;
    const added = edges(victim.added.map(({ id }) => id.text));
    expect(added).toBeGreaterThan(0);
    expect(edges(victim.deleted.map(({ id }) => id))).toBe(added);
    await victim.close();
  });
});

describe("a listener", () => {
  expectNoLeaks();

  it(`survives ${CHURN} connections that come and go, and grows by nothing`, async () => {
    const victim = await Victim.start(noise);
    const first = firstMessage(victim.transform, victim.network.networkId);
    const crowd = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 20) {
        const wave = await Promise.all(
          Array.from({ length: 20 }, () => Stranger.connect(victim.port)),
        );
        // Few resets: the kernel makes a listener's newcomers wait for the many it has not accepted yet.
        await Promise.all(
          wave.map((stranger, index) => {
            if (index > 0)
              return stranger.leaveWith(index % 4 === 0 ? first : first.subarray(0, index % 4));
            stranger.say(first);
            stranger.cut();
            return stranger.closed;
          }),
        );
      }
      // The last ones are noticed a turn or two later.
      await victim.mustServe();
      await pause(50);
    };
    await crowd(CHURN / 5);
    const before = heapAfterCollection();
    const handles = process.getActiveResourcesInfo().length;
    await crowd((CHURN / 5) * 4);
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(handles + 2);
    // A connection that stays would cost some thousand bytes.
    expect(heapAfterCollection() - before).toBeLessThan(1024 * 1024);
    expect(victim.added.length - victim.deleted.length).toBe(1);
    await victim.close();
  }, 60_000);

  it("grows by nothing for peers that come, talk and go", async () => {
    const victim = await Victim.start(noise);
    const visit = async (): Promise<void> => {
      const visitor = new Network({ stacks: [[net(), noise()]] });
      const peer = await visitor.add(victim.address);
      await peer.request(Ask.of("honest visitor"), Answer);
      await visitor.close();
    };
    const visits = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 10) await Promise.all(Array.from({ length: 10 }, visit));
      victim.added.splice(1);
      victim.deleted.splice(0);
    };
    await visits(300);
    const before = heapAfterCollection();
    await visits(300);
    expect(heapAfterCollection() - before).toBeLessThan(1024 * 1024);
    expect(victim.network.peers.size).toBe(1);
    await victim.close();
  }, 60_000);

  it("grows by nothing for a peer that uses every opcode there is", async () => {
    const victim = await Victim.start(noauth);
    let seen = 0;
    await victim.network.registerPlugin({
      newMessage() {
        seen++;
      },
    });
    const adversary = await victim.adversary();
    adversary.say(CONFIRM);
    const say = async (from: number, count: number): Promise<void> => {
      const wanted = seen + count;
      for (let at = from; at < from + count; at += 500) {
        adversary.say(
          ...Array.from({ length: 500 }, (_, i) => frame(at + i, new Uint8Array(0), at, i % 2)),
        );
        await turn();
      }
      while (seen < wanted) await turn();
    };
    await say(100_000, 50_000);
    const before = heapAfterCollection();
    await say(1_000_000, 150_000);
    expect(heapAfterCollection() - before).toBeLessThan(1024 * 1024);
    await adversary.leave();
    await victim.close();
  });

  // Only there has loopback more than one address.
  it.runIf(process.platform === "linux")(
    "holds a bounded number from 250 addresses, too",
    async () => {
      const victim = await Victim.start(noise, { maxHandshakes: MAX_HANDSHAKES });
      const strangers: Stranger[] = [];
      for (let i = 0; i < FLOOD; i += 50) {
        const from = (index: number): string => `127.0.0.${2 + ((i + index) % 250)}`;
        const wave = Array.from({ length: 50 }, (_, index) =>
          Stranger.connect(victim.port, from(index)),
        );
        strangers.push(...(await Promise.all(wave)));
        if (i % 200 === 0) await victim.mustServe();
      }
      expect(await stillOpen(strangers, MAX_HANDSHAKES)).toBeLessThanOrEqual(MAX_HANDSHAKES);
      await victim.mustServe();
      for (const stranger of strangers) stranger.cut();
      await victim.close();
    },
  );

  it("over noauth, where connecting is all it takes, holds maxPeers and no more, and is free again", async () => {
    const maxPeers = 100;
    const victim = await Victim.start(noauth, { maxPeers });
    const strangers = await Promise.all(
      Array.from({ length: 300 }, () => Stranger.connect(victim.port)),
    );
    expect(await stillOpen(strangers, maxPeers - 1)).toBe(maxPeers - 1);
    expect(victim.network.peers.size).toBe(maxPeers);
    const latecomer = new Network({ stacks: [[net(), noauth()]] });
    await expect(latecomer.add(victim.address)).rejects.toThrow(/^cannot reach|cut|hung up/);
    await latecomer.close();
    for (const stranger of strangers) stranger.cut();
    await victim.until(() => victim.network.peers.size === 1);
    await victim.mustServe();
    await victim.close();
  });

  it("cuts a noauth peer that says garbage, with the code that says so", async () => {
    const victim = await Victim.start(noauth);
    const random = new Random(12);
    for (let i = 0; i < 50; i++) {
      const before = victim.added.length;
      const stranger = await Stranger.connect(victim.port);
      await stranger.leaveWith(random.bytes(20 + random.below(200)));
      expect(await victim.departureOf(before)).toMatch(/^(FRAME_|CHECKSUM_)/);
    }
    await victim.mustServe();
    await victim.close();
  });
});
