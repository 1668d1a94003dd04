/**
 * UDP relay: a bad network in front of a UDP listener, made of real sockets. Drops, doubles, delays and mixes up,
 * and can change the port that the dialer is seen from, as a router that forgets does.
 */

import { createSocket, type Socket } from "node:dgram";
import type { Side } from "@testudo/core";
import { seededNumbers } from "./virtual-runtime.ts";

/** Rates are from 0 to 1. */
export interface RelayWeather {
  lossRate?: number;
  duplicateRate?: number;
  /** So many are held back longer than any other, so that those behind overtake them. */
  reorderRate?: number;
  /** Datagrams are held back for up to so long. */
  delayMs?: number;
  /** Longer datagrams are swallowed. */
  mtu?: number;
}

/** What becomes of a datagram on its way to that side; the weather comes after it. */
export type Meddling = (packet: Uint8Array, to: Side) => readonly Uint8Array[];

export class UdpRelay {
  weather: RelayWeather;
  meddle: Meddling = (packet) => [packet];
  readonly count = { given: 0, lost: 0, doubled: 0, reordered: 0, tooLong: 0 };
  readonly #front: Socket = createSocket("udp4");
  readonly #random: () => number;
  readonly #target: number;
  readonly #timers = new Set<NodeJS.Timeout>();
  #back: Socket | undefined;
  #dialer: number | undefined;

  /** In front of the listener at that port of loopback. */
  constructor(target: number, weather: RelayWeather = {}, seed: number = 1) {
    this.#target = target;
    this.weather = weather;
    this.#random = seededNumbers(seed);
  }

  /** The port to dial. */
  async open(): Promise<number> {
    await this.move();
    await bound(this.#front);
    this.#front.on("message", (packet, { port }) => {
      this.#dialer = port;
      this.#pass(packet, "listener");
    });
    return this.#front.address().port;
  }

  /** From now on the dialer is seen from another port, and no longer reached under the old one. */
  async move(): Promise<number> {
    const back = createSocket("udp4");
    await bound(back);
    back.on("message", (packet) => {
      if (back === this.#back) this.#pass(packet, "dialer");
    });
    const before = this.#back;
    this.#back = back;
    before?.close();
    return back.address().port;
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#back?.close();
    this.#back = undefined;
    this.#front.close();
  }

  #pass(given: Uint8Array, to: Side): void {
    // No Buffer: its `slice` would not copy.
    for (const packet of this.meddle(new Uint8Array(given), to)) this.#weathered(packet, to);
  }

  #weathered(packet: Uint8Array, to: Side): void {
    const { lossRate = 0, duplicateRate = 0, reorderRate = 0, delayMs = 0, mtu } = this.weather;
    const { count } = this;
    count.given++;
    if (packet.length > (mtu ?? Number.POSITIVE_INFINITY)) count.tooLong++;
    else if (this.#random() < lossRate) count.lost++;
    else {
      const copies = this.#random() < duplicateRate ? 2 : 1;
      count.doubled += copies - 1;
      for (let i = 0; i < copies; i++) {
        const late = this.#random() < reorderRate;
        if (late) count.reordered++;
        this.#later(packet, to, delayMs * this.#random() + (late ? delayMs + 5 : 0));
      }
    }
  }

  #later(packet: Uint8Array, to: Side, delayMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (to === "listener") this.#back?.send(packet, this.#target, "127.0.0.1");
      else if (this.#back !== undefined && this.#dialer !== undefined) {
        this.#front.send(packet, this.#dialer, "127.0.0.1");
      }
    }, delayMs);
    this.#timers.add(timer);
  }
}

function bound(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", resolve));
}
