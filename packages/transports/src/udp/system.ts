/**
 * System: what the transport asks of the machine it runs on. Tests put an imagined one in its place.
 */

import type { Timer } from "@testudo/core";
import type { Place } from "./place.ts";
import { Refusal } from "./refusal.ts";
import { type DatagramSocket, type UdpEvents, UdpSocket } from "./socket.ts";

export interface UdpSystem {
  /** Binds to an IP address. Rejects with the system's error. */
  bind(at: Place, events: UdpEvents, ipv6Only: boolean): Promise<DatagramSocket>;
  /** Calls back after what has arrived was read. */
  soon(callback: () => void): Timer;
  /** See `Refusal`. */
  refusal(
    place: Place,
    question: Uint8Array,
    refused: (error: Error) => void,
  ): Pick<Refusal, "ask" | "close">;
}

export const nodeSystem: UdpSystem = {
  bind: (at, events, ipv6Only) => UdpSocket.bind(at, events, ipv6Only),
  soon(callback) {
    const handle = setImmediate(callback);
    return { cancel: () => clearImmediate(handle) };
  },
  refusal: (place, question, refused) => new Refusal(place, question, refused),
};
