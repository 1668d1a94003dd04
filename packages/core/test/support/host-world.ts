/**
 * Host world: a plugin host by itself, with virtual time and peers that only count what is done to them.
 */

import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { type NetworkError, networkError } from "../../src/errors.ts";
import { PeerId } from "../../src/identity.ts";
import { type Limits, withDefaults } from "../../src/limits.ts";
import {
  defineMessage,
  InboundMessage,
  type Message,
  type MessageType,
  text,
} from "../../src/message.ts";
import type { Network } from "../../src/network.ts";
import type { LivePeer } from "../../src/peer.ts";
import type { AnyPlugin, MessageContext, PeerContext, PluginState } from "../../src/plugin.ts";
import { PluginHost } from "../../src/plugin-host.ts";

export const Say: MessageType<string> = defineMessage({
  name: "say in the plugin host's tests",
  opcode: 1_501,
  codec: text,
});
export const GONE: NetworkError = networkError("TRUNCATED", "the connection was cut");

/** As much of a live peer as the host uses. */
export class FakePeer {
  readonly id: PeerId;
  inFlight = 0;
  lastError: Error | undefined;
  held = false;
  readonly replies: Message[] = [];

  constructor(n: number) {
    this.id = PeerId.from(new Uint8Array(32).fill(n));
  }

  pause(): void {
    this.held = true;
  }

  resume(): void {
    this.held = false;
  }

  async reply(message: Message): Promise<void> {
    this.replies.push(message);
  }

  get live(): LivePeer {
    return this as unknown as LivePeer;
  }
}

/** A host alone, with peers that are none. */
export class World {
  readonly runtime = new VirtualRuntime();
  readonly limits: Readonly<Limits>;
  readonly present: FakePeer[] = [];
  readonly log: string[] = [];
  readonly logged: string[] = [];
  readonly replies: unknown[] = [];
  readonly host: PluginHost;
  readonly peer = new FakePeer(1);

  constructor(limits: Partial<Limits> = {}) {
    this.limits = withDefaults(limits);
    const note =
      (level: string) =>
      (details: unknown, text: string): void => {
        this.logged.push(`${level} ${text} ${(details as { plugin: string }).plugin}`);
      };
    this.host = new PluginHost({
      network: {} as Network,
      networkId: new Uint8Array(32),
      limits: this.limits,
      runtime: this.runtime,
      logger: {
        trace: note("trace"),
        debug: note("debug"),
        info: note("info"),
        warn: note("warn"),
        error: note("error"),
      },
      peers: () => this.present.map(({ live }) => live),
      replyTo: async (origin, via, message, to) => {
        this.replies.push({ origin: origin.text, via, message, to });
      },
    });
  }

  say(line: string, peer: FakePeer = this.peer): void {
    this.host.newMessage(peer.live, inbound(line, peer.id));
  }

  state(at = 0): PluginState | undefined {
    return this.host.states[at];
  }

  /** A plugin that writes down what it is shown. */
  recorder(name: string, more: object = {}): AnyPlugin {
    const note = (entry: string): void => {
      this.log.push(`${name} ${entry}`);
    };
    return {
      name,
      startup: () => note("startup"),
      nodeAdded: ({ peer }: PeerContext) => note(`added ${number(peer.id)}`),
      newMessage: ({ message, peer }: MessageContext) =>
        note(`${message.as(Say)} from ${number(peer.id)}`),
      nodeDeleted: ({ peer, reason }: PeerContext) =>
        note(`deleted ${number(peer.id)} ${reason?.code}`),
      close: () => note("close"),
      ...more,
    };
  }
}

export function inbound(line: string, sender: PeerId): InboundMessage {
  const frame = { opcode: Say.opcode, nonce: 1, flags: 0, checksum: 0, payload: text.encode(line) };
  return new InboundMessage(frame, sender, { networkId: new Uint8Array(32), malformed: () => {} });
}

export function number(id: PeerId): number {
  return id.bytes[0] ?? 0;
}

export const boom = (): never => {
  throw new Error("boom");
};
