/** The published packages' own bytes (`test/vectors/shs.json`), with their shape and hex readers. */

import { fromHex, Identity } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { loadOwn } from "../../../../test/support/vectors.ts";
import { curveAgreement } from "../../src/shs/curve.ts";
import type { LongTermKeys } from "../../src/shs/handshake.ts";

export interface PartyVector {
  readonly ed25519Seed: string;
  readonly publicKey: string;
  readonly secretKey: string;
  readonly curvePublicKey: string;
  readonly curveSecretKey: string;
  readonly ephemeralSeed: string;
  readonly ephemeralSecretKey: string;
  readonly ephemeralPublicKey: string;
}

export interface StreamVector {
  readonly messages: readonly {
    readonly plain: string;
    readonly frames: readonly { plainLength: number; header: string; body: string }[];
  }[];
  readonly goodbye: string;
  readonly wireLength: number;
  readonly wireSha256: string;
}

export interface CaseVector {
  readonly name: string;
  readonly appKey: string;
  readonly keys: { readonly client: PartyVector; readonly server: PartyVector };
  readonly messages: Readonly<
    Record<"clientChallenge" | "serverChallenge" | "clientAuth" | "serverAccept", string>
  >;
  readonly lengths: CaseVector["messages"] extends infer M ? { [K in keyof M]: number } : never;
  readonly secrets: Readonly<
    Record<"ab" | "sha256_ab" | "aB" | "secret2" | "Ab" | "secret3" | "clientHelloPlain", string>
  >;
  readonly session: Readonly<
    Record<
      | "sessionSecret"
      | "clientToServerKey"
      | "serverToClientKey"
      | "clientToServerNonce"
      | "serverToClientNonce",
      string
    >
  >;
  readonly boxStream?: {
    readonly clientToServer: StreamVector;
    readonly serverToClient: StreamVector;
  };
}

export interface ShsVectors {
  readonly cases: readonly CaseVector[];
  readonly boxStreamNonce: readonly (StreamVector & { name: string; key: string; nonce: string })[];
  readonly boxStreamEmpty: StreamVector & { readonly key: string; readonly nonce: string };
  readonly boxStreamEmptyBufferIsDropped: {
    readonly key: string;
    readonly nonce: string;
    readonly inputs: readonly string[];
    readonly chunks: readonly string[];
  };
}

export const vectors: ShsVectors = loadOwn<ShsVectors>("shs.json");

export function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new Error(`not hex: ${text.slice(0, 20)}`);
  return bytes;
}

/** The first case, which has everything. */
export function mainCase(): CaseVector {
  const [first] = vectors.cases;
  if (first === undefined) throw new Error("shs.json has no cases");
  return first;
}

export function longTerm(seed: Uint8Array): LongTermKeys {
  const identity = Identity.fromSecret(seed);
  return {
    publicKey: identity.publicKey,
    sign: (message) => identity.sign(message),
    agreement: curveAgreement(seed),
  };
}

export function ephemeral(party: PartyVector): KeyAgreement {
  return provider.keyAgreement(hex(party.ephemeralSecretKey));
}
