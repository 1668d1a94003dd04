/**
 * Too much of everything, over real sockets: empty messages by the ten thousand, promises of large frames, a
 * reader that never reads, a plugin that never ends, channels and requests without end. What one peer may
 * make us hold or do at once is bounded, and the others do not notice.
 */

import { concat, Network, type Transform, toUtf8 } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import {
  encodeName,
  encodeOpen,
  encodeReset,
  RESETS,
} from "../../packages/core/src/channel-frame.ts";
import { OPCODES } from "../../packages/core/src/opcode.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { CONFIRM, frame } from "./adversary.ts";
import { turn } from "./fuzz.ts";
import { pause } from "./stranger.ts";
import { Ask, Victim } from "./victim.ts";

const MIB = 1024 * 1024;
/** A connection's read-ahead and one chunk of the kernel's, in frames without a body. */
const MOST_IN_ONE_TURN = (256 * 1024 + 2 * 65_536) / 17;

describe.each([
  ["noauth", noauth],
  ["noise", noise],
  ["shs", shs],
] as [string, () => Transform][])("over net~%s", (_, make) => {
  expectNoLeaks();

  it("a quarter of a million empty messages: all arrive, in turns, and others are answered meanwhile", async () => {
    const victim = await Victim.start(make);
    let seen = 0;
    let inOneTurn = 0;
    let most = 0;
    await victim.network.registerPlugin({
      newMessage({ message }) {
        if (message.opcode !== 1_000) return;
        seen++;
        inOneTurn++;
      },
    });
    const adversary = await victim.adversary();
    adversary.say(CONFIRM);
    const bomb = concat(...Array.from({ length: 3_855 }, () => frame(1_000, new Uint8Array(0))));
    const served: Promise<void>[] = [];
    let sent = 0;
    while (seen < 250_000) {
      if (sent < 250_000 && adversary.say(bomb)) sent += 3_855;
      await turn();
      most = Math.max(most, inOneTurn);
      inOneTurn = 0;
      if (served.length < 5 && seen > served.length * 50_000) served.push(victim.mustServe());
    }
    await Promise.all(served);
    expect(served.length).toBe(5);
    expect(most).toBeLessThanOrEqual(MOST_IN_ONE_TURN);
    await adversary.leave();
    await victim.close();
  }, 20_000);

  it("large frames that are promised and not sent cost what was sent", async () => {
    const victim = await Victim.start(make, { maxMessageBytes: 4 * MIB });
    const promise = frame(1_000, new Uint8Array(4 * MIB)).subarray(0, 1_000);
    const before = process.memoryUsage().arrayBuffers;
    const adversaries = await Promise.all(Array.from({ length: 30 }, () => victim.adversary()));
    for (const adversary of adversaries) adversary.say(CONFIRM, promise);
    await victim.until(() => victim.added.length === 31);
    for (let i = 0; i < 10; i++) await turn();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(30 * MIB);
    await victim.mustServe();
    const goodbyes = adversaries.map((adversary) => adversary.leave());
    await victim.until(() => victim.deleted.length >= 30);
    await Promise.all(goodbyes);
    expect(victim.deleted.filter(({ code }) => code === "TRUNCATED").length).toBe(30);
    await victim.close();
  });

  it("a reader that never reads costs a bounded queue, is cut, and holds nobody up", async () => {
    const maxSendBufferBytes = 512 * 1024;
    const victim = await Victim.start(make, { maxSendBufferBytes, stallTimeoutMs: 300 });
    let received = 0;
    await victim.honest.registerPlugin({
      newMessage({ message }) {
        if (message.opcode === 1_000) received++;
      },
    });
    const before = victim.added.length;
    const reader = await victim.adversary();
    reader.say(CONFIRM);
    await victim.until(() => victim.added.length > before);
    const stalled = victim.added[before];
    if (stalled === undefined) throw new Error("not added");
    // Over noauth nobody who called is, by default.
    for (const peer of victim.network.peers.values()) peer.writable = true;
    // From here on nothing of it is read any more.
    reader.stall();
    const body = new Uint8Array(64 * 1024);
    let sent = 0;
    const _refused = 0;
    for (let round = 0; round < 400 && victim.deleted.length === 0; round++) {
      victim.network.broadcast({ opcode: 1_000, body });
      sent++;
      const state = victim.network.networkState().peers.find(({ id }) => id === stalled.id.text);
      expect(state?.queuedBytes ?? 0).toBeLessThanOrEqual(maxSendBufferBytes + body.length + 17);
      await pause(2);
    }
    expect(await victim.departureOf(before)).toBe("STREAM_IDLE");
    expect(sent).toBeGreaterThan(20);
    while (received < sent) await pause(2);
    expect(received).toBe(sent);
    await victim.mustServe();
    reader.cut();
    await victim.close();
  }, 20_000);

  it("a plugin that never ends: its peer waits, unread, and the others do not", async () => {
    const maxInFlight = 4;
    const victim = await Victim.start(make, { maxInFlight });
    let pending = 0;
    await victim.network.registerPlugin({
      name: "endless",
      newMessage({ message }) {
        if (message.opcode !== 1_000) return;
        pending++;
        return new Promise<void>(() => {});
      },
    });
    const before = victim.added.length;
    const adversary = await victim.adversary();
    adversary.say(CONFIRM);
    await victim.until(() => victim.added.length > before);
    const flood = concat(...Array.from({ length: 64 }, () => frame(1_000, new Uint8Array(1_000))));
    let taken = 0;
    for (let still = 0; still < 20; still++) {
      await turn();
      // The kernel takes some megabytes, and then no more.
      if (taken < 64 * MIB && adversary.say(flood)) {
        taken += flood.length;
        still = 0;
      }
    }
    expect(taken).toBeLessThan(64 * MIB);
    expect(pending).toBe(maxInFlight);
    const peer = victim.network
      .networkState()
      .peers.find(({ id }) => id === victim.added[before]?.id.text);
    expect(peer?.bytesIn).toBeLessThan(MIB);
    await victim.mustServe();
    adversary.cut();
    await victim.close();
  });

  it("channels opened and dropped without end: as many handlers as channels may be, and no more", async () => {
    const maxChannels = 16;
    const victim = await Victim.start(make, { maxChannels });
    let running = 0;
    victim.network.handleChannel("endless", () => {
      running++;
      return new Promise<void>(() => {});
    });
    const before = victim.added.length;
    const adversary = await victim.adversary();
    const name = encodeName("endless");
    adversary.say(CONFIRM);
    for (let id = 0; id < 2_000; id += 2) {
      adversary.say(
        frame(OPCODES.bytes, encodeOpen(id, 1_000, name)),
        frame(OPCODES.bytes, encodeReset(id, RESETS.aborted, "")),
      );
      if (id % 100 === 0) await turn();
    }
    await victim.until(() => victim.added.length > before);
    await victim.mustServe();
    expect(running).toBe(maxChannels);
    expect(victim.network.peers.size).toBeGreaterThanOrEqual(2);
    adversary.cut();
    await victim.close();
  });

  it("replies that nobody asked for, and asks without end, are messages like any other", async () => {
    const victim = await Victim.start(make);
    const adversary = await victim.adversary();
    adversary.say(CONFIRM);
    const heard = victim.heard.length;
    for (let i = 0; i < 500; i++) adversary.say(frame(Ask.opcode, toUtf8(`ask ${i}`), i, i % 2));
    await victim.until(() => victim.heard.length === heard + 500);
    await victim.mustServe();
    await adversary.leave();
    await victim.close();
  });
});

it("a dialer is no better off: a listener that promises, floods and stalls is one peer of many", async () => {
  const victim = await Victim.start(noise);
  const evil = new Network({ stacks: [[net(), noise()]] });
  const address = await evil.listen("net:127.0.0.1:0~noise");
  const there = await victim.network.add(address);
  while (evil.peers.size === 0) await turn();
  for (const peer of evil.peers.values()) {
    for (let i = 0; i < 20_000; i++)
      void peer.send({ opcode: 1_000, body: new Uint8Array(0) }).catch(() => {});
  }
  await victim.mustServe();
  expect(there.connected).toBe(true);
  await evil.close();
  await victim.mustServe();
  await victim.close();
});
