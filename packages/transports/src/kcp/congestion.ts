/**
 * Congestion control: how much may be under way, and how fast it leaves. The contract between the modern
 * flight and whoever decides that.
 *
 * The flight tells what it sees, once per datagram that arrives; the controller answers with two numbers,
 * a window and a pace. The flight looks at both before it touches a segment, so what may not leave now is
 * as it was. A controller holds no clock and no timer: `now` is the machine's own time in milliseconds,
 * with fractions. Segments are counted, not bytes: nearly all are full where it matters.
 */

/** What one datagram from the peer told. The same object every time: not to be kept. */
export interface AckSample {
  now: number;
  /** Segments newly acknowledged; 0 when the datagram only told of losses or windows. */
  acked: number;
  /** Segments acknowledged since the beginning, these included. */
  delivered: number;
  /** What `delivered` was when the newest of these segments was sent: a round trip is over when that passes a mark. */
  priorDelivered: number;
  /** The shortest round trip among them, in milliseconds; NaN when none can be told. */
  rtt: number;
  /** Segments per millisecond that the path delivered while the newest of them was under way; NaN if unknown. */
  rate: number;
  /** The rate says what the user sent, not what the path can carry. */
  appLimited: boolean;
  /** Segments under way now, those believed lost left out. */
  inFlight: number;
  /** Since the last sample a window or the pace has held segments back. */
  heldBack: boolean;
}

export interface CongestionControl {
  /** For statistics. */
  readonly name: string;
  /** Segments that may be under way. */
  readonly window: number;
  /** Segments per millisecond that may leave; `Infinity` for no pacing. */
  readonly pace: number;
  onAck(sample: AckSample): void;
  /** Later acknowledgements showed that so many segments were lost. */
  onLoss(lost: number, inFlight: number, now: number): void;
  /** So many segments waited for an acknowledgement longer than they should. */
  onTimeout(lost: number, inFlight: number, now: number): void;
}

/** What a controller may want to know at its beginning. */
export interface CongestionSettings {
  /** The largest window that the other limits allow, in segments. */
  readonly maxWindow: number;
  /** How many later acknowledgements mean a loss. */
  readonly fastResend: number;
}

export type CongestionFactory = (settings: CongestionSettings) => CongestionControl;

/** No control at all. It takes what others leave and more: for links that are one's own. */
export function noCongestionControl(): CongestionControl {
  const nothing = (): void => {};
  return {
    name: "off",
    window: Number.POSITIVE_INFINITY,
    pace: Number.POSITIVE_INFINITY,
    onAck: nothing,
    onLoss: nothing,
    onTimeout: nothing,
  };
}
