/**
 * Plugin `latency`: how far away is each peer? Answers pings, sends its own, and keeps the last round
 * trips of every peer.
 *
 *     const audit = await network.registerPlugin(latency());
 *     console.log(await audit.ping(peer), "ms");
 *     console.table(audit.report());
 *
 * On the wire: carrier's opcodes 10 (ping) and 11 (pong), bodies empty. Never closes a peer: that is
 * keepalive's business.
 */

import {
  bytes,
  defineMessage,
  EMPTY,
  type Message,
  type MessageContext,
  type MessageType,
  type NetworkContext,
  NetworkError,
  OPCODES,
  type Peer,
  type PeerContext,
  type Plugin,
  type Runtime,
  type Timer,
} from "@testudo/core";
import { numberFrom } from "../options.ts";
import { type LatencyFigures, RoundTrips } from "./round-trips.ts";

export type { LatencyFigures } from "./round-trips.ts";

type Bytes = MessageType<Uint8Array>;
const Ping: Bytes = defineMessage({
  name: "ping",
  opcode: OPCODES.ping,
  codec: bytes,
  reserved: true,
});
const Pong: Bytes = defineMessage({
  name: "pong",
  opcode: OPCODES.pong,
  codec: bytes,
  reserved: true,
});
const ping: Message = Ping.of(EMPTY);
const pong: Message = Pong.of(EMPTY);

export interface LatencyOptions {
  /** How often every peer is pinged; 0: only when you call `ping`. Default 10,000. */
  intervalMs?: number;
  /** How long a ping waits before it counts as lost. Default 5,000. */
  timeoutMs?: number;
  /** Round trips kept for each peer; the oldest go first. Default 128. */
  samples?: number;
}

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function latency(options: LatencyOptions = {}): Latency {
  return new Latency(options);
}

export class Latency implements Plugin {
  readonly name: string = "latency";
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  readonly #samples: number;
  readonly #peers = new Map<Peer, RoundTrips>();
  #runtime: Runtime | undefined;
  #timer: Timer | undefined;

  constructor({ intervalMs = 10_000, timeoutMs = 5_000, samples = 128 }: LatencyOptions = {}) {
    this.#intervalMs = numberFrom(0, intervalMs, "intervalMs");
    this.#timeoutMs = numberFrom(1, timeoutMs, "timeoutMs");
    this.#samples = Math.floor(numberFrom(1, samples, "samples"));
  }

  startup({ network }: NetworkContext): void {
    if (this.#runtime !== undefined) throw new TypeError("this plugin already serves a network");
    this.#runtime = network.runtime;
    if (this.#intervalMs > 0) this.#schedule(network.runtime);
  }

  nodeAdded({ peer }: PeerContext): void {
    this.#peers.set(peer, new RoundTrips(this.#samples));
  }

  newMessage({ message, reply }: MessageContext): Promise<void> | undefined {
    return message.as(Ping) === undefined ? undefined : reply(pong);
  }

  nodeDeleted({ peer }: PeerContext): void {
    this.#peers.delete(peer);
  }

  close(): void {
    this.#timer?.cancel();
    this.#peers.clear();
    this.#runtime = undefined;
  }

  /** One round trip in milliseconds. Rejects `REQUEST_TIMEOUT`, the signal's reason, or why the peer left. */
  async ping(peer: Peer, options: { signal?: AbortSignal } = {}): Promise<number> {
    const runtime = this.#runtime;
    if (runtime === undefined) throw new TypeError("register this plugin with a network first");
    const roundTrips = this.#peers.get(peer);
    const sentAt = runtime.now();
    try {
      await peer.request(ping, Pong, { timeoutMs: this.#timeoutMs, ...options });
    } catch (error) {
      const lost = error instanceof NetworkError && error.code === "REQUEST_TIMEOUT";
      if (lost && roundTrips !== undefined) roundTrips.lost++;
      throw error;
    }
    peer.roundTripMs = runtime.now() - sentAt;
    roundTrips?.add(peer.roundTripMs);
    return peer.roundTripMs;
  }

  /** Of one peer; `undefined` before its first answer and after it left. */
  percentiles(peer: Peer): LatencyFigures | undefined {
    return this.#peers.get(peer)?.figures;
  }

  /** Of every peer that has answered: its id, and its figures. */
  report(): ({ id: string } & LatencyFigures)[] {
    return [...this.#peers].flatMap(([peer, { figures }]) =>
      figures === undefined ? [] : [{ id: peer.id.text, ...figures }],
    );
  }

  #schedule(runtime: Runtime): void {
    this.#timer = runtime.setTimer(() => {
      // What is lost is in the figures, and who left is no longer among them: nothing else to do.
      for (const peer of this.#peers.keys()) this.ping(peer).catch(() => {});
      this.#schedule(runtime);
    }, this.#intervalMs);
  }
}
