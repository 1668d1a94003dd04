/** The KCP machine, call by call: what it takes, sends, believes and refuses under the modern policy. */

import { describe, expect, it } from "vitest";
import { Kcp, type KcpOptions } from "../../src/kcp/machine.ts";
import { SEGMENT_HEADER, writeHeader } from "../../src/kcp/segment.ts";

const CONV = 0xfedc_ba98;
const PUSH = 81;
const ACK = 82;
const ASK = 83;
const TELL = 84;

interface Header {
  readonly conv?: number;
  readonly cmd: number;
  readonly frg?: number;
  readonly wnd?: number;
  readonly ts?: number;
  readonly sn?: number;
  readonly una?: number;
  readonly length?: number;
  readonly data?: string;
}

/** A datagram of these segments. */
function datagram(...headers: readonly Header[]): Uint8Array {
  const pieces = headers.map((header) => {
    const data = Buffer.from(header.data ?? "");
    const { conv = CONV, frg = 0, wnd = 128, ts = 0, sn = 0, una = 0 } = header;
    const bytes = new Uint8Array(SEGMENT_HEADER + data.length);
    writeHeader(bytes, 0, conv, header.cmd, frg, wnd, ts, sn, una, header.length ?? data.length);
    bytes.set(data, SEGMENT_HEADER);
    return bytes;
  });
  return Uint8Array.from(Buffer.concat(pieces));
}

/** What a datagram says, segment by segment. */
function read(bytes: Uint8Array): Required<Omit<Header, "length">>[] {
  const view = Buffer.from(bytes);
  const found: Required<Omit<Header, "length">>[] = [];
  for (let at = 0; at < view.length; ) {
    const length = view.readUInt32LE(at + 20);
    found.push({
      conv: view.readUInt32LE(at),
      cmd: view.readUInt8(at + 4),
      frg: view.readUInt8(at + 5),
      wnd: view.readUInt16LE(at + 6),
      ts: view.readUInt32LE(at + 8),
      sn: view.readUInt32LE(at + 12),
      una: view.readUInt32LE(at + 16),
      data: view.toString("latin1", at + SEGMENT_HEADER, at + SEGMENT_HEADER + length),
    });
    at += SEGMENT_HEADER + length;
  }
  return found;
}

/** A machine whose datagrams are kept. */
function machine(options: KcpOptions = {}): { kcp: Kcp; out: Uint8Array[] } {
  const out: Uint8Array[] = [];
  return { kcp: new Kcp(CONV, (bytes) => out.push(bytes.slice()), options), out };
}

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const text = (data: Uint8Array | undefined): string | undefined =>
  data === undefined ? undefined : Buffer.from(data).toString("latin1");

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

describe("receiving", () => {
  it("gives messages in order, whatever the order they came in", () => {
    const { kcp } = machine();
    kcp.input(datagram({ cmd: PUSH, sn: 1, data: "second" }), 0);
    kcp.input(datagram({ cmd: PUSH, sn: 2, frg: 1, data: "thi" }), 0);
    expect([kcp.peekSize, kcp.recv()]).toEqual([-1, undefined]);
    kcp.input(datagram({ cmd: PUSH, sn: 0, data: "first" }), 0);
    expect(text(kcp.recv())).toBe("first");
    expect(text(kcp.recv())).toBe("second");
    expect(kcp.peekSize).toBe(-1);
    kcp.input(datagram({ cmd: PUSH, sn: 3, data: "rd" }), 0);
    expect(kcp.peekSize).toBe(5);
    expect(text(kcp.recv())).toBe("third");
  });

  it("copies into memory given, and leaves what does not fit", () => {
    const { kcp } = machine();
    kcp.input(datagram({ cmd: PUSH, sn: 0, data: "hello" }, { cmd: PUSH, sn: 1, data: "you" }), 0);
    expect(kcp.recv(new Uint8Array(4))).toBeUndefined();
    expect(kcp.peekSize).toBe(5);
    const into = new Uint8Array(7);
    expect(kcp.drain(into)).toBe(5);
    expect(kcp.drain(into)).toBe(3);
    expect(text(into)).toBe("youlo\0\0");
  });

  it("keeps nothing of the datagram's memory", () => {
    const { kcp } = machine();
    const given = datagram({ cmd: PUSH, sn: 0, data: "mine" }, { cmd: PUSH, sn: 1, data: "own" });
    kcp.input(given, 0);
    given.fill(0);
    expect([text(kcp.recv()), text(kcp.recv())]).toEqual(["mine", "own"]);
  });

  it("acknowledges what una does not cover, and the last", () => {
    const { kcp, out } = machine();
    const pushes = [0, 1, 3, 4, 0].map((sn) => ({ cmd: PUSH, sn, ts: 100 + sn, data: "x" }));
    kcp.input(datagram(...pushes), 0);
    expect(kcp.check(0)).toBe(0);
    kcp.update(0);
    expect(out.flatMap(read).map(({ cmd, sn, ts, una, conv }) => [cmd, sn, ts, una, conv])).toEqual(
      [
        [ACK, 3, 103, 2, CONV],
        [ACK, 4, 104, 2, CONV],
        [ACK, 0, 100, 2, CONV],
      ],
    );
  });

  it("announces a smaller window while nobody reads, drops what is beyond, and tells when half is free", () => {
    const { kcp, out } = machine({ receiveWindow: 4 });
    for (let sn = 0; sn < 12; sn++) kcp.input(datagram({ cmd: PUSH, sn, data: `${sn}` }), 0);
    expect(kcp.statistics).toMatchObject({ receiveReady: 4, receiveAhead: 4, receiveNext: 4 });
    kcp.update(0);
    expect(out.flatMap(read).at(-1)).toMatchObject({ wnd: 0, una: 4 });
    out.length = 0;
    expect(text(kcp.recv())).toBe("0");
    expect(kcp.statistics).toMatchObject({ receiveReady: 4, receiveAhead: 3, receiveNext: 5 });
    while (kcp.recv() !== undefined);
    expect(kcp.statistics.receiveNext).toBe(8);
    kcp.update(1);
    expect(out.flatMap(read)).toMatchObject([{ cmd: TELL, wnd: 4, una: 8 }]);
  });

  it("drops a message longer than its window, which could never become whole", () => {
    const { kcp } = machine({ receiveWindow: 4 });
    kcp.input(datagram({ cmd: PUSH, sn: 0, frg: 4, data: "x" }), 0);
    expect(kcp.statistics).toMatchObject({ receiveNext: 0, acksPending: 0 });
    kcp.input(datagram({ cmd: PUSH, sn: 0, frg: 3, data: "x" }), 0);
    expect(kcp.statistics.receiveNext).toBe(1);
  });

  it("gives what there is when the fragments never come to their end", () => {
    const { kcp } = machine();
    for (let sn = 0; sn < 3; sn++) kcp.input(datagram({ cmd: PUSH, sn, frg: 1, data: "ab" }), 0);
    expect(kcp.peekSize).toBe(6);
    expect(text(kcp.recv())).toBe("ababab");
  });

  it("drops segments longer than a datagram may be", () => {
    const { kcp } = machine({ receiveMtu: 100 });
    kcp.input(datagram({ cmd: PUSH, sn: 0, data: "x".repeat(77) }), 0);
    expect(kcp.statistics.receiveReady).toBe(0);
    kcp.input(datagram({ cmd: PUSH, sn: 0, data: "x".repeat(76) }), 0);
    expect(kcp.peekSize).toBe(76);
  });
});

describe("windows", () => {
  it("sends no more than the peer has room for, and asks when it is shut", () => {
    const { kcp, out } = machine({ congestion: "off" });
    kcp.input(datagram({ cmd: TELL, wnd: 2 }), 0);
    for (let i = 0; i < 5; i++) kcp.send(bytes("x"));
    kcp.update(0);
    expect(kcp.statistics).toMatchObject({ inFlight: 2, sendQueued: 3 });
    kcp.input(datagram({ cmd: ACK, sn: 1, una: 2, wnd: 0 }), 1);
    out.length = 0;
    const asked: number[] = [];
    for (let now = 1; now < 6_000; now = kcp.check(now)) {
      kcp.update(now);
      if (out.length > 0) asked.push(now);
      for (const segment of out.flatMap(read)) expect(segment.cmd).toBe(ASK);
      out.length = 0;
    }
    expect(asked).toEqual([501, 1251, 2376, 4063]);
    kcp.input(datagram({ cmd: TELL, wnd: 1, una: 2 }), 6_000);
    kcp.update(6_000);
    expect(out.flatMap(read)).toMatchObject([{ cmd: PUSH, sn: 2 }]);
  });

  it("answers the question", () => {
    const { kcp, out } = machine();
    kcp.input(datagram({ cmd: ASK }), 0);
    kcp.update(0);
    expect(out.flatMap(read)).toMatchObject([{ cmd: TELL, wnd: 1024 }]);
  });

  it("is not shut by an old datagram that comes late", () => {
    const { kcp } = machine();
    for (let i = 0; i < 3; i++) kcp.send(bytes("x"));
    kcp.update(0);
    kcp.input(datagram({ cmd: ACK, sn: 2, una: 3, wnd: 50 }), 1);
    kcp.input(datagram({ cmd: ACK, sn: 0, una: 1, wnd: 0 }), 2);
    expect(kcp.statistics.remoteWindow).toBe(50);
  });
});

describe("lies", () => {
  it("names what it could not read", () => {
    const { kcp } = machine();
    expect(kcp.input(new Uint8Array(23), 0)).toBe(-1);
    expect(kcp.input(datagram({ cmd: PUSH, conv: 1 }), 0)).toBe(-1);
    expect(kcp.input(datagram({ cmd: PUSH, length: 1 }), 0)).toBe(-2);
    expect(kcp.input(datagram({ cmd: PUSH, length: 0x8000_0000 }), 0)).toBe(-2);
    expect(kcp.input(datagram({ cmd: 80 }), 0)).toBe(-3);
    expect(kcp.input(datagram({ cmd: 85 }), 0)).toBe(-3);
    expect(kcp.input(datagram({ cmd: PUSH, sn: 0, data: "ok" }, { cmd: 85 }), 0)).toBe(-3);
    expect(text(kcp.recv())).toBe("ok");
  });

  it("believes no acknowledgement of what was never sent, nor anything beside it", () => {
    const { kcp } = machine();
    kcp.send(bytes("x"));
    kcp.update(0);
    kcp.input(datagram({ cmd: ACK, sn: 0, una: 2, wnd: 0 }), 1);
    kcp.input(datagram({ cmd: PUSH, sn: 0, una: 0x8000_0001, data: "no" }), 1);
    kcp.input(datagram({ cmd: ACK, sn: 1, una: 0 }), 1);
    expect(kcp.statistics).toMatchObject({
      inFlight: 1,
      sendUna: 0,
      remoteWindow: 128,
      receiveReady: 1,
    });
  });

  it("takes no round trip from a timestamp it never sent", () => {
    const { kcp } = machine();
    kcp.send(bytes("x"));
    kcp.update(70_000);
    kcp.input(datagram({ cmd: ACK, sn: 0, ts: 5, una: 1 }), 70_001);
    expect(kcp.statistics).toMatchObject({ inFlight: 0, srtt: 0, rto: 200 });
  });

  it("answers a flood of doubles with no more than its window of acknowledgements", () => {
    const { kcp, out } = machine({ receiveWindow: 256 });
    const doubles = datagram(...new Array<Header>(58).fill({ cmd: PUSH, sn: 200 }));
    for (let i = 0; i < 1_000; i++) kcp.input(doubles, 0);
    expect(kcp.statistics).toMatchObject({ acksPending: 256, receiveAhead: 1 });
    kcp.update(0);
    expect(out.flatMap(read).length).toBe(256);
    for (let i = 0; i < 1_000; i++) kcp.input(datagram({ cmd: PUSH, sn: 0xffff_fff0 }), 0);
    out.length = 0;
    kcp.update(1);
    expect(out.flatMap(read).length).toBe(1);
  });
});
