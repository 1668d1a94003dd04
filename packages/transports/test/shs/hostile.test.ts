import { deferred, networkError, Wire } from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { shs } from "../../src/shs/index.ts";
import {
  alice,
  begin,
  bob,
  FIRST,
  FOURTH,
  failure,
  finish,
  NETWORK,
  SECOND,
  THIRD,
} from "./call.ts";
import { PipeEnd } from "./pipe.ts";

describe("the owner's signal", () => {
  test("when it has already fired, nothing is sent", async () => {
    const reason = new Error("changed my mind");
    const signal = AbortSignal.abort(reason);
    const { dialer, listener, dialerEnd } = await finish({ signals: [signal, signal] });
    expect(failure(dialer)).toBe(reason);
    expect(failure(listener)).toBe(reason);
    expect(dialerEnd.sent).toEqual([]);
  });

  test("comes through as it is, at every wait of the dialer", async () => {
    for (const [silentFrom, sends] of [
      [0, 1],
      [SECOND, 2],
    ] as const) {
      const owner = new AbortController();
      const waiting = deferred<void>();
      const { dialer, both, dialerEnd } = begin({
        signals: [owner.signal, new AbortController().signal],
        prepare(a, b) {
          let passed = 0;
          b.relay = (chunk) => {
            passed += chunk.length;
            return passed > silentFrom ? [] : [chunk];
          };
          a.relay = (chunk) => {
            if (a.sent.length === sends) waiting.resolve();
            return [chunk];
          };
        },
      });
      const reason = networkError("HANDSHAKE_TIMEOUT", "too slow");
      await waiting.promise;
      owner.abort(reason);
      dialerEnd.abort(reason);
      await expect(dialer).rejects.toBe(reason);
      await both;
    }
  });

  test("or a connection cut with a code of its own, without one", async () => {
    const { dialer, both, dialerEnd } = begin({
      prepare(_, b) {
        b.relay = () => [];
      },
    });
    const reason = networkError("NETWORK_CLOSED", "going home");
    dialerEnd.abort(reason);
    await expect(dialer).rejects.toBe(reason);
    await both;
  });
});

describe("what a stranger on the way can do", () => {
  test("cut after any byte of the dialer: the listener fails, and says it was cut", async () => {
    for (let count = 0; count < FIRST + THIRD; count++) {
      const { dialer, listener, listenerEnd } = await finish({
        prepare: (a) => a.cutAfter(count),
      });
      expect(failure(listener), `${count}`).toMatchObject({ code: "TRUNCATED" });
      expect(failure(dialer), `${count}`).toMatchObject({ code: "HANDSHAKE_FAILED" });
      expect(listenerEnd.sentBytes.length, `${count}`).toBe(count < FIRST ? 0 : SECOND);
    }
  });

  test("cut after any byte of the listener: the dialer fails, and says what it saw", async () => {
    for (let count = 0; count < SECOND + FOURTH; count++) {
      const { dialer, dialerEnd } = await finish({
        prepare: (_, b) => b.cutAfter(count),
      });
      const whole = count === 0 || count === SECOND;
      expect(failure(dialer), `${count}`).toMatchObject({
        code: whole ? "HANDSHAKE_FAILED" : "TRUNCATED",
      });
      expect(dialerEnd.sentBytes.length, `${count}`).toBe(count < SECOND ? FIRST : FIRST + THIRD);
    }
  });

  test("change a bit of any byte: the receiver fails and answers nothing more", async () => {
    const flip = (end: PipeEnd, at: number): void => {
      let passed = 0;
      end.relay = (chunk) => {
        const copy = chunk.slice();
        const index = at - passed;
        passed += chunk.length;
        if (index >= 0 && index < copy.length)
          copy[index] = (copy[index] as number) ^ (1 << (at % 8));
        return [copy];
      };
    };
    for (let at = 0; at < FIRST + THIRD; at++) {
      const { listener, listenerEnd } = await finish({ prepare: (a) => flip(a, at) });
      expect(failure(listener), `${at}`).toMatchObject({ code: "HANDSHAKE_FAILED" });
      expect(listenerEnd.sentBytes.length, `${at}`).toBe(at < FIRST ? 0 : SECOND);
    }
    for (let at = 0; at < SECOND + FOURTH; at++) {
      const { dialer, dialerEnd } = await finish({ prepare: (_, b) => flip(b, at) });
      expect(failure(dialer), `${at}`).toMatchObject({ code: "HANDSHAKE_FAILED" });
      expect(dialerEnd.sentBytes.length, `${at}`).toBe(at < SECOND ? FIRST : FIRST + THIRD);
    }
  });

  test("replay a whole recorded dialer: refused", async () => {
    const recorded = await finish();
    const [end, attacker] = PipeEnd.pair();
    const replayed = shs().handshake(new Wire(end), {
      side: "listener",
      identity: bob,
      chain: "shs",
      networkId: NETWORK,
      signal: new AbortController().signal,
    });
    attacker.write(...recorded.dialerEnd.sent);
    await expect(replayed).rejects.toMatchObject({ code: "HANDSHAKE_FAILED" });
    expect(end.sentBytes).toHaveLength(SECOND);
  });

  test("send a dialer its own bytes back: refused", async () => {
    const [end, mirror] = PipeEnd.pair();
    end.relay = (chunk) => {
      mirror.write(chunk);
      return [];
    };
    const reflected = shs().handshake(new Wire(end), {
      side: "dialer",
      identity: alice,
      section: shs().section(bob),
      chain: "shs",
      networkId: NETWORK,
      signal: new AbortController().signal,
    });
    await expect(reflected).rejects.toMatchObject({ code: "HANDSHAKE_FAILED" });
    expect(end.sentBytes).toHaveLength(FIRST);
  });

  test("send an ephemeral key of low order under a right MAC: refused, with no answer", async () => {
    for (const point of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31))]) {
      const [end, attacker] = PipeEnd.pair();
      const mac = provider.hmac("SHA512", NETWORK, point).subarray(0, 32);
      attacker.write(mac, point);
      const attacked = shs().handshake(new Wire(end), {
        side: "listener",
        identity: bob,
        chain: "shs",
        networkId: NETWORK,
        signal: new AbortController().signal,
      });
      await expect(attacked).rejects.toMatchObject({ code: "HANDSHAKE_FAILED" });
      expect(end.sent).toEqual([]);
    }
  });

  test("send anything at all to either side: an error of the handshake, never another", async () => {
    const garbage = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(garbage, fc.boolean(), async (chunks, toDialer) => {
        const [end, attacker] = PipeEnd.pair();
        const handshake = shs().handshake(new Wire(end), {
          side: toDialer ? "dialer" : "listener",
          identity: bob,
          chain: "shs",
          networkId: NETWORK,
          signal: new AbortController().signal,
          ...(toDialer ? { section: shs().section(alice) } : {}),
        });
        for (const chunk of chunks) attacker.write(chunk);
        await attacker.end();
        const error = await handshake.then(
          () => undefined,
          (reason: unknown) => reason as { code?: string },
        );
        expect(["HANDSHAKE_FAILED", "TRUNCATED"]).toContain(error?.code);
      }),
      { numRuns: 200 },
    );
  });
});
