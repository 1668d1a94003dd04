/**
 * Transform `noise`: an encrypted, mutually authenticated session over any transport.
 *
 *     const network = new Network({ stacks: [[net(), noise()]] });   // net:example.org:9000~noise:KEY
 *
 * `Noise_XX_25519_AESGCM_SHA256` (Noise Protocol Framework revision 34); `noiseChacha()` is its twin
 * `noise-chacha` with ChaChaPoly, for machines without AES instructions. The X25519 static key belongs to
 * the transform, made when first needed; the Ed25519 identity signs it anew inside every handshake. Nothing
 * is negotiated, and a dialled key that is not proved ends the handshake before message 3 and before any
 * application byte. It never falls back to anything weaker.
 *
 * Bytes, numbers little endian. Every handshake message is `u16 length · message`:
 *
 *     1  dialer → listener   e(32)                                                  32
 *     2  listener → dialer   e(32) · s(32)+tag(16) · payload(96 + offer)+tag(16)    192 + offer
 *     3  dialer → listener   s(32)+tag(16) · payload(96 + offer)+tag(16)            160 + offer
 *
 *     payload    key(32, Ed25519) · signature(64) · offer(0 to 1,024)
 *     signature  Ed25519 over "testudo/noise/1" · role(1: 0 dialer, 1 listener) · h(32) · s(32) · SHA-256(offer)
 *     h          Noise's handshake hash just before this payload is encrypted: it covers the prologue, all
 *                earlier messages, and this message up to the payload. `s` is the signer's static key.
 *     prologue   "testudo/1" · network id(32) · chain (names of the route's transforms joined by `~`)
 *
 * Then boxes, each way from its sender's split key, AD empty, nonce counting from 0:
 *
 *     u16 length (16 to 65,535) · ciphertext · tag(16)        plaintext of 0 bytes: the goodbye
 *
 * After 2^20 boxes or 64 GiB of plaintext since its last key, a direction runs Noise's REKEY; the nonce goes
 * on. Exported keys: HKDF-SHA256(secret = third output of the HKDF that splits, salt = final handshake
 * hash, info = "testudo/noise/1/export/" · label), 32 bytes.
 */

import {
  concat,
  EMPTY,
  equal,
  type HandshakeOptions,
  Identity,
  networkError,
  PeerId,
  readU16,
  type Section,
  type Side,
  section,
  sectionKey,
  type Transform,
  toUtf8,
  verify,
  type Wire,
  writeU16,
} from "@testudo/core";
import { type KeyAgreement, provider } from "@testudo/core/crypto";
import { KEY_BYTES, TAG_BYTES } from "./cipher.ts";
import { Handshake } from "./handshake.ts";
import { type Protocol, parseProtocol } from "./patterns.ts";
import { NoiseSession } from "./session.ts";

export { NoiseSession } from "./session.ts";

export interface NoiseOptions {
  /** Whose key is proved. Default: the node's own. */
  readonly identity?: Identity;
  /** What to tell the other side inside the handshake, sealed and signed: at most 1,024 bytes. Default: nothing. */
  readonly offer?: Uint8Array;
  /** Makes an X25519 pair, for the static key once and for every handshake. Default: the provider's; simulations and tests make it repeatable. */
  readonly keyPair?: () => KeyAgreement;
}

const MAX_OFFER_BYTES = 1_024;
const NETWORK_ID_BYTES = 32;
const SIGNATURE_BYTES = 64;
const PROOF_BYTES = KEY_BYTES + SIGNATURE_BYTES;
const HEADER_BYTES = 2;
/** Length of each message without an offer. */
const MESSAGE_BYTES = [
  KEY_BYTES,
  KEY_BYTES + KEY_BYTES + TAG_BYTES + PROOF_BYTES + TAG_BYTES,
  KEY_BYTES + TAG_BYTES + PROOF_BYTES + TAG_BYTES,
] as const;

/** The default: AES-256-GCM. Throws `TypeError` for an identity that is none, `RangeError` for an offer over 1,024 bytes. */
export function noise(options: NoiseOptions = {}): Transform {
  return transform("noise", "Noise_XX_25519_AESGCM_SHA256", options);
}

/** The same with ChaCha20-Poly1305. Throws as `noise()` does. */
export function noiseChacha(options: NoiseOptions = {}): Transform {
  return transform("noise-chacha", "Noise_XX_25519_ChaChaPoly_SHA256", options);
}

function transform(name: string, protocolName: string, options: NoiseOptions): Transform {
  const offer = new Uint8Array(options.offer ?? EMPTY);
  if (offer.length > MAX_OFFER_BYTES) {
    throw new RangeError(`offer must be at most ${MAX_OFFER_BYTES} bytes, not ${offer.length}`);
  }
  const { identity } = options;
  if (identity !== undefined && !(identity instanceof Identity)) {
    throw new TypeError(`${name} identity must be an Identity`);
  }
  const keyPair = options.keyPair ?? (() => provider.keyAgreement());
  const protocol = parseProtocol(protocolName);
  let staticKey: KeyAgreement | undefined;
  return {
    name,
    authenticates: true,
    ...(identity === undefined ? {} : { identity }),
    section: (node) => section(name, (identity ?? node).id.text),
    check: (given) => void readSection(given),
    handshake: async (wire, handshakeOptions) => {
      staticKey ??= keyPair();
      const shake = new Shake(wire, handshakeOptions, { protocol, staticKey, keyPair, offer });
      return handshakeOptions.side === "dialer" ? shake.dial() : shake.accept();
    },
  };
}

/** The key to expect, if the section names one. Throws `AddressError` when it cannot be read, and for anything behind it. */
function readSection(from: Section): Uint8Array | undefined {
  if (from.args.length > 1) {
    const { text: address } = section(from.name, ...from.args.slice(0, 1));
    throw networkError("ADDRESS_MALFORMED", `${from.name} takes a key and nothing behind it`, {
      address,
    });
  }
  return sectionKey(from);
}

interface Own {
  readonly protocol: Protocol;
  readonly staticKey: KeyAgreement;
  readonly keyPair: () => KeyAgreement;
  readonly offer: Uint8Array;
}

/** One handshake over one wire. */
class Shake {
  readonly #wire: Wire;
  readonly #side: Side;
  readonly #identity: Identity;
  readonly #section: Section | undefined;
  readonly #expectedKey: Uint8Array | undefined;
  readonly #own: Own;
  readonly #machine: Handshake;

  constructor(wire: Wire, options: HandshakeOptions, own: Own) {
    const { side, networkId } = options;
    if (networkId.length !== NETWORK_ID_BYTES) {
      throw new TypeError(`networkId must be ${NETWORK_ID_BYTES} bytes`);
    }
    this.#wire = wire;
    this.#side = side;
    this.#identity = options.identity;
    this.#section = options.section;
    this.#expectedKey = options.section === undefined ? undefined : readSection(options.section);
    this.#own = own;
    this.#machine = new Handshake({
      protocol: own.protocol,
      side,
      prologue: concat(toUtf8("testudo/1"), networkId, toUtf8(options.chain)),
      staticKey: own.staticKey,
      ephemeralKey: own.keyPair(),
    });
  }

  async dial(): Promise<NoiseSession> {
    this.#send(this.#machine.write());
    const listener = this.#check(await this.#receive(1), "listener");
    this.#send(this.#machine.write(this.#proof));
    return this.#session(listener);
  }

  async accept(): Promise<NoiseSession> {
    await this.#receive(0);
    this.#send(this.#machine.write(this.#proof));
    return this.#session(this.#check(await this.#receive(2), "dialer"));
  }

  #send(message: Uint8Array): void {
    const header = new Uint8Array(HEADER_BYTES);
    writeU16(header, 0, message.length);
    this.#wire.write(concat(header, message));
  }

  /** The payload of message `index`; a length that cannot be is refused before anything is kept for it. */
  async #receive(index: 0 | 1 | 2): Promise<Uint8Array> {
    const length = readU16(await this.#wire.read(HEADER_BYTES), 0);
    const shortest = MESSAGE_BYTES[index];
    if (length < shortest || length > shortest + (index === 0 ? 0 : MAX_OFFER_BYTES)) {
      throw networkError("HANDSHAKE_FAILED", "noise: the other side does not speak this handshake");
    }
    return this.#machine.read(await this.#wire.read(length));
  }

  readonly #proof = (hash: Uint8Array): Uint8Array => {
    const { staticKey, offer } = this.#own;
    const signed = statement(this.#side, hash, staticKey.publicKey, offer);
    return concat(this.#identity.publicKey, this.#identity.sign(signed), offer);
  };

  /** What the other side proved; its key may then be relied on. */
  #check(payload: Uint8Array, role: Side): { key: Uint8Array; offer: Uint8Array } {
    const key = payload.slice(0, KEY_BYTES);
    const signature = payload.subarray(KEY_BYTES, PROOF_BYTES);
    const offer = payload.length > PROOF_BYTES ? payload.slice(PROOF_BYTES) : EMPTY;
    const { boundHash, remoteStatic } = this.#machine;
    const signed = statement(role, boundHash, remoteStatic as Uint8Array, offer);
    if (!verify(key, signed, signature)) {
      throw networkError("HANDSHAKE_FAILED", "noise: the other side did not prove its key");
    }
    const expected = this.#expectedKey;
    if (expected !== undefined && !equal(expected, key)) {
      const { text: peer } = PeerId.from(key);
      const address = this.#section?.text ?? "";
      throw networkError("PEER_UNEXPECTED", `${address} was dialled but ${peer} answered`, {
        address,
        peer,
      });
    }
    return { key, offer };
  }

  #session(remote: { key: Uint8Array; offer: Uint8Array }): NoiseSession {
    return new NoiseSession({
      keys: this.#machine.split(),
      handshakeHash: this.#machine.hash,
      remoteKey: remote.key,
      offer: remote.offer,
    });
  }
}

function statement(
  role: Side,
  hash: Uint8Array,
  staticKey: Uint8Array,
  offer: Uint8Array,
): Uint8Array {
  return concat(
    toUtf8("testudo/noise/1"),
    Uint8Array.of(role === "dialer" ? 0 : 1),
    hash,
    staticKey,
    provider.hash("SHA256", offer),
  );
}
