/** What kcp-go sent (`test/vectors/kcpgo-packets.json`), with its shape, and a runtime that gives out nonces one wants. */

import { fromHex, type Runtime, systemRuntime } from "@testudo/core";
import { loadOwn } from "../../../../test/support/vectors.ts";

interface CryptVector {
  readonly cipher: string;
  readonly header: number;
  readonly key: string;
  readonly packets: readonly {
    readonly nonce: string;
    readonly plain: string;
    readonly packet: string;
  }[];
}

interface FecVector {
  readonly dataShards: number;
  readonly parityShards: number;
  readonly inputs: readonly string[];
  readonly wire: readonly string[];
  readonly dropped_wire_indexes: readonly number[];
  readonly recovered_shards: readonly string[];
}

interface KeyVector {
  readonly password: string;
  readonly salt: string;
  readonly iterations: number;
  readonly keylen: number;
  readonly key: string;
}

interface Vectors {
  readonly crypt: readonly CryptVector[];
  readonly fec: readonly FecVector[];
  readonly fec_aes128: {
    readonly cipher: string;
    readonly key: string;
    readonly dataShards: number;
    readonly parityShards: number;
    readonly inputs: readonly string[];
    readonly wire: readonly string[];
  };
  readonly oob: { readonly conv: number; readonly payload: string; readonly wire: string };
  readonly seqid_wrap: {
    readonly dataShards: number;
    readonly parityShards: number;
    readonly paws: number;
    readonly start: number;
    readonly first8bytes: readonly string[];
  };
  readonly keys: { readonly pbkdf2_example: KeyVector; readonly pbkdf2_kcptun: KeyVector };
}

export const vectors: Vectors = loadOwn<Vectors>("kcpgo-packets.json");

export function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new TypeError("not hex");
  return bytes;
}

/** A runtime whose random bytes are those of the vectors: byte j of the nonce of packet i is 16 i + 3 j + 1. */
export function nonces(length: number): Runtime {
  let given = 0;
  return {
    ...systemRuntime,
    randomBytes(count) {
      const bytes = new Uint8Array(count);
      for (let at = 0; at < count; at++, given++) {
        bytes[at] = 16 * Math.floor(given / length) + 3 * (given % length) + 1;
      }
      return bytes;
    },
  };
}
