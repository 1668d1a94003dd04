/**
 * Connection over KCP: a session's pipe of bytes, with its datagrams.
 */

import type { Section } from "@testudo/core";
import { SessionConnection } from "../udp/connection.ts";
import { KcpDatagrams } from "./datagrams.ts";
import { type Carrier, Session, type SessionParts, type SessionStatistics } from "./session.ts";

export class KcpConnection extends SessionConnection {
  /** Unreliable messages beside the stream. */
  readonly datagrams: KcpDatagrams;
  readonly session: Session;

  constructor(remote: Section, local: boolean, parts: SessionParts, carrier: Carrier) {
    super(remote, local);
    const datagram = (body: Uint8Array): void => this.datagrams.receive(body);
    this.session = new Session(parts, carrier, { ...this.events, datagram });
    this.datagrams = new KcpDatagrams(
      {
        room: () => this.session.datagramRoom,
        transmit: (body) => this.session.sendDatagram(body),
      },
      parts.side,
    );
  }

  /** What the machine below is doing: round trip, windows, resends, size of datagrams. For statistics. */
  get statistics(): SessionStatistics {
    return this.session.statistics;
  }

  protected override cut(reason: Error): void {
    this.session.abort(reason);
  }

  protected override settle(error: Error | undefined): void {
    super.settle(error);
    this.datagrams.finish();
  }
}
