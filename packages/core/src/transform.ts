/**
 * Transform and session: how bytes are sealed. A transform is the handshake; a session is what it leaves behind.
 */

import type { Section } from "./address.ts";
import type { Side, Wire } from "./connection.ts";
import type { Identity } from "./identity.ts";

export interface HandshakeOptions {
  readonly side: Side;
  readonly identity: Identity;
  /** The dialled address's section of this transform, on the dialer; it may name the key to expect. */
  readonly section?: Section;
  /** The names of the route's transforms, joined by `~`: both ends must mean the same chain. */
  readonly chain: string;
  /** 32 bytes. Two networks never talk to each other by accident. */
  readonly networkId: Uint8Array;
  readonly signal: AbortSignal;
}

export interface Transform {
  /** The section name in addresses: `noise`. */
  readonly name: string;
  /** Whether a session's `remoteKey` is proved. Only `noauth` and pure encodings do not. */
  readonly authenticates: boolean;
  /** Whose key it proves, in place of the node's own: `shs({ keys })`. */
  readonly identity?: Identity;
  /** Throws `AddressError` for a section that can never be used by that side: a key that cannot be read, say. */
  check?(section: Section, side: Side): void;
  /** The section others need to dial us through this transform: `noise:KEY`, `noauth`. */
  section(identity: Identity): Section;
  /**
   * Rejects `HandshakeError` (`HANDSHAKE_FAILED`, `PEER_UNEXPECTED`, `PEER_REFUSED`) or `ProtocolError`.
   * The stack holds the deadline and aborts the connection on any failure.
   */
  handshake(wire: Wire, options: HandshakeOptions): Promise<Session>;
}

/** After the handshake: plain synchronous functions over bytes. */
export interface Session {
  /** The 32-byte Ed25519 key the other side proved. */
  readonly remoteKey: Uint8Array | undefined;
  /** What the transform has to say of the other side, for example an authorisation result. */
  readonly auth?: unknown;
  /** Plaintext per box; sealing whole multiples of it wastes nothing. `Infinity` where there are no boxes. */
  readonly boxBytes: number;
  /** Seals one run of bytes, given in pieces; the result, in pieces, is to be written in order. Keeps no reference to `plain`. */
  seal(plain: readonly Uint8Array[]): Uint8Array[];
  /**
   * The verified plaintext that `chunk` completes, in pieces; keeps a partial box between calls. Throws
   * `ProtocolError` when a box was forged, replayed or cut; then the session is dead.
   */
  open(chunk: Uint8Array): Uint8Array[];
  /** The sealed goodbye; nothing may be sealed after it. Absent where the transform has none. */
  end?(): Uint8Array;
  /** The other side's goodbye was seen. Where there is none, always true: an end cannot be told from a cut. */
  readonly ended: boolean;
  /** 32 bytes that only the two ends know, for datagrams beside the stream. */
  exportKey?(label: string): Uint8Array;
}
