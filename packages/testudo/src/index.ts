/**
 * Testudo, ready-made: `createNetwork` with the usual stacks and plugins, and what a first program needs.
 *
 *     import { createNetwork, defineMessage, text } from "testudo";
 *
 *     const Say = defineMessage({ name: "say", opcode: 1000, codec: text });
 *     const network = createNetwork();
 *     await network.registerPlugin({ newMessage: ({ message }) => console.log(message.as(Say)) });
 *     console.log(await network.listen("net:0.0.0.0:9000~noise"));
 *     network.broadcast(Say.of("hello"));
 */

import { Network, type NetworkOptions, type StackParts } from "@testudo/core";
import { type KeepaliveOptions, keepalive } from "@testudo/plugins/keepalive";
import { type LatencyOptions, latency } from "@testudo/plugins/latency";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise, noiseChacha } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";

export {
  type AnyPlugin,
  bytes,
  type Channel,
  type Codec,
  type Delivery,
  type DeliveryReport,
  defineMessage,
  type GoPlugin,
  Identity,
  InboundMessage,
  json,
  type Limits,
  type Logger,
  type Message,
  type MessageContext,
  type MessageType,
  Network,
  type NetworkContext,
  NetworkError,
  type NetworkOptions,
  type NetworkState,
  type Peer,
  type PeerContext,
  PeerId,
  type Plugin,
  parseAddress,
  protobuf,
  text,
  toWebStreams,
} from "@testudo/core";

export interface CreateNetworkOptions extends NetworkOptions {
  /** Of `shs`: 32 bytes or their base64. Default: the network id. */
  readonly appKey?: Uint8Array | string;
  /** Options of the keepalive plugin; `false`: none. */
  readonly keepalive?: KeepaliveOptions | false;
  /** Options of the latency plugin; `false`: none. */
  readonly latency?: LatencyOptions | false;
}

/** `net~noise`, `net~noise-chacha`, `net~shs` and `net~noauth` (the last on loopback only, unless allowed). */
export function defaultStacks(appKey?: Uint8Array | string): readonly StackParts[] {
  return [
    [net(), noise()],
    [net(), noiseChacha()],
    [net(), shs(appKey === undefined ? {} : { appKey })],
    [net(), noauth()],
  ];
}

/**
 * A network that speaks the default stacks, keeps its peers alive and measures how far they are. Every
 * option of `Network` may be given; `stacks` replaces the default ones. Throws what `Network` throws.
 */
export function createNetwork(options: CreateNetworkOptions = {}): Network {
  const { appKey, keepalive: alive = {}, latency: audit = {}, ...rest } = options;
  const network = new Network({ stacks: defaultStacks(appKey), ...rest });
  // `listen` and `add` wait for their start-up, so nobody has to await it here.
  for (const plugin of [
    alive === false ? undefined : keepalive(alive),
    audit === false ? undefined : latency(audit),
  ]) {
    if (plugin === undefined) continue;
    network.registerPlugin(plugin).catch((error: unknown) => {
      network.logger.error({ error }, "a default plugin did not start");
    });
  }
  return network;
}
