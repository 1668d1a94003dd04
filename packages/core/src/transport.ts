/**
 * Transport: how bytes travel. It returns a pipe and never calls back up; the stack adds transforms.
 */

import type { Section } from "./address.ts";
import type { Connection, Listener } from "./connection.ts";

export interface Transport {
  /** The section name in addresses: `net`. */
  readonly name: string;
  /** Whether `end()` leaves the other direction open. */
  readonly halfClose: boolean;
  /**
   * Opens a connection. Rejects `AddressError` for a section that can never work, `DialError` when it
   * does not work now, and with the signal's own reason when that fires; then nothing is left open.
   */
  dial(section: Section, options: { signal: AbortSignal }): Promise<Connection>;
  /** Absent where impossible. Rejects `DialError` `LISTEN_FAILED`. `accept` must not throw. */
  listen?(section: Section, accept: (connection: Connection) => void): Promise<Listener>;
}
