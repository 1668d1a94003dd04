/**
 * Testudo's core: the public list, grouped by noun. Start at `network.ts`, which reads top to bottom.
 */

// Identity and addresses
export * from "./address.ts";
// Bytes and queues
export * from "./bytes.ts";
// Peers, streams and channels
export type { Channel } from "./channel.ts";
// Transports and transforms
export * from "./connection.ts";
export { Deadlines } from "./deadlines.ts";
export type { Delivery, DeliveryReport, Reach } from "./delivery.ts";
// Ways to a node
export type { Choice } from "./dialer.ts";
// Errors, limits, logging, time
export * from "./errors.ts";
export type { PeerName } from "./fan-out.ts";
export type { Goodbye } from "./goodbye.ts";
export { Identity, PeerId, verify } from "./identity.ts";
export { defaultLimits, type Limits } from "./limits.ts";
export type { Authorize } from "./lobby.ts";
export { type Logger, silent } from "./logger.ts";
// Messages
export {
  bytes,
  type Codec,
  defineMessage,
  InboundMessage,
  json,
  type Message,
  type MessageType,
  protobuf,
  type SignedMessage,
  text,
} from "./message.ts";
export { MultiStream } from "./multi-stream.ts";
export {
  type ClientOptions,
  MultiServer,
  type MultiServerOptions,
  type ParsedRoute,
  type ServerOptions,
  type Serving,
} from "./multiserver.ts";
// The network
export { type AddOptions, type ChannelHandler, Network, type NetworkOptions } from "./network.ts";
export { APPLICATION_START, isCoreOpcode, MAX_OPCODE, OPCODE_BLOCKS, OPCODES } from "./opcode.ts";
export type { Peer } from "./peer.ts";
// Plugins
export type {
  AnyPlugin,
  FindOptions,
  GoPlugin,
  MessageContext,
  NetworkContext,
  PeerContext,
  Plugin,
  PluginState,
  PluginStatus,
} from "./plugin.ts";
export { type Deferred, deferred, Fifo, Inbox, type InboxSource } from "./queue.ts";
export { ATTEMPT_DELAY_MS, OUTRUN, type RaceOptions, race } from "./race.ts";
export * from "./runtime.ts";
export { readScopes, SCOPES, type Scope } from "./scope.ts";
export { SealedConnection } from "./session.ts";
export {
  type Link,
  Stack,
  type StackDialOptions,
  type StackOptions,
  type StackParts,
  type Wrap,
} from "./stack.ts";
export type { Counters, NetworkState, PeerState } from "./state.ts";
export type { HandshakeOptions, Session, Transform } from "./transform.ts";
export type { DialOptions, ListenOptions, Transport } from "./transport.ts";
export { toWebStreams, type WebStreams } from "./web-streams.ts";
