/** placeholder */
import type { AckSample, CongestionControl, CongestionSettings } from "./congestion.ts";
export class DelayControl implements CongestionControl {
  readonly name: string = "delay";
  window = 32;
  pace: number = Number.POSITIVE_INFINITY;
  readonly #s: CongestionSettings;
  constructor(settings: CongestionSettings) {
    this.#s = settings;
    this.window = settings.maxWindow;
  }
  onAck(_sample: AckSample): void {}
  onLoss(): void {}
  onTimeout(): void {}
}
