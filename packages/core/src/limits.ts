/**
 * Limits: every bound of core, its default, and what happens when it is reached (docs/limits.md).
 *
 * `new Network({ limits: { maxPeers: 50 } })` changes one; the rest keep their defaults.
 */

export interface Limits {
  /** Peers held or being admitted, both directions. Reached: dials reject and arrivals are cut, `TOO_MANY_PEERS`. */
  maxPeers: number;
  /** Peers held or being admitted from one remote host; loopback, unix and memory are exempt. */
  maxPeersPerAddress: number;
  /** Handshakes under way on listeners. Reached: the oldest of the busiest host is cut to let the newest in. */
  maxHandshakes: number;
  /** The same, for one remote host; loopback counts as one host. */
  maxHandshakesPerAddress: number;
  /** From the first byte of a dial to a connected transport. Reached: `DIAL_TIMEOUT`. */
  dialTimeoutMs: number;
  /** From a connected transport to an admitted peer; traffic does not extend it. Reached: `HANDSHAKE_TIMEOUT`. */
  handshakeTimeoutMs: number;
  /** Body of one message, both directions. Sending more throws `RangeError`; receiving more closes the peer. */
  maxMessageBytes: number;
  /** Bytes waiting for one peer's socket. Reached: `send` rejects `SEND_BUFFER_FULL`; one message into an empty queue always fits. */
  maxSendBufferBytes: number;
  /** How long a peer may take no byte while some wait for it. Reached: the peer is closed, `STREAM_IDLE`. */
  stallTimeoutMs: number;
  /** How long a peer that was dialled in passing may go unused. Reached: it is closed; the other side waits three times as long. */
  passingIdleMs: number;
  /** How long a polite close waits for the other side's goodbye before it cuts. */
  closeTimeoutMs: number;
  /** Unsettled `newMessage` hooks per peer. Reached: that peer's reading pauses until one settles. */
  maxInFlight: number;
  /** A hook's time. Reached: it no longer counts as in flight and is a fault of its plugin. */
  hookTimeoutMs: number;
  /** The `close` hook's time, and that of a `startup` under way when the network closes. */
  closeHookTimeoutMs: number;
  /** Faults in a row after which a plugin is suspended. */
  maxPluginFaults: number;
  /** A request's time when its caller gives no signal. Reached: `REQUEST_TIMEOUT`. */
  requestTimeoutMs: number;
  /** Requests awaiting one peer's reply. Reached: `request` rejects `SEND_BUFFER_FULL`. */
  maxPendingRequests: number;
  /** Channels open inside one peer's stream, or handlers of such still at work. Reached: a further one is reset, `CHANNEL_RESET`. */
  maxChannels: number;
  /** Bytes one channel may have under way before its reader must take some. */
  channelWindowBytes: number;
}

export const defaultLimits: Readonly<Limits> = {
  maxPeers: 1_024,
  maxPeersPerAddress: 64,
  maxHandshakes: 256,
  maxHandshakesPerAddress: 128,
  dialTimeoutMs: 10_000,
  handshakeTimeoutMs: 10_000,
  maxMessageBytes: 4 * 1024 * 1024,
  maxSendBufferBytes: 4 * 1024 * 1024,
  stallTimeoutMs: 30_000,
  passingIdleMs: 10_000,
  closeTimeoutMs: 2_000,
  maxInFlight: 64,
  hookTimeoutMs: 30_000,
  closeHookTimeoutMs: 5_000,
  maxPluginFaults: 10,
  requestTimeoutMs: 30_000,
  maxPendingRequests: 1_024,
  maxChannels: 256,
  channelWindowBytes: 256 * 1024,
};

/** The defaults with the caller's changes; throws `TypeError` for an unknown name, `RangeError` for a value that is not a positive number. */
export function withDefaults(changes: Partial<Limits> = {}): Readonly<Limits> {
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(defaultLimits, name)) throw new TypeError(`limits.${name} is not a limit`);
    if (value === undefined) continue;
    if (typeof value !== "number" || !(value > 0)) {
      throw new RangeError(`limits.${name} must be a positive number, not ${String(value)}`);
    }
  }
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  return Object.freeze({ ...defaultLimits, ...Object.fromEntries(given) });
}
