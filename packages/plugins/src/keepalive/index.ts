/**
 * Plugin `keepalive`: finds out who is gone, and keeps up what was asked for.
 *
 *     await network.registerPlugin(keepalive());
 *
 * A peer from which nothing came for `intervalMs` is asked for a sign of life; one from which then not a
 * byte comes for `timeoutMs` is closed, and its `nodeDeleted` says `STREAM_IDLE`. Traffic of any kind is
 * a sign of life, so a busy peer is never asked. The answer's time is `peer.roundTripMs`.
 *
 * On the wire: carrier's opcodes 2 (keepalive) and 3 (keepalive response), bodies empty. Only this plugin
 * answers them: of two nodes that may have nothing to say for long, both need it, or the one that has it
 * takes the other for dead.
 */

import {
  bytes,
  defineMessage,
  EMPTY,
  type Message,
  type MessageType,
  type Network,
  OPCODES,
  type Peer,
  type Plugin,
} from "@testudo/core";
import { numberFrom } from "../options.ts";
import { Redial, type RedialOptions } from "./redial.ts";
import { Watch } from "./watch.ts";

export type { RedialOptions } from "./redial.ts";

const Keepalive: MessageType<Uint8Array> = defineMessage({
  name: "keepalive",
  opcode: OPCODES.keepalive,
  codec: bytes,
  reserved: true,
});
const KeepaliveResponse: MessageType<Uint8Array> = defineMessage({
  name: "keepalive response",
  opcode: OPCODES.keepaliveResponse,
  codec: bytes,
  reserved: true,
});
const question: Message = Keepalive.of(EMPTY);
const answer: Message = KeepaliveResponse.of(EMPTY);

const A_DAY_MS = 86_400_000;

export interface KeepaliveOptions {
  /** How long a peer may be quiet before it is asked. Default 3,000. */
  intervalMs?: number;
  /** How long a peer that was asked may go without sending a byte before it is closed. Default 15,000. */
  timeoutMs?: number;
  /**
   * Whether an address given to `network.add` is dialled again when its peer leaves, until `network.delete`
   * takes it back or its node refuses us. Default: true, with waits of up to 1 s, 2 s … 16 s.
   */
  redial?: boolean | RedialOptions;
}

/** Throws `TypeError` or `RangeError` for options that make no sense. */
export function keepalive(options: KeepaliveOptions = {}): Plugin {
  const intervalMs = numberFrom(1, options.intervalMs ?? 3_000, "intervalMs");
  const timeoutMs = numberFrom(1, options.timeoutMs ?? 15_000, "timeoutMs");
  const redialOptions = redialFrom(options.redial ?? true);
  let watch: Watch | undefined;
  let redial: Redial | undefined;
  return {
    name: "keepalive",
    startup({ network }) {
      if (watch !== undefined) throw new TypeError("this plugin already serves a network");
      watch = new Watch(network, { intervalMs, timeoutMs, ask: (peer) => measure(network, peer) });
      if (redialOptions !== undefined) redial = new Redial(network, redialOptions);
    },
    newMessage({ message, reply }) {
      return message.as(Keepalive) === undefined ? undefined : reply(answer);
    },
    nodeAdded({ peer }) {
      watch?.add(peer);
      redial?.came(peer);
    },
    nodeDeleted({ peer, reason }) {
      watch?.delete(peer);
      redial?.left(peer, reason);
    },
    close() {
      watch?.stop();
      redial?.stop();
      watch = undefined;
      redial = undefined;
    },
  };
}

async function measure(network: Network, peer: Peer): Promise<void> {
  const askedAt = network.runtime.now();
  await peer.request(question, KeepaliveResponse);
  peer.roundTripMs = network.runtime.now() - askedAt;
}

function redialFrom(given: boolean | RedialOptions): Required<RedialOptions> | undefined {
  if (given === false) return undefined;
  const {
    minDelayMs = 1_000,
    maxDelayMs = 16_000,
    stableMs = 60_000,
  } = given === true ? {} : given;
  return {
    minDelayMs: numberFrom(1, minDelayMs, "redial.minDelayMs"),
    maxDelayMs: numberFrom(minDelayMs, maxDelayMs, "redial.maxDelayMs", A_DAY_MS),
    stableMs: numberFrom(0, stableMs, "redial.stableMs"),
  };
}
