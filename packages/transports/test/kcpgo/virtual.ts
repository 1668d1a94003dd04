/** Scenes on virtual time: two of our ends over a network that loses and mixes up, or one and a hand that writes packets. */

import { deferred, type Section, section } from "@testudo/core";
import { SEGMENT_HEADER, writeHeader } from "../../src/kcp/segment.ts";
import type { KcpgoConnection } from "../../src/kcpgo/connection.ts";
import { type Crypt, makeCrypt } from "../../src/kcpgo/crypt.ts";
import { dialKcpgo } from "../../src/kcpgo/dial.ts";
import { Door } from "../../src/kcpgo/door.ts";
import { type KcpgoOptions, type Settings, settingsOf } from "../../src/kcpgo/settings.ts";
import { readWord, type Word } from "../../src/kcpgo/words.ts";
import { Advertiser } from "../../src/net/advertise.ts";
import { Listening } from "../../src/udp/listener.ts";
import type { Place } from "../../src/udp/place.ts";
import { VirtualUdp, type Weather } from "../kcp/virtual-udp.ts";

export const DIALER: Place = { address: "10.0.0.1", port: 40_000 };
export const LISTENER: Place = { address: "10.0.0.2", port: 29_900 };
export const STRANGER: Place = { address: "203.0.113.9", port: 7_777 };
export const PASSWORD: KcpgoOptions = { crypt: "aes-128", password: "a secret" };

export interface Listened {
  readonly udp: VirtualUdp;
  readonly accepted: KcpgoConnection[];
  close(): Promise<void>;
  dial(options?: KcpgoOptions, signal?: AbortSignal): Promise<KcpgoConnection>;
  /** Cuts what is left and waits until no timer and no socket is. */
  end(): Promise<void>;
}

function settingsAt(udp: VirtualUdp, address: string, options: KcpgoOptions): Settings {
  return settingsOf({ ...options, runtime: udp.runtime }, udp.system(address));
}

export function sectionOf({ address, port }: Place): Section {
  return section("kcpgo", address, String(port));
}

/** A listener and nobody else. */
export async function listened(
  options: KcpgoOptions = PASSWORD,
  weather: Weather = {},
  seed: number = 1,
): Promise<Listened> {
  const udp = new VirtualUdp(weather, seed);
  const advertiser = new Advertiser({}, "kcpgo");
  const settings = settingsAt(udp, LISTENER.address, options);
  const listening = new Listening("kcpgo", advertiser, (at) => Door.open(at, settings));
  const accepted: KcpgoConnection[] = [];
  const all: KcpgoConnection[] = [];
  const listener = await listening.listen(sectionOf(LISTENER), (connection) => {
    accepted.push(connection as KcpgoConnection);
    all.push(connection as KcpgoConnection);
  });
  return {
    udp,
    accepted,
    close: () => listener.close(),
    async dial(dialling = options, signal = new AbortController().signal) {
      const { address: host, port } = LISTENER;
      const settings = settingsAt(udp, DIALER.address, dialling);
      const dialing = dialKcpgo(sectionOf(LISTENER), { host, port }, { signal }, settings);
      const connection = await udp.runtime.during(dialing);
      all.push(connection);
      return connection;
    },
    async end() {
      for (const each of all) each.abort(new Error("the test is over"));
      await listener.close();
      await udp.runtime.advance(1_000);
      if (udp.places.length > 0) throw new Error("a socket is left");
      if (udp.runtime.pending > 0) throw new Error(`${udp.runtime.pending} timers are left`);
    },
  };
}

export interface Scene extends Listened {
  readonly dialer: KcpgoConnection;
  readonly other: KcpgoConnection;
}

/** Two connected ends. */
export async function scene(
  options: KcpgoOptions = PASSWORD,
  weather: Weather = {},
  seed: number = 1,
): Promise<Scene> {
  const made = await listened(options, weather, seed);
  const dialer = await made.dial();
  const arrived = deferred<KcpgoConnection>();
  const there = await made.udp.runtime.until(() => made.accepted.length > 0, 10_000);
  const [other] = made.accepted;
  if (there && other !== undefined) arrived.resolve(other);
  return { ...made, dialer, other: await made.udp.runtime.during(arrived.promise) };
}

/** Segments by hand, sealed with the key of `options`. */
export class Hand {
  readonly crypt: Crypt;

  constructor(crypt: Crypt) {
    this.crypt = crypt;
  }

  static of({ crypt = "aes", password, key }: KcpgoOptions): Hand {
    if (key !== undefined) return new Hand(makeCrypt(crypt, key));
    const settings = settingsOf(password === undefined ? { crypt } : { crypt, password });
    return new Hand(settings.crypt);
  }

  seal(datagram: Uint8Array): Uint8Array {
    const packet = new Uint8Array(this.crypt.overheadBytes + datagram.length);
    packet.set(datagram, this.crypt.headerBytes);
    this.crypt.seal(packet);
    return packet;
  }

  /** What a packet holds, with the header of its first segment; fails when it does not open. */
  open(packet: Uint8Array): Word & { readonly datagram: Uint8Array } {
    const datagram = this.crypt.open(packet.slice());
    if (datagram === undefined) throw new Error("the packet does not open");
    return { ...readWord(datagram, 0), datagram };
  }
}

export interface SegmentParts {
  readonly conv: number;
  readonly command: number;
  readonly sn?: number;
  readonly ts?: number;
  readonly una?: number;
  readonly wnd?: number;
  readonly frg?: number;
  readonly data?: Uint8Array;
}

/** A segment as it lies on the wire. */
export function segment(parts: SegmentParts): Uint8Array {
  const { conv, command, sn = 0, ts = 0, una = 0, wnd = 32, frg = 0 } = parts;
  const { data = new Uint8Array(0) } = parts;
  const bytes = new Uint8Array(SEGMENT_HEADER + data.length);
  writeHeader(bytes, 0, conv, command, frg, wnd, ts, sn, una, data.length);
  bytes.set(data, SEGMENT_HEADER);
  return bytes;
}
