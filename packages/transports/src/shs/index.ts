/**
 * Transform: secret-handshake 1 and its box stream, as multiserver's `shs` speaks them.
 *
 *     new Stack([net(), shs()])        // speaks net:HOST:PORT~shs:KEY
 *
 * The dialer must know the listener's key and shows its own only to its holder; both keys are proved.
 * The app key separates networks. An address may carry an invite, `shs:KEY:SEED`: the dialer then shows
 * the key of that seed and not its own. Nothing is sent on a failure, whatever its cause. It neither
 * binds the chain of transforms nor hides that it is secret-handshake.
 */

import {
  asNetworkError,
  fromBase64,
  type HandshakeOptions,
  Identity,
  NetworkError,
  networkError,
  PeerId,
  type Section,
  type Session,
  section,
  sectionKey,
  type Transform,
  type Wire,
} from "@testudo/core";
import { BoxStream } from "./box-stream.ts";
import { curvePublicKey } from "./curve.ts";
import {
  ACCEPTANCE_BYTES,
  CHALLENGE_BYTES,
  dialerHandshake,
  listenerHandshake,
  PROOF_BYTES,
} from "./handshake.ts";
import { longTermKeys, readKeys, type ShsKeys } from "./keys.ts";

export type { ShsKeys, SodiumKeys, SsbKeys } from "./keys.ts";

export interface ShsOptions {
  /**
   * Whose key is proved: an `Identity`, libsodium's `{ publicKey, secretKey }`, or what ssb-keys loads.
   * Default: the node's own.
   */
  readonly keys?: ShsKeys;
  /** 32 bytes or their base64. Default: the network id. */
  readonly appKey?: Uint8Array | string;
  /**
   * Asked on the listener once the dialer has proved `id`, before it learns that it was accepted. What
   * it returns, or resolves to, is the session's `auth`; anything falsy, or a throw, refuses the peer.
   * Its time counts towards the handshake's deadline, and a peer that hangs up meanwhile is gone, whatever
   * the answer. Default: everybody is accepted.
   *
   * A function made for multiserver, `auth(id, callback)`, is given like this:
   *
   *     authenticate: (id) =>
   *       new Promise((resolve, reject) => auth(id.bytes, (error, ok) => (error ? reject(error) : resolve(ok))))
   */
  readonly authenticate?: (id: PeerId) => unknown;
}

type Authenticate = NonNullable<ShsOptions["authenticate"]>;

const NAME = "shs";
const KEY_BYTES = 32;

/** Throws `TypeError` or `RangeError` for options that can never work. */
export function shs(options: ShsOptions = {}): Transform {
  const { authenticate } = options;
  if (authenticate !== undefined && typeof authenticate !== "function") {
    throw new TypeError("shs authenticate must be a function");
  }
  const appKey = readAppKey(options.appKey);
  const identity = options.keys === undefined ? undefined : readKeys(options.keys);
  return {
    name: NAME,
    authenticates: true,
    ...(identity === undefined ? {} : { identity }),
    section: (node) => section(NAME, (identity ?? node).id.text),
    check(given, side) {
      if (side === "listener") checkListening(given);
      else if (curvePublicKey(readSection(given).key) === undefined) {
        throw malformed(
          keyOnly(given),
          "the key in shs:KEY is nobody's: it is no valid public key",
        );
      }
    },
    async handshake(wire, given) {
      given.signal.throwIfAborted();
      const network = appKey ?? given.networkId;
      return given.side === "dialer"
        ? dial(wire, given, network)
        : listen(wire, given, network, authenticate);
    },
  };
}

async function dial(wire: Wire, given: HandshakeOptions, appKey: Uint8Array): Promise<Session> {
  const { key, seed } = readSection(given.section);
  const own = longTermKeys(seed === undefined ? given.identity : Identity.fromSecret(seed));
  const start = dialerHandshake({ appKey, own }, key);
  wire.write(start.challenge);
  start.prepare();
  const answer = await readAnswer(
    wire,
    CHALLENGE_BYTES,
    given.signal,
    "the listener hung up on our first message: it has another app key, does not speak shs, or is full",
  );
  const proved = start.prove(answer);
  wire.write(proved.proof);
  proved.prepare();
  const acceptance = await readAnswer(
    wire,
    ACCEPTANCE_BYTES,
    given.signal,
    "the listener hung up on our proof: it has another key than the one dialled, or does not admit us",
  );
  return new BoxStream(proved.finish(acceptance), key);
}

async function listen(
  wire: Wire,
  given: HandshakeOptions,
  appKey: Uint8Array,
  authenticate: Authenticate | undefined,
): Promise<Session> {
  const start = listenerHandshake({ appKey, own: longTermKeys(given.identity) });
  const answer = start.answer(await wire.read(CHALLENGE_BYTES));
  wire.write(answer.challenge);
  answer.prepare();
  const verdict = answer.verify(await wire.read(PROOF_BYTES));
  const auth =
    authenticate === undefined
      ? undefined
      : await admit(wire, authenticate, PeerId.from(verdict.remoteKey), given.signal);
  const { acceptance, secrets } = verdict.accept();
  wire.write(acceptance);
  return new BoxStream(secrets, verdict.remoteKey, auth);
}

/** A listener refuses by hanging up, so the reason can only be guessed: `guess` says what is likely. */
async function readAnswer(
  wire: Wire,
  length: number,
  signal: AbortSignal,
  guess: string,
): Promise<Uint8Array> {
  try {
    return await wire.read(length);
  } catch (error) {
    signal.throwIfAborted();
    const cut = wire.rest().length > 0;
    const hungUp =
      !(error instanceof NetworkError) ||
      error.code === "TRUNCATED" ||
      error.code === "STREAM_CLOSED";
    if (cut || !hungUp) throw asNetworkError(error, "HANDSHAKE_FAILED", "the connection was cut");
    throw networkError("HANDSHAKE_FAILED", guess, { cause: error });
  }
}

/** A peer that hangs up before it has its answer is not there any more, and its owner is handed nothing. */
async function admit(
  wire: Wire,
  ask: Authenticate,
  id: PeerId,
  signal: AbortSignal,
): Promise<unknown> {
  const asking = async (): Promise<unknown> => {
    try {
      return await ask(id);
    } catch (cause) {
      throw refused(id, cause);
    }
  };
  const verdict = await wire.during(unlessAborted(asking(), signal));
  signal.throwIfAborted();
  if (!verdict) throw refused(id);
  return verdict;
}

function refused(id: PeerId, cause?: unknown): Error {
  const message = `authenticate ${cause === undefined ? "refused" : "failed for"} ${id.short}`;
  return networkError("PEER_REFUSED", message, { cause, peer: id.text });
}

/** What `work` settles to, or a rejection when the signal fires first; `work` is then let go. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    const settle = (): void => signal.removeEventListener("abort", onAbort);
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).then(settle, settle);
    if (signal.aborted) onAbort();
  });
}

/**
 * The key to expect and, for an invite, the seed of the identity to show. The seed is a secret, so no error
 * shows it. Arguments behind it are ignored, as multiserver does.
 */
function readSection(from: Section | undefined): { key: Uint8Array; seed?: Uint8Array } {
  const shown = keyOnly(from);
  const key = sectionKey(shown);
  if (key === undefined) throw malformed(shown, "shs dials a key: shs:KEY, 32 bytes in base64");
  const seedText = from?.args[1];
  if (seedText === undefined) return { key };
  const seed = fromBase64(seedText.trim());
  if (seed?.length !== KEY_BYTES) {
    throw malformed(shown, "the seed in shs:KEY:SEED must be 32 bytes in base64");
  }
  return { key, seed };
}

/** A listener may name its key; an invite is for those who dial. */
function checkListening(from: Section): void {
  sectionKey(from);
  if (from.args.length > 1) {
    throw malformed(keyOnly(from), "a seed in shs:KEY:SEED is for dialling; listen with keys");
  }
}

/** The section as it may be shown. */
function keyOnly(from: Section | undefined): Section {
  const [text = ""] = from?.args ?? [];
  return section(NAME, ...(text === "" ? [] : [text]));
}

function malformed(shown: Section, message: string): Error {
  return networkError("ADDRESS_MALFORMED", message, { address: shown.text });
}

function readAppKey(given: Uint8Array | string | undefined): Uint8Array | undefined {
  if (given === undefined) return undefined;
  const key = typeof given === "string" ? fromBase64(given) : given;
  if (!(key instanceof Uint8Array)) {
    throw new TypeError("shs appKey must be 32 bytes or their base64");
  }
  if (key.length !== KEY_BYTES) {
    throw new RangeError(`shs appKey must be 32 bytes, not ${key.length}`);
  }
  return new Uint8Array(key);
}
