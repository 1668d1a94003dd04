/**
 * Storage: one thing that a plugin keeps over restarts, as bytes.
 */

/** Both may reject: the plugin then logs it and goes on without. */
export interface Storage {
  /** Nothing when nothing was kept yet. */
  load(): Promise<Uint8Array | undefined>;
  /** Replaces what was kept, wholly or not at all. Never called again before it has settled. */
  save(bytes: Uint8Array): Promise<void>;
}
