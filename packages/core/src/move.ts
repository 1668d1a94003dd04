/**
 * Move: a peer goes over from one stream to another, and nothing that was accepted is lost, doubled or
 * brought out of order (docs/decisions/0008-a-peer-moves.md).
 *
 * Each side sends on the new stream from the moment it knows of the move, says goodbye on the old one
 * behind what that had accepted, and reads the new one only after the other side's goodbye on the old. The
 * new stream's listener says it first, as that is how the dialer learns that it knows.
 */

import { type NetworkError, networkError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { Runtime, Timer } from "./runtime.ts";
import type { Stream } from "./stream.ts";

export interface MoveOptions {
  readonly from: Stream;
  readonly to: Stream;
  readonly runtime: Runtime;
  /** How long the old stream may move no byte before it is given up. */
  readonly patienceMs: number;
  /** A frame of the old stream. */
  readonly frame: (frame: Frame) => void;
  /** The old stream is over: with its last messages delivered, or with the error that cut it. */
  readonly over: (error: NetworkError | undefined) => void;
  /** Nothing of the old stream is left. */
  readonly released: () => void;
}

export class Move {
  /** The stream that is left behind. */
  readonly from: Stream;

  constructor({ from, to, runtime, patienceMs, frame, over, released }: MoveOptions) {
    this.from = from;
    from.handler = {
      frame,
      ended: (reason) => over(from.saidGoodbye ? undefined : reason),
      released,
    };
    to.hold();
    // The dialer's goodbye on the old stream must not overtake its confirm on the new one.
    from.leave({ code: "STREAM_CLOSED", text: "moved to another stream" }, to.side === "listener");
    giveTime(from, runtime, patienceMs, (why) => from.abort(why));
  }
}

/** Gives a stream up once no byte came and none went for `patienceMs` although we were reading. */
export function giveTime(
  stream: Stream,
  runtime: Runtime,
  patienceMs: number,
  giveUp: (why: NetworkError) => void,
): void {
  let seen = -1;
  let timer: Timer | undefined;
  const look = (): void => {
    const moved = stream.bytesIn + stream.bytesOut;
    if (moved === seen && !stream.held) {
      giveUp(
        networkError("STREAM_IDLE", `an older stream of this node was silent for ${patienceMs} ms`),
      );
      return;
    }
    seen = moved;
    timer = runtime.setTimer(look, patienceMs);
  };
  look();
  void stream.released.then(() => timer?.cancel());
}
