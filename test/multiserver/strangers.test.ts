/**
 * Strangers at the doors of a server over every transport, where the original dies or hangs (multiserver 3.8):
 * keys of low order, text where bytes belong, handshakes that trickle, plaintext, silence, resets. Each costs
 * its own connection, the server goes on, and nothing is uncaught.
 */

import { concat, toUtf8 } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { Bastion } from "./bastion.ts";
import { challengeOf, claim, EPHEMERAL, LONG_TERM } from "./low-order.ts";
import { pause, type Stranger, WAYS, WebStranger, WS } from "./ways.ts";

describe.each(WAYS.map((way) => [way.name, way] as const))("strangers by %s", (_name, way) => {
  expectNoLeaks();

  it("with ephemeral keys of low order, and a valid MAC, are refused without an answer", async () => {
    await using bastion = await Bastion.start({ ways: [way] });
    for (const point of EPHEMERAL) {
      expect(provider.keyAgreement().agree(point)).toBeUndefined();
      const stranger = await bastion.stranger(way);
      stranger.say(challengeOf(point));
      await stranger.closed;
      expect(stranger.heard.length).toBe(0);
    }
    expect([bastion.errors.length, bastion.codes]).toEqual([
      EPHEMERAL.length,
      ["HANDSHAKE_FAILED"],
    ]);
    expect(bastion.streams).toEqual([]);
    await bastion.mustServe();
  });

  it("with long-term keys of low order, or of no order at all, are nobody", async () => {
    await using bastion = await Bastion.start({ ways: [way] });
    for (const key of LONG_TERM) {
      const stranger = await bastion.stranger(way);
      await claim(stranger, bastion.identity.publicKey, key);
      await stranger.closed;
      // The second message, and no fourth.
      expect(stranger.heard.length).toBe(64);
    }
    expect([bastion.errors.length, bastion.codes]).toEqual([
      LONG_TERM.length,
      ["HANDSHAKE_FAILED"],
    ]);
    expect(bastion.streams).toEqual([]);
    await bastion.mustServe();
  });

  it("without the transform are refused as soon as they have said enough", async () => {
    await using bastion = await Bastion.start({ ways: [way] });
    const lines = [
      toUtf8(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: somebody who is lost, and chatty\r\n\r\n",
      ),
      new Uint8Array(100_000).fill(0xff),
      new Uint8Array(64),
    ];
    for (const line of lines) {
      const stranger = await bastion.stranger(way);
      stranger.say(line);
      await stranger.closed;
      expect(stranger.heard.length).toBe(0);
    }
    expect([bastion.errors.length, bastion.codes]).toEqual([lines.length, ["HANDSHAKE_FAILED"]]);
    for (const error of bastion.errors) expect(error.address).toMatch(new RegExp(`^${way.name}:`));
    await bastion.mustServe();
  });

  it("that come and go at once leave nothing", async () => {
    await using bastion = await Bastion.start({ ways: [way] });
    const challenge = challengeOf(provider.keyAgreement().publicKey);
    for (let i = 0; i < 10; i++) {
      const crowd = await Promise.all(Array.from({ length: 20 }, () => bastion.stranger(way)));
      for (const [index, stranger] of crowd.entries()) {
        if (index % 2 === 0) stranger.say(challenge.subarray(0, index * 4));
        stranger.cut();
      }
    }
    await bastion.mustServe();
    await bastion.mustBeEmpty();
    expect(bastion.streams.length).toBe(1);
  });
});

describe("strangers by every way at once", () => {
  expectNoLeaks();

  it("that trickle, or say nothing, are cut at the deadline of the whole, and others are served", async () => {
    await using bastion = await Bastion.start();
    const challenge = challengeOf(provider.keyAgreement().publicKey);
    const silent = await Promise.all(WAYS.map((way) => bastion.stranger(way)));
    const tricklers = await Promise.all(WAYS.map((way) => bastion.stranger(way)));
    const all = [...silent, ...tricklers];
    let said = 0;
    let served = 0;
    while (all.some(({ over }) => !over)) {
      // Never the last byte: what is whole is answered.
      if (said < challenge.length - 1) {
        for (const each of tricklers) each.say(challenge.subarray(said, said + 1));
        said++;
      }
      if (said % 10 === 0) {
        await bastion.mustServe();
        served++;
      }
      await pause(20);
    }
    expect(served).toBeGreaterThan(1);
    expect(bastion.errors.map(({ code }) => code)).toEqual(all.map(() => "HANDSHAKE_TIMEOUT"));
    expect(all.map(({ heard }) => heard.length)).toEqual(all.map(() => 0));
    await bastion.mustServe();
    await bastion.mustBeEmpty();
  });

  it("that stop half-way, behind an honest message, are cut at the same deadline", async () => {
    await using bastion = await Bastion.start({ limits: { handshakeTimeoutMs: 400 } });
    const all = await Promise.all(WAYS.map((way) => bastion.stranger(way)));
    for (const each of all) each.say(challengeOf(provider.keyAgreement().publicKey));
    await Promise.all(all.map(({ closed }) => closed));
    expect(all.map(({ heard }) => heard.length)).toEqual([64, 64, 64]);
    expect(bastion.codes).toEqual(["HANDSHAKE_TIMEOUT"]);
    await bastion.mustServe();
  });

  it("are held in bounded number, while honest nodes get in", async () => {
    const maxHandshakes = 24;
    await using bastion = await Bastion.start({
      limits: { maxHandshakes, handshakeTimeoutMs: 60_000 },
    });
    const crowd: Stranger[] = [];
    for (let i = 0; i < 10; i++) {
      for (const way of WAYS) {
        const wave = Array.from({ length: 10 }, () => bastion.stranger(way));
        crowd.push(...(await Promise.all(wave)));
      }
      expect(bastion.node.admission.halfOpen).toBeLessThanOrEqual(maxHandshakes);
      await bastion.mustServe();
    }
    await expect
      .poll(() => crowd.filter(({ over }) => !over).length, { timeout: 5_000 })
      .toBeLessThanOrEqual(maxHandshakes);
    expect(bastion.codes).toEqual(["TOO_MANY_PEERS"]);
    for (const each of crowd) each.cut();
    await bastion.mustBeEmpty();
    await bastion.mustServe();
  });
});

describe("strangers by ws", () => {
  expectNoLeaks();

  it("that send text, first or behind an honest message, are told so and cut", async () => {
    await using bastion = await Bastion.start();
    const honest = challengeOf(provider.keyAgreement().publicKey);
    for (const before of [[], [honest], [concat(honest).subarray(0, 10)]]) {
      const stranger = await bastion.stranger(WS);
      if (!(stranger instanceof WebStranger)) throw new Error("no WebSocket");
      for (const bytes of before) stranger.say(bytes);
      const code = new Promise((resolve) => stranger.socket.once("close", resolve));
      stranger.say("some text");
      expect(await code).toBe(1003);
    }
    expect(bastion.errors).toHaveLength(3);
    expect(bastion.codes).toEqual(["FRAME_MALFORMED"]);
    expect(bastion.errors[0]?.message).toContain("text frame");
    await bastion.mustServe();
    await bastion.mustBeEmpty();
  });
});

describe("an authenticate that never answers", () => {
  expectNoLeaks();

  it("costs those it was asked about their deadline, and nobody else", async () => {
    const asked: string[] = [];
    await using bastion = await Bastion.start({
      limits: { handshakeTimeoutMs: 500 },
      authenticate: (id) => {
        asked.push(id.text);
        return endless.has(id.text) ? new Promise<never>(() => {}) : true;
      },
    });
    const endless = new Set<string>();
    const unlucky = WAYS.map((way) => {
      const visitor = bastion.visitor();
      endless.add(visitor.identity.id.text);
      return visitor.client(bastion.address(way)).catch((error: unknown) => error);
    });
    await expect.poll(() => asked.length).toBe(WAYS.length);
    await bastion.mustServe();
    for (const error of await Promise.all(unlucky)) expect(error).toBeInstanceOf(Error);
    await expect.poll(() => bastion.errors.length).toBe(WAYS.length);
    expect(bastion.codes).toEqual(["HANDSHAKE_TIMEOUT"]);
    await bastion.mustServe();
    await bastion.mustBeEmpty();
  });

  it("holds up neither the place of a dialler that left, nor a close", async () => {
    const left: Promise<unknown>[] = [];
    {
      await using bastion = await Bastion.start({
        limits: { handshakeTimeoutMs: 60_000 },
        authenticate: () => new Promise<never>(() => {}),
      });
      const controller = new AbortController();
      const { signal } = controller;
      for (const way of WAYS) {
        left.push(bastion.visitor().client(bastion.address(way), { signal }).catch(String));
      }
      await expect.poll(() => bastion.node.admission.halfOpen).toBe(WAYS.length);
      controller.abort(new Error("changed my mind"));
      await bastion.mustBeEmpty();
      for (const way of WAYS) {
        left.push(bastion.visitor().client(bastion.address(way)).catch(String));
      }
      await expect.poll(() => bastion.node.admission.halfOpen).toBe(WAYS.length);
    }
    expect(await Promise.all(left)).toHaveLength(2 * WAYS.length);
  });
});
