/** The KCP machine, call by call: what it hands on, has room for, believes and refuses under the modern policy. */

import { describe, expect, it } from "vitest";
import {
  ACK,
  ASK,
  bytes,
  CONV,
  datagram,
  type Header,
  machine,
  PUSH,
  read,
  TELL,
  text,
} from "./machine-support.ts";

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
