/**
 * Reno: the C implementation's congestion window under the modern policy. No pacing.
 *
 * Takes every loss for congestion: on a path that loses one segment in a hundred by itself it is slow. It
 * is here to be compared with, and for those who must share a queue with it.
 */

import type { AckSample, CongestionControl, CongestionSettings } from "./congestion.ts";
import { RenoWindow } from "./reno-window.ts";

/** The C arithmetic wants bytes: any size of segment gives the same windows. */
const MSS = 1_376;

export class RenoControl implements CongestionControl {
  readonly name: string = "reno";
  readonly pace: number = Number.POSITIVE_INFINITY;
  readonly #window: RenoWindow = new RenoWindow();
  readonly #settings: CongestionSettings;

  constructor(settings: CongestionSettings) {
    this.#settings = settings;
    this.#window.open(MSS);
  }

  get window(): number {
    return this.#window.segments;
  }

  onAck(sample: AckSample): void {
    if (sample.acked > 0) this.#window.acknowledged(MSS, this.#settings.maxWindow);
  }

  onLoss(_lost: number, inFlight: number): void {
    this.#window.lost(inFlight, this.#settings.fastResend, MSS);
  }

  onTimeout(): void {
    this.#window.timedOut(this.#window.segments, MSS);
  }
}
