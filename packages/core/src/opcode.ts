/**
 * Opcodes: which numbers are whose. 0-31 carry carrier's names, 32-255 are Testudo's by blocks of 32,
 * 256-999 are kept free, applications start at 1000 (docs/protocol.md has the same table).
 */

export const OPCODES = {
  unregistered: 0,
  bytes: 1,
  keepalive: 2,
  keepaliveResponse: 3,
  proxyResponse: 9,
  ping: 10,
  pong: 11,
  lookupNodeRequest: 12,
  lookupNodeResponse: 13,
  disconnect: 14,
  proxyRequest: 15,
  metricRequest: 16,
  metricResponse: 17,
  ackResponse: 18,
  /** The listener's first frame: it is ready to admit this stream. */
  welcome: 32,
  /** The dialer's first frame: this stream is the live one. */
  confirm: 33,
  /** From either side: a peer met in passing becomes a lasting one. */
  stay: 34,
} as const;

/** Blocks of Testudo's own range; a plugin takes its numbers from one block. */
export const OPCODE_BLOCKS = {
  stream: 32,
  gossip: 64,
  dhtRelay: 96,
  nat: 128,
  kademlia: 160,
} as const;

export const APPLICATION_START = 1_000;
export const MAX_OPCODE = 0xffff_ffff;

/** Numbers that core itself speaks: no plugin sees them, nobody may send them as a message. */
export function isCoreOpcode(opcode: number): boolean {
  return (
    opcode === OPCODES.unregistered ||
    opcode === OPCODES.bytes ||
    opcode === OPCODES.disconnect ||
    (opcode >= OPCODE_BLOCKS.stream && opcode < OPCODE_BLOCKS.stream + 32)
  );
}

/**
 * Questions that plugins ask of every peer, and their answers: keepalives and pings. They say nothing of whether
 * somebody has use for the peer.
 */
export function isAuditOpcode(opcode: number): boolean {
  return (
    opcode === OPCODES.keepalive ||
    opcode === OPCODES.keepaliveResponse ||
    opcode === OPCODES.ping ||
    opcode === OPCODES.pong
  );
}

/** Throws `RangeError` unless `opcode` is a whole number of 32 bits that core does not speak itself. */
export function checkOpcode(opcode: number, argument: string): void {
  if (!Number.isInteger(opcode) || opcode < 0 || opcode > MAX_OPCODE) {
    throw new RangeError(`${argument} must be a whole number from 1 to ${MAX_OPCODE}`);
  }
  if (isCoreOpcode(opcode)) {
    throw new RangeError(
      `${argument} ${opcode} belongs to the protocol; applications start at ${APPLICATION_START}`,
    );
  }
}
