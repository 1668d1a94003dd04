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

import { Network, type NetworkOptions, type StackParts, type Transport } from "@testudo/core";
import { type KeepaliveOptions, keepalive } from "@testudo/plugins/keepalive";
import { type LatencyOptions, latency } from "@testudo/plugins/latency";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise, noiseChacha } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { type Discovery, type DiscoveryOptions, DiscoveryPlugin } from "./discovery.ts";
import { lazy } from "./lazy.ts";

export {
  type AnyPlugin,
  type Attempt,
  bytes,
  type Channel,
  type Choice,
  type ClientOptions,
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
  MultiServer,
  type MultiServerOptions,
  MultiStream,
  Network,
  type NetworkContext,
  NetworkError,
  type NetworkOptions,
  type NetworkState,
  type ParsedRoute,
  type Peer,
  type PeerContext,
  PeerId,
  type Plugin,
  parseAddress,
  protobuf,
  type Scope,
  type ServerOptions,
  type Serving,
  type StackParts,
  text,
  toWebStreams,
} from "@testudo/core";
export type { Gossip, GossipOptions } from "@testudo/plugins/gossip";
export type { Kademlia, KademliaOptions } from "@testudo/plugins/kademlia";
export { type Discovered, type Discovery, type DiscoveryOptions, discovery } from "./discovery.ts";

export interface CreateNetworkOptions extends NetworkOptions {
  /** Of `shs`: 32 bytes or their base64. Default: the network id. */
  readonly appKey?: Uint8Array | string;
  /** Options of the keepalive plugin; `false`: none. */
  readonly keepalive?: KeepaliveOptions | false;
  /** Options of the latency plugin; `false`: none. */
  readonly latency?: LatencyOptions | false;
  /**
   * Finds nodes by their ids and carries messages with `reach: "network"` to all of them: the plugins kademlia
   * and gossip, joined through `bootstrap`. To reach the plugins themselves, give what `discovery(options)` makes, and
   * ask it. Default: neither.
   */
  readonly discovery?: DiscoveryOptions | Discovery;
}

/**
 * `net`, `ws`, `unix`, `onion` and `kcp`, each with `noise` and `shs`; `net` also with `noise-chacha`, and `net` and
 * `unix` with `noauth` (on this machine only, unless allowed). All but `net` are loaded at the first use.
 */
export function defaultStacks(appKey?: Uint8Array | string): readonly StackParts[] {
  const handshake = { noise: noise(), shs: shs(appKey === undefined ? {} : { appKey }) };
  const tcp = net();
  const [web, local, tor, udp] = [webSocket(), unixSocket(), throughTor(), overUdp()];
  return [
    [tcp, handshake.noise],
    [tcp, noiseChacha()],
    [tcp, handshake.shs],
    [tcp, noauth()],
    [web, handshake.noise],
    [web, handshake.shs],
    [local, handshake.noise],
    [local, handshake.shs],
    [local, noauth()],
    [tor, handshake.noise],
    [tor, handshake.shs],
    [udp, handshake.noise],
    [udp, handshake.shs],
  ];
}

function webSocket(): Transport {
  return lazy({
    name: "ws",
    names: ["ws", "wss"],
    halfClose: false,
    load: async () => (await import("@testudo/transports/ws")).ws(),
  });
}

function unixSocket(): Transport {
  return lazy({
    name: "unix",
    // A named pipe of Windows cannot half-close.
    halfClose: process.platform !== "win32",
    load: async () => (await import("@testudo/transports/unix")).unix(),
  });
}

function throughTor(): Transport {
  return lazy({
    name: "onion",
    halfClose: false,
    listens: false,
    load: async () => (await import("@testudo/transports/onion")).onion(),
  });
}

function overUdp(): Transport {
  return lazy({
    name: "kcp",
    halfClose: true,
    load: async () => (await import("@testudo/transports/kcp")).kcp(),
  });
}

/**
 * A network that speaks the default stacks, keeps its peers alive and measures how far they are. Every
 * option of `Network` may be given; `stacks` replaces the default ones. Throws what `Network` throws, and `discovery`.
 */
export function createNetwork(options: CreateNetworkOptions = {}): Network {
  const { appKey, keepalive: alive = {}, latency: audit = {}, discovery: found, ...rest } = options;
  const finder = found === undefined ? undefined : finderOf(found);
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
  void finder?.register(network);
  return network;
}

function finderOf(found: DiscoveryOptions | Discovery): DiscoveryPlugin {
  if (!(found instanceof DiscoveryPlugin)) return new DiscoveryPlugin(found as DiscoveryOptions);
  found.checkUnused();
  return found;
}
