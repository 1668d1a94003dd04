/**
 * Reno window: the congestion window of the C implementation, in its own integer arithmetic.
 *
 * It halves at what looks like loss and falls to one segment at a timeout, so it gives a steady rate only
 * where loss means congestion. Counts segments, and bytes for the slow growth between them.
 */

const LEAST_THRESHOLD = 2;

export class RenoWindow {
  /** Segments allowed under way; 0 until the first flush of a classic machine. */
  segments = 0;
  threshold: number = LEAST_THRESHOLD;
  /** Bytes of growth collected. */
  growth = 0;

  /** Something new was acknowledged: once per datagram, however much it was. */
  acknowledged(mss: number, remoteWindow: number): void {
    if (this.segments >= remoteWindow) return;
    if (this.segments < this.threshold) {
      this.segments++;
      this.growth += mss;
    } else {
      this.growth = Math.max(this.growth, mss);
      this.growth += Math.floor((mss * mss) / this.growth) + Math.floor(mss / 16);
      if ((this.segments + 1) * mss <= this.growth) {
        this.segments = Math.floor((this.growth + mss - 1) / mss);
      }
    }
    if (this.segments > remoteWindow) {
      this.segments = remoteWindow;
      this.growth = remoteWindow * mss;
    }
  }

  /** Later acknowledgements showed a loss. */
  lost(underWay: number, resend: number, mss: number): void {
    this.threshold = Math.max(underWay >>> 1, LEAST_THRESHOLD);
    this.segments = this.threshold + resend;
    this.growth = this.segments * mss;
  }

  /** Nothing was heard for too long. */
  timedOut(before: number, mss: number): void {
    this.threshold = Math.max(before >>> 1, LEAST_THRESHOLD);
    this.segments = 1;
    this.growth = mss;
  }

  /** At least one segment may always travel. */
  open(mss: number): void {
    if (this.segments >= 1) return;
    this.segments = 1;
    this.growth = mss;
  }
}
