/**
 * Round-trip time: an average, its spread, and from them how long to wait for an acknowledgement.
 *
 * The classic arithmetic is in whole milliseconds, rounded down as the C implementation does it; the modern
 * one keeps fractions. Never reads a clock.
 */

const MAX_RTO_MS = 60_000;
const FIRST_RTO_MS = 200;
/** So that 0 means: none yet. */
const LEAST_RTT_MS = 0.001;

export class RoundTrip {
  /** Average, in milliseconds; 0 before the first sample. */
  srtt = 0;
  rttvar = 0;
  /** How long to wait for an acknowledgement. */
  rto: number = FIRST_RTO_MS;
  readonly minRto: number;
  readonly #intervalMs: number;

  constructor(minRto: number, intervalMs: number) {
    this.minRto = minRto;
    this.#intervalMs = intervalMs;
  }

  /** A sample in whole milliseconds. */
  addClassic(rtt: number): void {
    if (this.srtt === 0) {
      this.srtt = rtt;
      this.rttvar = rtt >> 1;
    } else {
      const deviation = Math.abs(rtt - this.srtt);
      this.rttvar = Math.floor((3 * this.rttvar + deviation) / 4);
      this.srtt = Math.max(Math.floor((7 * this.srtt + rtt) / 8), 1);
    }
    this.#setRto();
  }

  /** A sample in milliseconds with fractions. */
  add(rtt: number): void {
    if (this.srtt === 0) {
      this.srtt = Math.max(rtt, LEAST_RTT_MS);
      this.rttvar = rtt / 2;
    } else {
      const error = rtt - this.srtt;
      this.rttvar += (Math.abs(error) - this.rttvar) / 4;
      this.srtt = Math.max(this.srtt + error / 8, LEAST_RTT_MS);
    }
    this.#setRto();
  }

  #setRto(): void {
    const rto = this.srtt + Math.max(this.#intervalMs, 4 * this.rttvar);
    this.rto = Math.min(Math.max(rto, this.minRto), MAX_RTO_MS);
  }
}
