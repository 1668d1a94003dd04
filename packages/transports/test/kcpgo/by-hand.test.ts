/**
 * kcp-go by hand: plain sockets that send what kcp-go sent (the vectors), and do what its dialer and its listener do.
 * Go is not needed; what is answered is opened with the vectors' keys and read segment by segment.
 */

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type Connection, concat, deferred, equal, type Listener, section } from "@testudo/core";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../../../../test/support/leaks.ts";
import { pattern, Reader } from "../../../../test/support/traffic.ts";
import { FEC_HEADER_BYTES } from "../../src/kcp/fec.ts";
import { FecEncoder } from "../../src/kcp/fec-encoder.ts";
import { ReedSolomon } from "../../src/kcp/reed-solomon.ts";
import { ACK, ASK_WINDOW, PUSH, SEGMENT_HEADER, TELL_WINDOW } from "../../src/kcp/segment.ts";
import { type CryptName, cryptNames, type KcpgoOptions, kcpgo } from "../../src/kcpgo/index.ts";
import { hex, vectors } from "./vectors.ts";
import { Hand, segment } from "./virtual.ts";

const CONV = 0x01020304;
const never = new AbortController().signal;

/** A plain socket that keeps what arrives. */
class RawPeer {
  readonly socket: Socket = createSocket("udp4");
  readonly #arrived: Uint8Array[] = [];
  #waiting: (() => void) | undefined;
  /** Where to send to. */
  port = 0;

  async open(): Promise<number> {
    this.socket.on("message", (packet, { port }) => {
      this.port = port;
      this.#arrived.push(new Uint8Array(packet));
      this.#waiting?.();
    });
    this.socket.bind(0, "127.0.0.1");
    await once(this.socket, "listening");
    return this.socket.address().port;
  }

  send(packet: Uint8Array): void {
    this.socket.send(packet, this.port, "127.0.0.1");
  }

  async next(): Promise<Uint8Array> {
    for (;;) {
      const packet = this.#arrived.shift();
      if (packet !== undefined) return packet;
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }
}

describe("kcp-go by hand", () => {
  expectNoLeaks();

  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  async function rawPeer(port: number = 0): Promise<RawPeer> {
    const peer = new RawPeer();
    closing.push(() => peer.socket.close());
    await peer.open();
    peer.port = port;
    return peer;
  }

  async function listen(options: KcpgoOptions) {
    const arrived = deferred<Connection>();
    const listener: Listener | undefined = await kcpgo(options).listen?.(
      section("kcpgo", "127.0.0.1", "0"),
      (connection) => {
        closing.push(() => connection.abort(new Error("the test is over")));
        arrived.resolve(connection);
      },
    );
    if (listener === undefined) throw new Error("cannot listen");
    closing.push(() => listener.close());
    return { port: Number(listener.section.args.at(-1)), arrived: arrived.promise };
  }

  const known = new Set<string>(cryptNames());
  const ciphers = vectors.crypt.filter(({ cipher }) => known.has(cipher));

  it.each(ciphers)(
    "its dialer under $cipher is accepted, read and acknowledged",
    async (vector) => {
      const crypt = vector.cipher as CryptName;
      const options = crypt === "none" ? { crypt } : { crypt, key: hex(vector.key) };
      const hand = Hand.of(options);
      const { port, arrived } = await listen(options);
      const peer = await rawPeer(port);
      const [hello, , second, third] = vector.packets;
      peer.send(hex(hello?.packet ?? ""));
      const connection = await arrived;
      const ack = hand.open(await peer.next());
      expect(ack).toMatchObject({ conv: CONV, command: ACK, sn: 0, ts: 1_000, una: 1 });
      expect(ack.datagram).toHaveLength(SEGMENT_HEADER);
      peer.send(hex(third?.packet ?? ""));
      peer.send(hex(second?.packet ?? ""));
      const payloads = [hello, second, third].map((each) =>
        hex(each?.plain ?? "").subarray(SEGMENT_HEADER),
      );
      const sent = concat(...payloads);
      expect(equal(await new Reader(connection).take(sent.length), sent)).toBe(true);
      // What we say goes out as PUSH, a byte stream in segments of one message each.
      connection.write(pattern(500, 2));
      const got: Uint8Array[] = [];
      let una = 0;
      for (let have = 0; have < 500; ) {
        const word = hand.open(await peer.next());
        if (word.command !== PUSH) continue;
        expect(word).toMatchObject({ conv: CONV, una: 3 });
        const data = word.datagram.subarray(SEGMENT_HEADER);
        if (word.sn === una) {
          una++;
          have += data.length;
          got.push(data);
        }
        peer.send(hand.seal(segment({ conv: CONV, command: ACK, sn: word.sn, ts: word.ts, una })));
      }
      expect(equal(concat(...got), pattern(500, 2))).toBe(true);
    },
  );

  it.each(vectors.fec)(
    "its dialer with fec $dataShards+$parityShards is understood without what was lost",
    async (vector) => {
      const { dataShards, parityShards, inputs, wire } = vector;
      const { port, arrived } = await listen({ crypt: "null", fec: [dataShards, parityShards] });
      const peer = await rawPeer(port);
      const lost = new Set(vector.dropped_wire_indexes);
      for (const [index, packet] of wire.entries()) if (!lost.has(index)) peer.send(hex(packet));
      expect(lost.size).toBeGreaterThan(0);
      const connection = await arrived;
      const sent = concat(...inputs.map((each) => hex(each).subarray(SEGMENT_HEADER)));
      expect(equal(await new Reader(connection).take(sent.length), sent)).toBe(true);
    },
  );

  it("its dialer is not sent more than it sent until it has acknowledged something", async () => {
    const options: KcpgoOptions = { crypt: "aes-128", password: "p" };
    const hand = Hand.of(options);
    const { port, arrived } = await listen(options);
    const peer = await rawPeer(port);
    peer.send(hand.seal(segment({ conv: 9, command: PUSH, data: pattern(200) })));
    const connection = await arrived;
    connection.write(pattern(100_000, 1));
    let word = hand.open(await peer.next());
    while (word.command !== PUSH) word = hand.open(await peer.next());
    expect(word.datagram.length).toBeLessThanOrEqual(SEGMENT_HEADER + 200);
    peer.send(hand.seal(segment({ conv: 9, command: ACK, sn: 0, ts: word.ts, una: 1 })));
    const next = hand.open(await peer.next());
    expect(next).toMatchObject({ command: PUSH, sn: 1 });
    expect(next.datagram.length).toBeGreaterThan(1_000);
  });

  it.each<{ fec: false | readonly [number, number] }>([{ fec: false }, { fec: [10, 3] }])(
    "its listener is dialled, written to and read, fec $fec",
    async ({ fec }) => {
      const options: KcpgoOptions = { crypt: "aes", password: "demo pass", fec };
      const hand = Hand.of({ crypt: "aes", key: hex(vectors.keys.pbkdf2_example.key) });
      const peer = await rawPeer();
      const { port } = peer.socket.address();
      const code = fec === false ? undefined : new FecEncoder(new ReedSolomon(fec[0], fec[1]));
      const send = (datagram: Uint8Array): void => {
        if (code === undefined) {
          peer.send(hand.seal(datagram));
          return;
        }
        const packet = new Uint8Array(FEC_HEADER_BYTES + datagram.length);
        packet.set(datagram, FEC_HEADER_BYTES);
        code.encode(packet, 0);
        peer.send(hand.seal(packet));
      };
      const dialing = kcpgo(options).dial(section("kcpgo", "127.0.0.1", String(port)), {
        signal: never,
      });
      // A listener of kcp-go makes a session of it, since the number is 0, and tells its window.
      const greeting = hand.open(await peer.next());
      expect(greeting).toMatchObject({ command: ASK_WINDOW, sn: 0, una: 0 });
      const { conv } = greeting;
      send(segment({ conv, command: TELL_WINDOW }));
      const connection = await dialing;
      closing.push(() => connection.abort(new Error("the test is over")));
      connection.write(pattern(100));
      const packet = hand.crypt.open(await peer.next()) ?? new Uint8Array(0);
      const at = fec === false ? 0 : FEC_HEADER_BYTES;
      if (fec !== false) expect([...packet.subarray(0, 8)]).toEqual([0, 0, 0, 0, 0xf1, 0, 126, 0]);
      expect(packet[at + 4]).toBe(PUSH);
      expect(equal(packet.subarray(at + SEGMENT_HEADER), pattern(100))).toBe(true);
      send(segment({ conv, command: PUSH, una: 1, ts: 77, data: pattern(300, 3) }));
      expect(equal(await new Reader(connection).take(300), pattern(300, 3))).toBe(true);
      const ack = hand.crypt.open(await peer.next()) ?? new Uint8Array(0);
      expect(ack[at + 4]).toBe(ACK);
      expect(ack[at + 8]).toBe(77);
    },
  );
});
