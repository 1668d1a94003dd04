/**
 * The handshake of secret-handshake 1, both roles, as a machine: bytes in, bytes out.
 *
 * Spec: https://dominictarr.github.io/secret-handshake-paper/shs.pdf, byte layouts in docs/protocol.md.
 * Each step returns the next, so that no step can be taken out of order and a failed one leaves no way
 * on. It never touches a socket or a clock, and never sends anything after a failure: the steps throw
 * `HandshakeError` `HANDSHAKE_FAILED` and the owner hangs up.
 */

import { concat, equal, networkError } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { curvePublicKey, verifiedCurveKey } from "./curve.ts";
import { BoxKey, secretBox, TAG_BYTES } from "./secretbox.ts";

export const CHALLENGE_BYTES = 64;
export const PROOF_BYTES = 112;
export const ACCEPTANCE_BYTES = 80;

const MAC_BYTES = 32;
const SIGNATURE_BYTES = 64;
const NONCE_BYTES = 24;
/** Both handshake boxes have a key of their own, used once. */
const ZERO_NONCE: Uint8Array = /* @__PURE__ */ new Uint8Array(NONCE_BYTES);

/** A node's own long-term pair in both of its forms. */
export interface LongTermKeys {
  /** 32 bytes, Ed25519. */
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
  /** The same secret as an X25519 pair. */
  readonly agreement: KeyAgreement;
}

export interface HandshakeKeys {
  /** 32 bytes that both sides know: the network. */
  readonly appKey: Uint8Array;
  readonly own: LongTermKeys;
  /** A pair for this handshake alone. Default: a fresh one; given only by tests. */
  readonly ephemeral?: KeyAgreement;
}

/** What both sides hold in the end, from one side's point of view. */
export interface SessionSecrets {
  /** Equal on both sides; the keys of both directions come from it. */
  readonly shared: Uint8Array;
  readonly sealKey: Uint8Array;
  readonly sealNonce: Uint8Array;
  readonly openKey: Uint8Array;
  readonly openNonce: Uint8Array;
}

export interface DialerStart {
  /** Message 1, 64 bytes. */
  readonly challenge: Uint8Array;
  /** Does now what else would wait for message 2: for the time between sending and receiving. */
  prepare(): void;
  /** Takes message 2. */
  prove(challenge: Uint8Array): DialerProof;
}

export interface DialerProof {
  /** Message 3, 112 bytes. */
  readonly proof: Uint8Array;
  /** As above, for message 4. */
  prepare(): void;
  /** Takes message 4. */
  finish(acceptance: Uint8Array): SessionSecrets;
}

export interface ListenerStart {
  /** Takes message 1. */
  answer(challenge: Uint8Array): ListenerAnswer;
}

export interface ListenerAnswer {
  /** Message 2, 64 bytes. */
  readonly challenge: Uint8Array;
  /** As above, for message 3. */
  prepare(): void;
  /** Takes message 3. */
  verify(proof: Uint8Array): ListenerVerdict;
}

interface ListenerVerdict {
  /** The 32-byte Ed25519 key the dialer proved. */
  readonly remoteKey: Uint8Array;
  /** Message 4, 80 bytes, and the end of the handshake. Not called for a peer that is refused. */
  accept(): { readonly acceptance: Uint8Array; readonly secrets: SessionSecrets };
}

/** Throws `AddressError` `ADDRESS_MALFORMED` when `remoteKey` is not a key anybody can hold. */
export function dialerHandshake(keys: HandshakeKeys, remoteKey: Uint8Array): DialerStart {
  const { appKey, own } = keys;
  const remoteCurveKey = curvePublicKey(remoteKey);
  if (remoteCurveKey === undefined) {
    throw networkError("ADDRESS_MALFORMED", "the dialled key is not a valid Ed25519 public key");
  }
  const ephemeral = keys.ephemeral ?? provider.keyAgreement();
  const challenge = makeChallenge(appKey, ephemeral.publicKey);
  const secretB = once(() => agree(ephemeral, remoteCurveKey));
  return { challenge, prepare: () => void secretB(), prove };

  function prove(answer: Uint8Array): DialerProof {
    const remoteEphemeral = readChallenge(appKey, answer);
    const sealNonce = copy(answer, 0, NONCE_BYTES);
    if (equal(remoteEphemeral, ephemeral.publicKey)) {
      throw failed("our own challenge came back: something on the way echoes");
    }
    const ab = agree(ephemeral, remoteEphemeral);
    const aB = secretB();
    const hab = sha256(ab);
    const hello = concat(own.sign(concat(appKey, remoteKey, hab)), own.publicKey);
    const secret3 = once(() => sha256(appKey, ab, aB, agree(own.agreement, remoteEphemeral)));
    const proof = sealBox(sha256(appKey, ab, aB), hello);
    return { proof, prepare: () => void secret3(), finish };

    function finish(acceptance: Uint8Array): SessionSecrets {
      const signature = openBox(secret3(), acceptance);
      if (signature === undefined) throw failed("the listener's acceptance was forged or damaged");
      if (!provider.verify(remoteKey, concat(appKey, hello, hab), signature)) {
        throw failed("the listener's signature is wrong: it does not hold the dialled key");
      }
      const shared = sha256(secret3());
      return {
        shared,
        sealKey: sha256(shared, remoteKey),
        sealNonce,
        openKey: sha256(shared, own.publicKey),
        openNonce: copy(challenge, 0, NONCE_BYTES),
      };
    }
  }
}

export function listenerHandshake(keys: HandshakeKeys): ListenerStart {
  const { appKey, own } = keys;
  return { answer };

  // The MAC is looked at before any key is made: a stranger without the app key costs one hash.
  function answer(theirs: Uint8Array): ListenerAnswer {
    const remoteEphemeral = readChallenge(appKey, theirs);
    const ephemeral = keys.ephemeral ?? provider.keyAgreement();
    const ab = agree(ephemeral, remoteEphemeral);
    const hab = sha256(ab);
    const challenge = makeChallenge(appKey, ephemeral.publicKey);
    const openNonce = copy(challenge, 0, NONCE_BYTES);
    const sealNonce = copy(theirs, 0, NONCE_BYTES);
    const secretB = once(() => agree(own.agreement, remoteEphemeral));
    return { challenge, prepare: () => void secretB(), verify };

    function verify(proof: Uint8Array): ListenerVerdict {
      const aB = secretB();
      const hello = openBox(sha256(appKey, ab, aB), proof);
      if (hello === undefined) {
        throw failed("the dialer's proof cannot be opened: it dialled another key, or was damaged");
      }
      const signature = hello.subarray(0, SIGNATURE_BYTES);
      const remoteKey = copy(hello, SIGNATURE_BYTES);
      if (!provider.verify(remoteKey, concat(appKey, own.publicKey, hab), signature)) {
        throw failed("the dialer's signature is wrong: it does not hold the key it claims");
      }
      const remoteCurveKey = verifiedCurveKey(remoteKey);
      if (remoteCurveKey === undefined) throw failed("the dialer's key is not a valid public key");
      const Ab = agree(ephemeral, remoteCurveKey);
      return { remoteKey, accept };

      function accept(): { acceptance: Uint8Array; secrets: SessionSecrets } {
        const secret3 = sha256(appKey, ab, aB, Ab);
        const shared = sha256(secret3);
        return {
          acceptance: sealBox(secret3, own.sign(concat(appKey, hello as Uint8Array, hab))),
          secrets: {
            shared,
            sealKey: sha256(shared, remoteKey),
            sealNonce,
            openKey: sha256(shared, own.publicKey),
            openNonce,
          },
        };
      }
    }
  }
}

function makeChallenge(appKey: Uint8Array, ephemeral: Uint8Array): Uint8Array {
  return concat(authenticator(appKey, ephemeral), ephemeral);
}

/** The other side's ephemeral key. */
function readChallenge(appKey: Uint8Array, challenge: Uint8Array): Uint8Array {
  const ephemeral = copy(challenge, MAC_BYTES);
  if (
    challenge.length !== CHALLENGE_BYTES ||
    !equal(challenge.subarray(0, MAC_BYTES), authenticator(appKey, ephemeral))
  ) {
    throw failed("the other side has another app key, or does not speak secret-handshake 1");
  }
  return ephemeral;
}

/** NaCl's crypto_auth: HMAC-SHA-512 cut to 32 bytes, which is not SHA-512/256. */
function authenticator(key: Uint8Array, message: Uint8Array): Uint8Array {
  return provider.hmac("SHA512", key, message).subarray(0, MAC_BYTES);
}

/** What `make` gives, made at the first call. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function agree(own: KeyAgreement, remote: Uint8Array): Uint8Array {
  const secret = own.agree(remote);
  if (secret === undefined) throw failed("the other side's ephemeral key has low order");
  return secret;
}

function sha256(...pieces: readonly Uint8Array[]): Uint8Array {
  return provider.hash("SHA256", ...pieces);
}

function sealBox(key: Uint8Array, plain: Uint8Array): Uint8Array {
  const box = new Uint8Array(TAG_BYTES + plain.length);
  const cipher = secretBox();
  cipher.plain.set(plain);
  cipher.seal(new BoxKey(key, ZERO_NONCE), box.subarray(TAG_BYTES), box.subarray(0, TAG_BYTES));
  return box;
}

function openBox(key: Uint8Array, box: Uint8Array): Uint8Array | undefined {
  const sealed = box.subarray(TAG_BYTES);
  const plain = new Uint8Array(sealed.length);
  const whole = secretBox().open(
    new BoxKey(key, ZERO_NONCE),
    sealed,
    box.subarray(0, TAG_BYTES),
    plain,
  );
  return whole ? plain : undefined;
}

/** A message may be a view of a socket's buffer, where Node's `slice` would be one more view. */
function copy(bytes: Uint8Array, from: number, to?: number): Uint8Array {
  return new Uint8Array(bytes.subarray(from, to));
}

function failed(message: string): Error {
  return networkError("HANDSHAKE_FAILED", message);
}
