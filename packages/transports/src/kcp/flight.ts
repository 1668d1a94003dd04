/**
 * Flight: what both policies have in common about segments that were sent and not yet acknowledged.
 *
 * A flight is told of every header that arrives, and puts what is to travel now into the packer. The
 * policies differ in when they think a segment lost and in how much they let out at a time.
 */

import type { Packer } from "./packer.ts";

export interface Flight {
  /** The oldest number not acknowledged, and the number that the next new segment gets; signed integers. */
  readonly una: number;
  readonly next: number;
  /** Segments sent and not acknowledged. */
  readonly count: number;
  /** The peer's window, in segments, as it last said. */
  readonly remoteWindow: number;
  /** Segments that congestion control allows under way. */
  readonly congestionWindow: number;
  /** Some segment has been sent as often as the options allow. */
  readonly dead: boolean;
  /** Segments sent again because of time, and because of later acknowledgements. */
  readonly timeouts: number;
  readonly fastResends: number;

  /** The window and the acknowledgements of a header; `ack` says that `sn` and `ts` are one. False: it lies. */
  header(ack: boolean, wnd: number, una: number, sn: number, ts: number): boolean;
  /** After the last header of a datagram; `whole` is false when the datagram broke off. */
  endInput(whole: boolean): void;
  /** Sends what is to be sent. */
  transmit(packer: Packer): void;
  /** Milliseconds until something is to be done if nothing arrives; 0 for now. */
  wait(): number;
}
