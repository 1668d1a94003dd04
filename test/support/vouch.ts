/**
 * Vouch: a transform for tests that believes whatever key the other side names. No secrecy, no proof.
 *
 * It costs nothing, so that thousands of handshakes fit into a second, and it is shaped like the real
 * ones: both sides know the other's key, the listener last, and an end is said and not guessed.
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

const DATA = 0;
const END = 1;
const HEAD_BYTES = 5;

/** `name` is the section name: two of them can stand in one chain. */
export function vouch(options: { name?: string } = {}): Transform {
  const { name = "vouch" } = options;
  return {
    name,
    authenticates: true,
    section: (identity) => section(name, toBase64(identity.publicKey)),
    async handshake(wire, { side, identity, section: dialled, networkId }): Promise<Session> {
      const hello = concat(identity.publicKey, networkId);
      if (side === "dialer") wire.write(hello);
      const theirs = await wire.read(64);
      if (!equal(theirs.subarray(32), networkId)) {
        throw networkError("HANDSHAKE_FAILED", "the other side is of another network");
      }
      if (side === "listener") wire.write(hello);
      const remoteKey = new Uint8Array(theirs.subarray(0, 32));
      const expected = expectedKey(dialled);
      if (expected !== undefined && !equal(expected, remoteKey)) {
        throw networkError("PEER_UNEXPECTED", "the other side is not the one that was dialled");
      }
      if (side === "dialer") wire.write(Uint8Array.of(1));
      else await wire.read(1);
      return new VouchSession(remoteKey);
    },
  };
}

/** Boxes of `u8 kind · u32 length · bytes`, as they are. */
class VouchSession implements Session {
  readonly remoteKey: Uint8Array;
  readonly boxBytes: number = 1_000;
  ended = false;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(remoteKey: Uint8Array) {
    this.remoteKey = remoteKey;
  }

  seal(plain: readonly Uint8Array[]): Uint8Array[] {
    return [box(DATA, concat(...plain))];
  }

  open(chunk: Uint8Array): Uint8Array[] {
    let left = concat(this.#rest, chunk);
    const opened: Uint8Array[] = [];
    while (left.length >= HEAD_BYTES) {
      const view = new DataView(left.buffer, left.byteOffset, left.length);
      const end = HEAD_BYTES + view.getUint32(1, true);
      if (this.ended || view.getUint8(0) > END) {
        throw networkError("FRAME_MALFORMED", "a box that is none");
      }
      if (left.length < end) break;
      if (view.getUint8(0) === END) this.ended = true;
      else opened.push(left.subarray(HEAD_BYTES, end));
      left = left.subarray(end);
    }
    this.#rest = left;
    return opened;
  }

  end(): Uint8Array {
    return box(END, new Uint8Array(0));
  }
}

function box(kind: number, plain: Uint8Array): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  const view = new DataView(head.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, plain.length, true);
  return concat(head, plain);
}

function expectedKey(dialled: Section | undefined): Uint8Array | undefined {
  return dialled === undefined ? undefined : sectionKey(dialled);
}
