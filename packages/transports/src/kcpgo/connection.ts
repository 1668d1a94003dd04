/**
 * Connection over a kcp-go session: a pipe of bytes whose end the other side is not told of.
 *
 * The protocol knows no end and no cut. `end()` waits until all that was written has arrived, and ends both
 * directions soon after; `close()` reads on until the other side has been quiet for a moment. The other side
 * notices by its idle timeout, or by a transform's goodbye.
 */

import type { Section } from "@testudo/core";
import type { KcpStatistics } from "../kcp/machine.ts";
import { SessionConnection } from "../udp/connection.ts";
import { type Carrier, Session, type SessionParts } from "./session.ts";

export class KcpgoConnection extends SessionConnection {
  readonly session: Session;

  constructor(remote: Section, local: boolean, parts: SessionParts, carrier: Carrier) {
    super(remote, local);
    this.session = new Session(parts, carrier, this.events);
  }

  /** What the machine below is doing, and how many datagrams were rebuilt. For statistics. */
  get statistics(): KcpStatistics & { readonly recovered: number } {
    return this.session.statistics;
  }

  protected override cut(reason: Error): void {
    this.session.drop(reason);
  }
}
