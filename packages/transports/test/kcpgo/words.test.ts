/** Words, cookies, allowance and options of kcpgo, each by itself. */

import { concat } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { pattern } from "../../../../test/support/traffic.ts";
import { Kcp } from "../../src/kcp/machine.ts";
import { ACK, PUSH, TELL_WINDOW } from "../../src/kcp/segment.ts";
import { Allowance } from "../../src/kcpgo/allowance.ts";
import { type KcpgoOptions, kcpgo } from "../../src/kcpgo/index.ts";
import { settingsOf } from "../../src/kcpgo/settings.ts";
import {
  acknowledges,
  answer,
  carriesData,
  convBytes,
  cookieIn,
  cookieMark,
  greeting,
  isGreeting,
  isRefusal,
  question,
  readWord,
  refusal,
  sameMark,
  withoutTimes,
} from "../../src/kcpgo/words.ts";
import { segment } from "./virtual.ts";

describe("words", () => {
  it("greet, answer and refuse in 24 bytes", () => {
    const nonce = 0xfedcba98;
    const greeted = readWord(greeting(7, 100, { sn: 0, ts: nonce }), 0);
    expect(greeted).toEqual({ conv: 7, command: 83, wnd: 100, ts: nonce, sn: 0, una: 0 });
    expect(isGreeting(greeted)).toBe(true);
    expect(isGreeting(readWord(question(7, 100, 1), 0))).toBe(false);
    const cookie = { sn: 0x8000_0001, ts: 3 };
    expect(cookieIn(readWord(answer(7, 1, cookie), 0))).toEqual(cookie);
    expect(cookieIn(readWord(segment({ conv: 7, command: TELL_WINDOW }), 0))).toBeUndefined();
    const refused = readWord(answer(7, 1, refusal(nonce)), 0);
    expect(isRefusal(refused, nonce)).toBe(true);
    expect(isRefusal(refused, nonce - 1)).toBe(false);
    expect(cookieIn(refused)).toBeUndefined();
  });

  it("find data and acknowledgements behind other segments, and stop at a length that lies", () => {
    const push = segment({ conv: 1, command: PUSH, data: pattern(5) });
    const ack = segment({ conv: 1, command: ACK, ts: 500 });
    expect(carriesData(concat(ack, push))).toBe(true);
    expect(carriesData(ack)).toBe(false);
    expect(acknowledges(concat(push, ack), 400, 500)).toBe(true);
    expect(acknowledges(concat(push, ack), 501, 600)).toBe(false);
    expect(acknowledges(push, 0, 600)).toBe(false);
    const lie = push.slice(0, 26);
    expect(carriesData(lie)).toBe(false);
    expect(acknowledges(concat(lie.slice(0, 24), ack), 400, 500)).toBe(false);
  });

  it("across the wrap of the clock", () => {
    const ack = segment({ conv: 1, command: ACK, ts: 3 });
    expect(acknowledges(ack, 2 ** 32 - 10, 2 ** 32 + 10)).toBe(true);
    expect(acknowledges(ack, 2 ** 32 + 4, 2 ** 32 + 10)).toBe(false);
  });

  it("a rebuilt datagram delivers and acknowledges, and tells neither a round trip nor a window", () => {
    const sent: Uint8Array[] = [];
    const kcp = new Kcp(1, (datagram) => sent.push(datagram.slice()));
    kcp.send(pattern(10));
    kcp.update(1_000);
    const { ts } = readWord(sent[0] ?? new Uint8Array(24), 0);
    const late = concat(
      segment({ conv: 1, command: ACK, ts, sn: 0, una: 1, wnd: 5 }),
      segment({ conv: 1, command: PUSH, una: 1, wnd: 5, data: pattern(4) }),
    );
    withoutTimes(late, kcp.statistics.remoteWindow);
    expect(kcp.input(late, 1_900)).toBe(0);
    expect(kcp.statistics).toMatchObject({ sendUna: 1, inFlight: 0, srtt: 0, remoteWindow: 32 });
    expect(kcp.recv()).toEqual(pattern(4));
  });
});

describe("cookies in a word", () => {
  it("are odd, and the same only when every bit is that counts", () => {
    const cookie = Uint8Array.of(2, 3, 4, 5, 6, 7, 8, 9, 10);
    const mark = cookieMark(cookie);
    expect(mark).toEqual({ sn: 0x0504_0303, ts: 0x0908_0706 });
    expect(sameMark(mark, cookieMark(cookie.subarray(0, 8)))).toBe(true);
    for (let bit = 1; bit < 64; bit++) {
      const changed = cookie.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(sameMark(mark, cookieMark(changed))).toBe(false);
    }
    expect(convBytes(0x0403_0201)).toEqual(Uint8Array.of(1, 2, 3, 4));
  });
});

describe("the allowance of a stranger", () => {
  it("counts data against what came, spares a few, and ends with a proof that is not too old", () => {
    const allowance = new Allowance(false);
    const push = segment({ conv: 1, command: PUSH, data: pattern(30) });
    const ack = (ts: number): Uint8Array => segment({ conv: 1, command: ACK, ts });
    allowance.came(100);
    expect(allowance.mayGo(ack(0), 1_000)).toBe(true);
    expect(allowance.probe(60, 5_000)).toBe(40);
    expect(allowance.probe(99_999, 5_000)).toBe(1);
    const tries = Array.from({ length: 6 }, () => allowance.mayGo(push, 60));
    expect(tries).toEqual([true, true, true, true, false, false]);
    allowance.came(60);
    expect(allowance.mayGo(push, 60)).toBe(true);
    allowance.examine(ack(4_999), 5_100);
    allowance.examine(ack(5_101), 5_100);
    expect(allowance.proved).toBe(false);
    allowance.examine(ack(5_000), 5_100);
    expect(allowance.proved).toBe(true);
    expect(allowance.mayGo(push, 99_999)).toBe(true);
  });
});

describe("options", () => {
  const key = new Uint8Array(32);

  it.each<[unknown, string, typeof TypeError | typeof RangeError]>([
    [{}, "password or a key", TypeError],
    [{ key, password: "p" }, "not both", TypeError],
    [{ key: "text" }, "bytes", TypeError],
    [{ key: new Uint8Array(5) }, "32 bytes", RangeError],
    [{ password: "" }, "password", TypeError],
    [{ key, crypt: "blowfish" }, "crypt", TypeError],
    [{ key, preset: "kcp" }, "preset", TypeError],
    [{ key, mode: "slow" }, "mode", TypeError],
    [{ key, fec: [10] }, "fec", TypeError],
    [{ key, fec: true }, "fec", TypeError],
    [{ key, fec: [0, 3] }, "kcpgo fec", RangeError],
    [{ key, fec: [200, 100] }, "kcpgo fec", RangeError],
    [{ key, mtu: 1_501 }, "mtu", RangeError],
    [{ key, mtu: 60 }, "mtu", RangeError],
    [{ key, sendWindow: 0 }, "sendWindow", RangeError],
    [{ key, receiveWindow: 31 }, "receiveWindow", RangeError],
    [{ key, noDelay: 3 }, "noDelay", RangeError],
    [{ key, intervalMs: 9 }, "intervalMs", RangeError],
    [{ key, fastResend: -1 }, "fastResend", RangeError],
    [{ key, congestion: "on" }, "congestion", TypeError],
    [{ key, greet: "yes" }, "greet", TypeError],
    [{ key, idleTimeoutMs: 0 }, "idleTimeoutMs", RangeError],
    [{ key, keepaliveMs: 40_000 }, "keepaliveMs", RangeError],
    [{ key, maxUnproved: 0 }, "maxUnproved", RangeError],
    [{ key, host: "h" }, "port", TypeError],
    [{ key, port: 70_000 }, "port", RangeError],
    [{ key, external: "h:1" }, "external", TypeError],
  ])("%j make no sense", (options, text, kind) => {
    let error: unknown;
    try {
      kcpgo(options as KcpgoOptions);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(kind);
    expect(String(error)).toContain(text);
  });

  it("of kcptun stand in for what is not said", () => {
    const settings = settingsOf({ preset: "kcptun", password: "p", fec: undefined as never });
    expect(settings).toMatchObject({ packetBytes: 1_350, machine: { noDelay: 0, intervalMs: 30 } });
    expect(settings.code).toMatchObject({ dataShards: 10, parityShards: 3 });
    const other = settingsOf({
      preset: "kcptun",
      password: "p",
      fec: false,
      mode: "fast3",
      mtu: 900,
    });
    expect(other).toMatchObject({ packetBytes: 900, machine: { noDelay: 1, intervalMs: 10 } });
    expect(other.code).toBeUndefined();
  });

  it("say where to listen and what to tell", () => {
    const transport = kcpgo({
      key,
      port: 29_900,
      scope: ["device", "public"],
      external: "example.org",
    });
    expect(transport.place?.args.at(-1)).toBe("29900");
    const bound = transport.place;
    if (bound === undefined) throw new Error("no place");
    expect(transport.advertised?.(bound, "public").map(({ text }) => text)).toEqual([
      "kcpgo:example.org:29900",
    ]);
    expect(kcpgo({ key }).place).toBeUndefined();
  });
});
