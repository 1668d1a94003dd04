/** The KCP machine, call by call: what it takes, sends and sends again under the modern policy. */

import { describe, expect, it } from "vitest";
import type { Kcp, KcpOptions } from "../../src/kcp/machine.ts";
import { ACK, bytes, datagram, machine, PUSH, read } from "./machine-support.ts";

describe("options", () => {
  it.each([
    [{ mtu: 49 }, /mtu/],
    [{ mtu: 1400.5 }, /mtu/],
    [{ sendWindow: 0 }, /sendWindow/],
    [{ receiveWindow: 40_000 }, /receiveWindow/],
    [{ intervalMs: 9 }, /intervalMs/],
    [{ fastResend: 256 }, /fastResend/],
    [{ minRtoMs: 0 }, /minRtoMs/],
    [{ deadLink: 0 }, /deadLink/],
    [{ initialSn: -1 }, /initialSn/],
    [{ sendQueue: 0 }, /sendQueue/],
    [{ receiveMtu: 23 }, /receiveMtu/],
  ] as const)("%j is out of range", (options, name) => {
    expect(() => machine(options)).toThrow(RangeError);
    expect(() => machine(options)).toThrow(name);
  });

  it("refuses words it does not know", () => {
    const policy = "fast" as "modern";
    expect(() => machine({ policy })).toThrow(
      new TypeError('policy must be "modern" or "classic"'),
    );
    const congestion = "cubic" as "reno";
    expect(() => machine({ congestion })).toThrow(/congestion must be/);
    const own = (): never => {
      throw new Error("not called");
    };
    expect(() => machine({ policy: "classic", congestion: own })).toThrow(/classic policy/);
  });

  it("takes a new mtu at any time, and no nonsense", () => {
    const { kcp, out } = machine();
    kcp.setMtu(100);
    expect(kcp.mtu).toBe(100);
    expect(() => kcp.setMtu(49)).toThrow(RangeError);
    kcp.send(new Uint8Array(200));
    kcp.update(0);
    expect(out.map((datagram) => datagram.length)).toEqual([100, 100, 72]);
  });
});

describe("sending", () => {
  it("cuts a message into fragments that count down", () => {
    const { kcp, out } = machine({ mtu: 50 });
    expect(kcp.send(bytes("x".repeat(60)))).toBe(60);
    expect(kcp.waitSend).toBe(3);
    kcp.update(5);
    expect(
      out.flatMap(read).map(({ cmd, sn, frg, ts, data }) => [cmd, sn, frg, ts, data.length]),
    ).toEqual([
      [PUSH, 0, 2, 5, 26],
      [PUSH, 1, 1, 5, 26],
      [PUSH, 2, 0, 5, 8],
    ]);
  });

  it("refuses a message of too many fragments and one for which the queue has no room", () => {
    const { kcp } = machine({ mtu: 50, sendQueue: 130 });
    expect(kcp.send(new Uint8Array(26 * 128))).toBe(-2);
    expect(kcp.send(new Uint8Array(26 * 127))).toBe(26 * 127);
    expect(kcp.send(new Uint8Array(26 * 4))).toBe(-3);
    expect(kcp.waitSend).toBe(127);
  });

  it("lets stream writes share segments, and takes what there is room for", () => {
    const { kcp, out } = machine({ mtu: 50, stream: true, sendQueue: 3 });
    expect(kcp.send(bytes("ab"))).toBe(2);
    expect(kcp.send(bytes("c".repeat(30)))).toBe(30);
    expect(kcp.send(bytes(""))).toBe(0);
    expect(kcp.send(bytes("d".repeat(1000)))).toBe(46);
    expect(kcp.send(bytes("e"))).toBe(-3);
    kcp.update(0);
    expect(out.flatMap(read).map(({ data }) => data)).toEqual([
      `ab${"c".repeat(24)}`,
      `${"c".repeat(6)}${"d".repeat(20)}`,
      "d".repeat(26),
    ]);
  });

  it("packs small messages into one datagram", () => {
    const { kcp, out } = machine();
    for (const word of ["one", "two", "three"]) kcp.send(bytes(word));
    kcp.update(0);
    expect(out.map(read).map((all) => all.map(({ data }) => data))).toEqual([
      ["one", "two", "three"],
    ]);
  });

  it("asks to be updated at once when there is something to send, later for a resend, and never in vain", () => {
    const { kcp, out } = machine();
    expect(kcp.check(1000)).toBe(61_000);
    kcp.send(bytes("hello"));
    expect(kcp.check(1000)).toBe(1000);
    for (const at of [1000, 1050, 1100]) kcp.update(at);
    expect(kcp.check(1100)).toBe(1200);
    kcp.update(1199);
    expect(out.length).toBe(3);
    kcp.update(1200);
    expect(out.length).toBe(4);
    expect(kcp.statistics.timeouts).toBe(1);
    kcp.input(datagram({ cmd: ACK, sn: 0, ts: 1200, una: 1 }), 1250);
    expect(kcp.statistics).toMatchObject({ inFlight: 0, srtt: 50 });
    expect(kcp.check(1250)).toBe(61_250);
  });

  it("calls itself dead after deadLink transmissions", () => {
    const { kcp, out } = machine({ deadLink: 3 });
    kcp.send(bytes("anyone?"));
    for (let now = 0; !kcp.dead; now = kcp.check(now)) kcp.update(now);
    expect(out.length).toBe(5);
    expect(kcp.statistics.timeouts).toBe(2);
  });

  it("repeats what nothing came behind, twice, if it is new and small and the path may be lossy", () => {
    const ways = [
      { options: {}, size: 400, count: 3 },
      { options: {}, size: 500, count: 1 },
      { options: { noDelay: 0 }, size: 5, count: 1 },
    ] as const;
    for (const { options, size, count } of ways) {
      const { kcp, out } = machine(options);
      kcp.send(new Uint8Array(size));
      for (let now = 0; now < 190; now += 10) kcp.update(now);
      expect(out.flatMap(read).map(({ sn, ts }) => [sn, ts])).toEqual(
        new Array(count).fill([0, 0]),
      );
      expect(kcp.statistics.timeouts).toBe(0);
      for (let now = 190; now < 290; now += 10) kcp.update(now);
      expect(out.length).toBe(count + 1);
    }
    const { kcp, out } = machine();
    for (let now = 0; now <= 190; now += 10) {
      if (now < 100) kcp.send(new Uint8Array(5));
      kcp.update(now);
    }
    expect(out.length).toBe(12);
  });
});

describe("resending", () => {
  /** A machine with segments 0 to 9 sent, a millisecond apart. */
  function ten(options: KcpOptions = {}): { kcp: Kcp; out: Uint8Array[] } {
    const made = machine({ mtu: 50, ...options });
    for (let now = 0; now < 10; now++) {
      made.kcp.send(new Uint8Array(26));
      made.kcp.update(now);
    }
    made.out.length = 0;
    return made;
  }
  const resent = (out: readonly Uint8Array[]): number[] => out.flatMap(read).map(({ sn }) => sn);

  it("needs as many later acknowledgements as fastResend says while there is more to send", () => {
    const { kcp, out } = ten({ fastResend: 2, sendWindow: 10 });
    kcp.send(new Uint8Array(26));
    kcp.input(datagram({ cmd: ACK, sn: 1, ts: 1 }), 20);
    kcp.update(20);
    expect(resent(out)).toEqual([]);
    kcp.input(datagram({ cmd: ACK, sn: 2, ts: 2 }), 21);
    kcp.update(21);
    expect(resent(out)).toEqual([0]);
    expect(kcp.statistics.fastResends).toBe(1);
  });

  it("counts every acknowledgement of a datagram", () => {
    const { kcp, out } = ten({ fastResend: 3, sendWindow: 10 });
    kcp.send(new Uint8Array(26));
    const acks = [4, 5, 6].map((sn) => ({ cmd: ACK, sn, ts: sn }));
    kcp.input(datagram(...acks), 20);
    kcp.update(20);
    expect(resent(out)).toEqual([0, 1, 2, 3]);
  });

  it("needs one when nothing waits to be sent", () => {
    const { kcp, out } = ten({ fastResend: 5 });
    kcp.input(datagram({ cmd: ACK, sn: 3, ts: 3 }), 20);
    expect(kcp.check(20)).toBe(20);
    kcp.update(20);
    expect(resent(out)).toEqual([0, 1, 2]);
  });

  it("resends a lost resend when later ones are acknowledged", () => {
    const { kcp, out } = ten({ fastResend: 1 });
    kcp.input(datagram({ cmd: ACK, sn: 1, ts: 1 }), 20);
    kcp.update(20);
    kcp.send(new Uint8Array(26));
    kcp.update(22);
    out.length = 0;
    kcp.input(datagram({ cmd: ACK, sn: 10, ts: 22 }), 40);
    kcp.update(40);
    expect(resent(out)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("does not resend early when fastResend is 0", () => {
    const { kcp, out } = ten({ fastResend: 0 });
    kcp.input(datagram({ cmd: ACK, sn: 9, ts: 9 }), 20);
    kcp.update(20);
    expect(resent(out)).toEqual([]);
  });

  it("becomes patient where segments that were overtaken arrive after all", () => {
    const { kcp, out } = ten({ fastResend: 1 });
    kcp.input(datagram({ cmd: ACK, sn: 1, ts: 1 }), 20);
    kcp.update(20);
    expect(resent(out)).toEqual([0]);
    kcp.input(datagram({ cmd: ACK, sn: 0, ts: 0 }), 30);
    kcp.input(datagram({ cmd: ACK, sn: 3, ts: 3 }), 30);
    out.length = 0;
    kcp.update(30);
    expect(resent(out)).toEqual([]);
    expect(kcp.check(30)).toBeGreaterThan(30);
    expect(kcp.check(30)).toBeLessThan(40);
    kcp.update(kcp.check(30));
    expect(resent(out)).toEqual([2]);
  });

  it("carries small segments again beside new ones once some were lost", () => {
    const { kcp, out } = machine({ fastResend: 1 });
    for (const [now, word] of ["a", "b"].entries()) {
      kcp.send(bytes(word));
      kcp.update(now);
    }
    kcp.input(datagram({ cmd: ACK, sn: 1, ts: 1 }), 20);
    kcp.update(20);
    out.length = 0;
    kcp.send(bytes("c"));
    kcp.update(30);
    expect(out.map((one) => read(one).map(({ data }) => data))).toEqual([["c", "a"]]);
  });
});
