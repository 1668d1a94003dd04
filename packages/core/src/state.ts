/**
 * State: the snapshot that `networkState()` gives. Plain data, frozen, fit for `JSON.stringify`.
 */

import type { Side } from "./connection.ts";
import type { LivePeer } from "./peer.ts";
import type { PluginState } from "./plugin.ts";
import { addTraffic } from "./traffic.ts";

export interface PeerState {
  readonly id: string;
  readonly address: string;
  /** Who dialled: `dialer` is us. */
  readonly side: Side;
  /** `connected`, or `congested` while messages wait for the peer's connection. */
  readonly state: "connected" | "congested";
  readonly authenticated: boolean;
  readonly writable: boolean;
  /** Met only to ask something, and closed when idle. */
  readonly passing: boolean;
  /** Milliseconds, or `null` before it was measured. */
  readonly roundTripMs: number | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  /** Bytes accepted and waiting for the connection. */
  readonly queuedBytes: number;
  readonly pendingRequests: number;
  readonly channels: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly lastError: { readonly code: string; readonly message: string } | null;
}

export interface Counters {
  messagesIn: number;
  messagesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Peers that ever entered the table. */
  added: number;
  /** Peers that left it. */
  deleted: number;
}

export interface NetworkState {
  readonly id: string;
  /** Listening addresses, as others can dial them. */
  readonly addresses: readonly string[];
  readonly peers: readonly PeerState[];
  /** Since the network was made; peers that left are included. */
  readonly counters: Readonly<Counters>;
  readonly plugins: readonly PluginState[];
}

export function snapshot(of: {
  id: string;
  addresses: readonly string[];
  peers: Iterable<LivePeer>;
  counters: Readonly<Counters>;
  plugins: readonly PluginState[];
}): NetworkState {
  const counters = { ...of.counters };
  const peers: PeerState[] = [];
  for (const peer of of.peers) {
    addTraffic(counters, peer.traffic);
    peers.push(Object.freeze(stateOf(peer)));
  }
  return Object.freeze({
    id: of.id,
    addresses: Object.freeze([...of.addresses]),
    peers: Object.freeze(peers),
    counters: Object.freeze(counters),
    plugins: Object.freeze(of.plugins.map((plugin) => Object.freeze(plugin))),
  });
}

function stateOf(peer: LivePeer): PeerState {
  const { lastError, stream, traffic } = peer;
  return {
    id: peer.id.text,
    address: peer.address,
    side: peer.side,
    state: stream.queuedBytes > 0 ? "congested" : "connected",
    authenticated: peer.authenticated,
    writable: peer.writable,
    passing: peer.passing,
    roundTripMs: peer.roundTripMs ?? null,
    bytesIn: traffic.bytesIn,
    bytesOut: traffic.bytesOut,
    messagesIn: traffic.messagesIn,
    messagesOut: traffic.messagesOut,
    queuedBytes: stream.queuedBytes,
    pendingRequests: peer.pendingRequests,
    channels: peer.channels,
    since: peer.since,
    lastError:
      lastError === undefined
        ? null
        : Object.freeze({ code: lastError.code, message: lastError.message }),
  };
}
