/**
 * Traffic: what went over a stream, and over several of one peer together.
 */

import type { Stream } from "./stream.ts";

export interface Traffic {
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
}

export function noTraffic(): Traffic {
  return { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 };
}

/** Adds what a stream, or a sum of them, has had so far. */
export function addTraffic(into: Traffic, more: Readonly<Traffic> | Stream): void {
  into.messagesIn += more.messagesIn;
  into.messagesOut += more.messagesOut;
  into.bytesIn += more.bytesIn;
  into.bytesOut += more.bytesOut;
}
