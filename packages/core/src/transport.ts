/**
 * Transport: how bytes travel. It returns a pipe and never calls back up; the stack adds transforms.
 */

import type { Section } from "./address.ts";
import type { Connection, Listener, Side } from "./connection.ts";
import type { Stage } from "./errors.ts";
import type { Scope } from "./scope.ts";

export interface DialOptions {
  readonly signal: AbortSignal;
  /** Told when the work goes on to another stage: `resolve` where names are looked up, then `connect`. */
  readonly stage?: (stage: Stage) => void;
}

export interface ListenOptions {
  /**
   * Whether what is listened for proves keys. When it does not, a transport that any web page can reach
   * refuses pages of other origins, which act with the rights of whoever looks at them. Default: false.
   */
  readonly authenticated?: boolean;
}

export interface Transport {
  /** The section name in addresses: `net`. */
  readonly name: string;
  /** Every section name it speaks, when there are more than one (`ws`, `wss`); `name` is among them. */
  readonly names?: readonly string[];
  /** Whether `end()` leaves the other direction open. */
  readonly halfClose: boolean;
  /** A dial gets at least this long, where `limits.dialTimeoutMs` is known to be too short for it. */
  readonly dialTimeoutMs?: number;
  /** Throws `AddressError` for a section that can never be used by that side. Does no work and opens nothing. */
  check?(section: Section, side: Side): void;
  /**
   * Opens a connection. Rejects `AddressError` for a section that can never work, `DialError` when it
   * does not work now, and with the signal's own reason when that fires; then nothing is left open.
   */
  dial(section: Section, options: DialOptions): Promise<Connection>;
  /** Absent where impossible. Rejects `DialError` `LISTEN_FAILED`. `accept` must not throw. */
  listen?(
    section: Section,
    accept: (connection: Connection) => void,
    options?: ListenOptions,
  ): Promise<Listener>;
  /** Where its own options say to listen, as `net({ port: 3333 })` does; absent when they do not. */
  readonly place?: Section;
  /**
   * What others within `scope` dial to reach a listener that is bound at `bound`, one section for each
   * host; none when it does not serve that scope. Absent: `bound` itself, in every scope.
   */
  advertised?(bound: Section, scope: Scope): readonly Section[];
}
