/**
 * Relay: a bad network in front of a UDP listener, made of real sockets. Drops, doubles, delays and mixes up, and
 * can change the port that the dialer is seen from, as a router that forgets does.
 */

import { createSocket, type Socket } from "node:dgram";
import { seededNumbers } from "../../../../test/support/virtual-runtime.ts";

export interface RelayWeather {
  readonly lossRate?: number;
  readonly duplicateRate?: number;
  /** Datagrams are held back for up to so long. */
  readonly delayMs?: number;
}

export class Relay {
  readonly #front: Socket = createSocket("udp4");
  readonly #weather: RelayWeather;
  readonly #random: () => number;
  readonly #target: number;
  readonly #timers = new Set<NodeJS.Timeout>();
  #back: Socket | undefined;
  #dialer: number | undefined;

  constructor(target: number, weather: RelayWeather, seed: number) {
    this.#target = target;
    this.#weather = weather;
    this.#random = seededNumbers(seed);
  }

  /** The port to dial. */
  async open(): Promise<number> {
    await this.move();
    await bound(this.#front);
    this.#front.on("message", (packet, { port }) => {
      this.#dialer = port;
      this.#pass(packet, (copy) => this.#back?.send(copy, this.#target, "127.0.0.1"));
    });
    return this.#front.address().port;
  }

  /** From now on the dialer is seen from another port, and no longer reached under the old one. */
  async move(): Promise<number> {
    const back = createSocket("udp4");
    await bound(back);
    back.on("message", (packet) => {
      if (back !== this.#back) return;
      this.#pass(packet, (copy) => {
        if (this.#dialer !== undefined) this.#front.send(copy, this.#dialer, "127.0.0.1");
      });
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

  #pass(packet: Uint8Array, send: (packet: Uint8Array) => void): void {
    const { lossRate = 0, duplicateRate = 0, delayMs = 0 } = this.#weather;
    if (this.#random() < lossRate) return;
    const copies = this.#random() < duplicateRate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        if (this.#back !== undefined) send(packet);
      }, delayMs * this.#random());
      this.#timers.add(timer);
    }
  }
}

function bound(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", resolve));
}
