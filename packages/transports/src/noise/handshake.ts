/**
 * The Noise handshake machine: bytes in, bytes out (Noise Protocol Framework revision 34, §5.2 and §5.3).
 *
 * `new Handshake({ protocol, side, … })`, then `write` and `read` in turn until `complete`, then `split`.
 * Every pattern of patterns.ts with X25519, either cipher, any of the four hashes. It touches no socket and
 * no clock, and draws randomness only when no ephemeral pair is handed in. A failed read kills it.
 */

import { concat, EMPTY, networkError, type Side, toUtf8 } from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { CipherState, KEY_BYTES, TAG_BYTES } from "./cipher.ts";
import type { Protocol, Token } from "./patterns.ts";

const MAX_MESSAGE_BYTES = 65_535;

export interface HandshakeParameters {
  readonly protocol: Protocol;
  readonly side: Side;
  readonly prologue?: Uint8Array;
  /** Our static pair, where the pattern has one. */
  readonly staticKey?: KeyAgreement;
  /** The other side's static public key, where the pattern knows it beforehand. */
  readonly remoteStatic?: Uint8Array;
  /** 32 bytes each, in the order the pattern uses them. */
  readonly psks?: readonly Uint8Array[];
  /** Default: a fresh pair. Only tests and simulations choose it. */
  readonly ephemeralKey?: KeyAgreement;
}

/** What a finished handshake leaves behind. */
export interface SplitKeys {
  readonly seal: CipherState;
  readonly open: CipherState;
  /** 32 secret bytes beside the two keys: from them neither key can be computed. */
  readonly exporter: Uint8Array;
}

/** SymmetricState (§5.2): the running hash, the chaining key, and the cipher once there is a key. */
class SymmetricState {
  readonly #protocol: Protocol;
  #chainingKey: Uint8Array;
  #cipher: CipherState | undefined;
  hash: Uint8Array;

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
    const name = toUtf8(protocol.name);
    const hashBytes = protocol.hash === "SHA256" || protocol.hash === "BLAKE2s" ? 32 : 64;
    this.hash =
      name.length > hashBytes
        ? provider.hash(protocol.hash, name)
        : concat(name, new Uint8Array(hashBytes - name.length));
    this.#chainingKey = this.hash;
  }

  get hasKey(): boolean {
    return this.#cipher !== undefined;
  }

  mixHash(...pieces: readonly Uint8Array[]): void {
    this.hash = provider.hash(this.#protocol.hash, this.hash, ...pieces);
  }

  mixKey(material: Uint8Array): void {
    const [chainingKey, key] = this.#derive(material, 2);
    this.#chainingKey = chainingKey as Uint8Array;
    this.#setKey(key as Uint8Array);
  }

  mixKeyAndHash(material: Uint8Array): void {
    const [chainingKey, hash, key] = this.#derive(material, 3);
    this.#chainingKey = chainingKey as Uint8Array;
    this.mixHash(hash as Uint8Array);
    this.#setKey(key as Uint8Array);
  }

  encryptAndHash(plain: Uint8Array): Uint8Array {
    const sealed = this.#cipher?.seal(this.hash, [plain]) ?? [plain];
    this.mixHash(...sealed);
    return sealed.length === 1 ? (sealed[0] as Uint8Array) : concat(...sealed);
  }

  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const plain = this.#cipher === undefined ? [sealed] : this.#cipher.open(this.hash, [sealed]);
    if (plain === undefined) return undefined;
    this.mixHash(sealed);
    return plain.length === 1 ? (plain[0] as Uint8Array) : concat(...plain);
  }

  /** Split (§5.2), with HKDF's third output kept as the exporter's secret. */
  split(): readonly [dialer: CipherState, listener: CipherState, exporter: Uint8Array] {
    const [dialer, listener, exporter] = this.#derive(EMPTY, 3).map((key) =>
      key.slice(0, KEY_BYTES),
    );
    const { cipher } = this.#protocol;
    return [
      new CipherState(cipher, dialer as Uint8Array),
      new CipherState(cipher, listener as Uint8Array),
      exporter as Uint8Array,
    ];
  }

  /** Noise's HKDF is RFC 5869's with the chaining key as salt and no info (§4.3). */
  #derive(material: Uint8Array, outputs: number): Uint8Array[] {
    const size = this.hash.length;
    const bytes = provider.hkdf(
      this.#protocol.hash,
      material,
      this.#chainingKey,
      EMPTY,
      outputs * size,
    );
    return Array.from({ length: outputs }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
  }

  #setKey(key: Uint8Array): void {
    this.#cipher = new CipherState(this.#protocol.cipher, key.subarray(0, KEY_BYTES));
  }
}

export class Handshake {
  readonly #protocol: Protocol;
  readonly #side: Side;
  readonly #symmetric: SymmetricState;
  readonly #staticKey: KeyAgreement | undefined;
  readonly #psks: readonly Uint8Array[];
  #ephemeralKey: KeyAgreement | undefined;
  #remoteStatic: Uint8Array | undefined;
  #remoteEphemeral: Uint8Array | undefined;
  #boundHash: Uint8Array = EMPTY;
  #psksUsed = 0;
  #next = 0;
  #dead = false;

  /** Throws `TypeError` when a key that the pattern needs is missing or has the wrong length. */
  constructor(parameters: HandshakeParameters) {
    const { protocol, side, prologue = EMPTY, staticKey, remoteStatic, psks = [] } = parameters;
    this.#protocol = protocol;
    this.#side = side;
    this.#staticKey = staticKey;
    this.#remoteStatic = remoteStatic;
    this.#ephemeralKey = parameters.ephemeralKey;
    this.#psks = psks;
    if (psks.length !== protocol.psks || psks.some((psk) => psk.length !== KEY_BYTES)) {
      throw new TypeError(`psks must be ${protocol.psks} keys of 32 bytes for ${protocol.name}`);
    }
    const sendsStatic = protocol.messages.some(
      (tokens, index) => this.#sends(index) && tokens.includes("s"),
    );
    if (staticKey === undefined && (sendsStatic || protocol.known.includes(side))) {
      throw new TypeError(`staticKey is needed for ${protocol.name}`);
    }
    this.#symmetric = new SymmetricState(protocol);
    this.#symmetric.mixHash(prologue);
    for (const owner of protocol.known) {
      const key = owner === side ? staticKey?.publicKey : remoteStatic;
      if (key?.length !== KEY_BYTES) {
        throw new TypeError(`remoteStatic must be a key of 32 bytes for ${protocol.name}`);
      }
      this.#symmetric.mixHash(key);
    }
  }

  /** All messages are through; `split` may be called. */
  get complete(): boolean {
    return this.#next === this.#protocol.messages.length;
  }

  /** The hash of everything said so far; after the last message, the same secret-free value on both sides. */
  get hash(): Uint8Array {
    return this.#symmetric.hash;
  }

  /** The hash as it was just before the last message's payload: what a signature inside that payload covers. */
  get boundHash(): Uint8Array {
    return this.#boundHash;
  }

  /** The other side's static public key, once it was sent or when it was known. */
  get remoteStatic(): Uint8Array | undefined {
    return this.#remoteStatic;
  }

  /**
   * The next message. A payload that must cover the handshake so far is given as a function of that hash.
   * Throws `TypeError` out of turn, `RangeError` past 65,535 bytes, `HANDSHAKE_FAILED` when the other
   * side's public key is a point of low order.
   */
  write(payload: Uint8Array | ((hash: Uint8Array) => Uint8Array) = EMPTY): Uint8Array {
    const tokens = this.#begin(true);
    const pieces: Uint8Array[] = [];
    for (const token of tokens) {
      if (token === "e") pieces.push(this.#writeEphemeral());
      else if (token === "s") {
        const { publicKey } = this.#staticKey as KeyAgreement;
        pieces.push(this.#symmetric.encryptAndHash(publicKey));
      } else this.#mix(token);
    }
    this.#boundHash = this.#symmetric.hash;
    const plain = typeof payload === "function" ? payload(this.#boundHash) : payload;
    pieces.push(this.#symmetric.encryptAndHash(plain));
    const message = concat(...pieces);
    if (message.length > MAX_MESSAGE_BYTES) {
      throw new RangeError(`payload makes a message of more than ${MAX_MESSAGE_BYTES} bytes`);
    }
    this.#end();
    return message;
  }

  /**
   * The payload of the other side's message. Throws `HandshakeError` `HANDSHAKE_FAILED` when the message
   * is too short, forged, of another protocol or prologue, or has a public key of low order; `TypeError`
   * out of turn. `message` must not change afterwards.
   */
  read(message: Uint8Array): Uint8Array {
    const tokens = this.#begin(false);
    let rest = message;
    const take = (length: number): Uint8Array => {
      if (rest.length < length) throw failed("a message is too short");
      const taken = rest.subarray(0, length);
      rest = rest.subarray(length);
      return taken;
    };
    for (const token of tokens) {
      if (token === "e") this.#readEphemeral(take(KEY_BYTES));
      else if (token === "s") {
        const sealed = take(KEY_BYTES + (this.#symmetric.hasKey ? TAG_BYTES : 0));
        this.#remoteStatic = this.#decrypt(sealed);
      } else this.#mix(token);
    }
    this.#boundHash = this.#symmetric.hash;
    if (this.#symmetric.hasKey && rest.length < TAG_BYTES) throw failed("a message is too short");
    const payload = this.#decrypt(rest);
    this.#end();
    return payload;
  }

  /** The keys of the session. Throws `TypeError` before the handshake is complete. */
  split(): SplitKeys {
    if (!this.complete || this.#dead) throw new TypeError("the handshake is not complete");
    this.#dead = true;
    const [dialer, listener, exporter] = this.#symmetric.split();
    return this.#side === "dialer"
      ? { seal: dialer, open: listener, exporter }
      : { seal: listener, open: dialer, exporter };
  }

  #sends(index: number): boolean {
    return (index % 2 === 0) === (this.#side === "dialer");
  }

  /** Dead until `#end` says otherwise: whatever throws in between leaves nothing to go on with. */
  #begin(writing: boolean): readonly Token[] {
    const tokens = this.#protocol.messages[this.#next];
    if (tokens === undefined || this.#dead || this.#sends(this.#next) !== writing) {
      throw new TypeError(`it is not this side's turn to ${writing ? "write" : "read"}`);
    }
    this.#dead = true;
    return tokens;
  }

  #end(): void {
    this.#dead = false;
    this.#next++;
  }

  #writeEphemeral(): Uint8Array {
    this.#ephemeralKey ??= provider.keyAgreement();
    this.#mixEphemeral(this.#ephemeralKey.publicKey);
    return this.#ephemeralKey.publicKey;
  }

  #readEphemeral(key: Uint8Array): void {
    this.#remoteEphemeral = key;
    this.#mixEphemeral(key);
  }

  /** With pre-shared keys the ephemeral also enters the chaining key (§9.2). */
  #mixEphemeral(key: Uint8Array): void {
    this.#symmetric.mixHash(key);
    if (this.#protocol.psks > 0) this.#symmetric.mixKey(key);
  }

  #mix(token: Exclude<Token, "e" | "s">): void {
    if (token === "psk") {
      this.#symmetric.mixKeyAndHash(this.#psks[this.#psksUsed++] as Uint8Array);
      return;
    }
    // The first letter is the dialer's key, the second the listener's.
    const [first, second] = token;
    const [ours, theirs] = this.#side === "dialer" ? [first, second] : [second, first];
    const pair = ours === "e" ? this.#ephemeralKey : this.#staticKey;
    const remote = theirs === "e" ? this.#remoteEphemeral : this.#remoteStatic;
    const secret = (pair as KeyAgreement).agree(remote as Uint8Array);
    if (secret === undefined) throw failed("the other side's public key has low order");
    this.#symmetric.mixKey(secret);
  }

  #decrypt(sealed: Uint8Array): Uint8Array {
    const plain = this.#symmetric.decryptAndHash(sealed);
    if (plain === undefined) {
      throw failed(
        "a message could not be verified; the two ends do not mean the same, or bytes were altered",
      );
    }
    return plain;
  }
}

function failed(why: string): Error {
  return networkError("HANDSHAKE_FAILED", `noise: ${why}`);
}
