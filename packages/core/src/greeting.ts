/**
 * Greeting: the byte in the first frame of each side (docs/protocol.md), and the empty `stay` that may follow later.
 *
 * What the numbers bring about is decided in `pairing.ts` and `lobby.ts`; here is only what they look like.
 */

import type { Frame } from "./frame.ts";
import { OPCODES } from "./opcode.ts";

/** What the dialer says of the stream it decided for. */
export interface Confirmation {
  /** It has no older stream of this pair winding down: what the listener still holds is dead. */
  readonly fresh: boolean;
  /** The stream takes the place of the one that both sides have. */
  readonly moves: boolean;
  /** It only wants to ask something (docs/decisions/0011-peers-in-passing.md). */
  readonly passing: boolean;
}

const FRESH = 1;
const MOVES = 2;
const PASSING = 4;
/** Of each frame the bytes that mean something. A move keeps what the peer is, so there is no 6. */
const KNOWN: Readonly<Record<32 | 33, readonly number[]>> = {
  [OPCODES.welcome]: [0, 1, 2, 3],
  [OPCODES.confirm]: [0, FRESH, MOVES, PASSING, PASSING | FRESH],
};

export function confirmByte({ fresh, moves, passing }: Confirmation): number {
  if (moves) return MOVES;
  return (fresh ? FRESH : 0) | (passing ? PASSING : 0);
}

export function confirmationOf(byte: number): Confirmation {
  return { fresh: (byte & ~PASSING) !== 0, moves: byte === MOVES, passing: (byte & PASSING) !== 0 };
}

/** The byte of a frame that is this welcome or confirm, and nothing when it is neither or breaks its form. */
export function greetingByte(frame: Frame, opcode: 32 | 33): number | undefined {
  const [byte] = frame.payload;
  const fits =
    frame.opcode === opcode && frame.nonce + frame.flags === 0 && frame.payload.length === 1;
  return fits && byte !== undefined && KNOWN[opcode].includes(byte) ? byte : undefined;
}

/** Whether a frame is a `stay` as it must be. */
export function isStay(frame: Frame): boolean {
  return (
    frame.opcode === OPCODES.stay && frame.nonce + frame.flags === 0 && frame.payload.length === 0
  );
}
