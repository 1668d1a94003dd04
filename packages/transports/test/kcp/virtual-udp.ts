/**
 * Virtual UDP: machines with addresses, sockets on them and a bad network between, all on virtual time.
 *
 * The transport runs on it as it does on the system's sockets. A machine can sit behind a router that gives it
 * another address, and another one later.
 */

import { deferred, type Section, section } from "@testudo/core";
import { seededNumbers, VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import type { KcpConnection } from "../../src/kcp/connection.ts";
import { Dialling } from "../../src/kcp/dial.ts";
import { Door } from "../../src/kcp/door.ts";
import { type KcpTransportOptions, settingsOf } from "../../src/kcp/settings.ts";
import { Advertiser } from "../../src/net/advertise.ts";
import { Listening } from "../../src/udp/listener.ts";
import type { Place } from "../../src/udp/place.ts";
import type { UdpEvents } from "../../src/udp/socket.ts";
import type { UdpSystem } from "../../src/udp/system.ts";

export interface Weather {
  lossRate?: number;
  duplicateRate?: number;
  reorderRate?: number;
  latencyMs?: number;
  jitterMs?: number;
  mtu?: number;
}

export interface Sent {
  readonly packet: Uint8Array;
  readonly from: Place;
  readonly to: Place;
}

const textOf = ({ address, port }: Place): string => `${address} ${port}`;

export class VirtualUdp {
  readonly runtime: VirtualRuntime;
  weather: Weather;
  /** Everything that was sent, as the network sees it. */
  readonly sent: Sent[] = [];
  /** Whether what is sent is lost whatever the weather. */
  drops: (sent: Sent) => boolean = () => false;
  readonly #random: () => number;
  readonly #sockets = new Map<string, { events: UdpEvents; place: Place }>();
  /** The outside of a place behind a router. */
  readonly #outside = new Map<string, Place>();
  #ports = 40_000;

  constructor(weather: Weather = {}, seed: number = 1) {
    this.weather = { latencyMs: 10, ...weather };
    this.runtime = new VirtualRuntime(seed);
    this.#random = seededNumbers(seed + 7);
  }

  /** From now on this place is seen as another one, and no longer reached under the one before. */
  rebind(place: Place, outside: Place): void {
    this.#outside.set(textOf(place), outside);
  }

  /** What was sent to there. */
  sentTo(place: Place): Sent[] {
    return this.sent.filter(({ to }) => textOf(to) === textOf(place));
  }

  /** Sends as anybody from anywhere. */
  send(from: Place, to: Place, packet: Uint8Array): void {
    const sent = { packet: packet.slice(), from, to };
    this.sent.push(sent);
    const { lossRate = 0, duplicateRate = 0, mtu = 65_507 } = this.weather;
    if (packet.length > mtu || this.drops(sent) || this.#random() < lossRate) return;
    this.#arrive(sent);
    if (this.#random() < duplicateRate) this.#arrive(sent);
  }

  #arrive({ packet, from, to }: Sent): void {
    const { latencyMs = 0, jitterMs = 0, reorderRate = 0 } = this.weather;
    let delay = latencyMs + jitterMs * this.#random();
    if (this.#random() < reorderRate) delay += 30 * this.#random();
    this.runtime.setTimer(() => {
      const inside = [...this.#outside].find(([, outside]) => textOf(outside) === textOf(to));
      const at = inside?.[0] ?? textOf(to);
      if (inside === undefined && this.#outside.has(at)) return;
      this.#sockets.get(at)?.events.packet(packet.slice(), from);
    }, delay);
  }

  /** A machine with this address. */
  system(address: string): UdpSystem {
    return {
      bind: async (at, events) => {
        const place = { address, port: at.port === 0 ? this.#ports++ : at.port };
        const text = textOf(place);
        if (this.#sockets.has(text)) throw Object.assign(new Error(), { code: "EADDRINUSE" });
        this.#sockets.set(text, { events, place });
        return {
          place,
          send: (to, head, body) => {
            const packet = new Uint8Array(head.length + body.length);
            packet.set(head);
            packet.set(body, head.length);
            this.send(this.#outside.get(text) ?? place, to, packet);
            return true;
          },
          close: () => void this.#sockets.delete(text),
        };
      },
      soon: (callback) => this.runtime.setTimer(callback, 0),
      refusal: () => ({ ask: () => {}, close: () => {} }),
    };
  }

  /** The open sockets. */
  get places(): Place[] {
    return [...this.#sockets.values()].map(({ place }) => place);
  }

  dialling(address: string, options: KcpTransportOptions = {}): Dialling {
    return new Dialling(settingsOf({ ...options, runtime: this.runtime }, this.system(address)));
  }

  listening(address: string, options: KcpTransportOptions = {}): Listening {
    const settings = settingsOf({ ...options, runtime: this.runtime }, this.system(address));
    return new Listening("kcp", new Advertiser({}, "kcp"), (at) => Door.open(at, settings));
  }
}

export const DIALER: Place = { address: "10.0.0.1", port: 40_000 };
export const LISTENER: Place = { address: "10.0.0.2", port: 9_000 };

export interface Scene {
  readonly udp: VirtualUdp;
  readonly dialer: KcpConnection;
  readonly accepted: KcpConnection;
  /** How often somebody was accepted. */
  readonly arrivals: () => number;
  /** Cuts what is left and waits until no timer and no socket is. */
  end(): Promise<void>;
}

export interface SceneOptions {
  readonly weather?: Weather;
  readonly seed?: number;
  readonly dialer?: KcpTransportOptions;
  readonly listener?: KcpTransportOptions;
}

/** Two connected ends. */
export async function scene(options: SceneOptions = {}): Promise<Scene> {
  const udp = new VirtualUdp(options.weather, options.seed);
  const listening = udp.listening(LISTENER.address, options.listener);
  const arrived = deferred<KcpConnection>();
  let arrivals = 0;
  const at = placeSection(LISTENER);
  const listener = await listening.listen(at, (connection) => {
    arrivals++;
    arrived.resolve(connection as KcpConnection);
  });
  const dialing = dialAt(udp.dialling(DIALER.address, options.dialer));
  const dialer = await udp.runtime.during(dialing);
  const accepted = await udp.runtime.during(arrived.promise);
  return {
    udp,
    dialer,
    accepted,
    arrivals: () => arrivals,
    async end() {
      dialer.abort(new Error("the test is over"));
      accepted.abort(new Error("the test is over"));
      await listener.close();
      await udp.runtime.until(() => udp.places.length === 0, 10_000);
      // What is still in the air arrives nowhere.
      await udp.runtime.advance(1_000);
      if (udp.places.length > 0) throw new Error("a socket is left");
      if (udp.runtime.pending > 0) throw new Error(`${udp.runtime.pending} timers are left`);
    },
  };
}

export function placeSection({ address, port }: Place): Section {
  return section("kcp", address, String(port));
}

export function dialAt(
  dialling: Dialling,
  signal: AbortSignal = new AbortController().signal,
): Promise<KcpConnection> {
  const { address: host, port } = LISTENER;
  return dialling.dial(placeSection(LISTENER), { host, port }, { signal });
}
