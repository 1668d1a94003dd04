/**
 * Transform `vouch`: the world says whose key is at the other end, and nobody computes anything. No secrecy,
 * and no proof outside of a simulation.
 *
 * It takes a round trip, as the real ones do: the dialer tells its key, then the listener. Section
 * `vouch:KEY`. A session passes bytes on, copied once, since whoever seals may use its buffers again.
 */

import {
  concat,
  equal,
  networkError,
  type Section,
  type Session,
  section,
  sectionKey,
  type Transform,
  toBase64,
} from "@testudo/core";
import type { Trace } from "./trace.ts";

const KEY_BYTES = 32;
const NO_SECRET: Uint8Array = /* @__PURE__ */ new Uint8Array(32);

export interface Voucher {
  readonly trace: Trace;
  /** The bytes of a key (here its text) that a node has. */
  keyOf(id: string): Uint8Array | undefined;
}

/** `node`: whose side of the handshakes it is. */
export function vouch(voucher: Voucher, node: string): Transform {
  return {
    name: "vouch",
    authenticates: true,
    section: ({ id }) => section("vouch", id.text),
    async handshake(wire, { side, identity, section: dialled, networkId }): Promise<Session> {
      const hello = concat(identity.publicKey, networkId);
      if (side === "dialer") wire.write(hello);
      const theirs = await wire.read(hello.length);
      if (!equal(theirs.subarray(KEY_BYTES), networkId)) {
        throw networkError("HANDSHAKE_FAILED", "the other side is of another network");
      }
      // The node's own bytes, not a copy for each of its connections.
      const remoteKey = voucher.keyOf(toBase64(theirs.subarray(0, KEY_BYTES)));
      if (remoteKey === undefined) {
        throw networkError("HANDSHAKE_FAILED", "the world knows no node with this key");
      }
      const expected = keyIn(dialled);
      if (expected !== undefined && !equal(expected, remoteKey)) {
        throw networkError("PEER_UNEXPECTED", "the other side is not the one that was dialled");
      }
      if (side === "listener") wire.write(hello);
      return new VouchedSession(remoteKey, voucher.trace, node);
    },
  };
}

function keyIn(dialled: Section | undefined): Uint8Array | undefined {
  return dialled === undefined ? undefined : sectionKey(dialled);
}

class VouchedSession implements Session {
  readonly remoteKey: Uint8Array;
  readonly boxBytes: number = Number.POSITIVE_INFINITY;
  /** It has no goodbye of its own: the stream's is enough. */
  readonly ended: boolean = true;
  readonly #trace: Trace;
  readonly #node: string;

  constructor(remoteKey: Uint8Array, trace: Trace, node: string) {
    this.remoteKey = remoteKey;
    this.#trace = trace;
    this.#node = node;
  }

  seal(plain: readonly Uint8Array[]): Uint8Array[] {
    return [concat(...plain)];
  }

  /** No secret: datagrams are there, and nobody seals them. */
  exportKey(): Uint8Array {
    return NO_SECRET;
  }

  open(chunk: Uint8Array): Uint8Array[] {
    this.#trace.content(this.#node, chunk);
    return [chunk];
  }
}
