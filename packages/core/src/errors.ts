/**
 * Errors: one base class, six families, a closed set of codes.
 *
 * `code` is the contract; `message` is for people and says what to do. A family exists only where a
 * caller would act differently. Wrong types (`TypeError`) and wrong ranges (`RangeError`) of the caller's
 * own arguments are thrown at the door and are no `NetworkError`s.
 */

export class NetworkError extends Error {
  override readonly name: string = "NetworkError";
  readonly code: ErrorCode;
  /** The address the error is about, as text. */
  readonly address?: string;
  /** The text form of the peer id the error is about. */
  readonly peer?: string;
  /** What was tried, in order of preference, when the work was to reach one of several addresses; or to listen on all, in the order asked for. */
  readonly attempts?: readonly Attempt[];

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    if (details.address !== undefined) this.address = details.address;
    if (details.peer !== undefined) this.peer = details.peer;
    if (details.attempts !== undefined) this.attempts = details.attempts;
  }
}

/** An address that cannot be read, or that this build cannot speak. */
export class AddressError extends NetworkError {
  override readonly name: string = "AddressError";
}
/** Nobody could be reached, or nothing could be listened on. */
export class DialError extends NetworkError {
  override readonly name: string = "DialError";
}
/** Somebody was reached, but the two could not agree to talk. */
export class HandshakeError extends NetworkError {
  override readonly name: string = "HandshakeError";
}
/** The other side sent bytes that break the protocol. */
export class ProtocolError extends NetworkError {
  override readonly name: string = "ProtocolError";
}
/** A stream, a request or a channel ended before the work was done. */
export class StreamError extends NetworkError {
  override readonly name: string = "StreamError";
}
/** A plugin or a message type does not fit the network it was given to. */
export class PluginError extends NetworkError {
  override readonly name: string = "PluginError";
}

export interface ErrorDetails {
  cause?: unknown;
  address?: string;
  peer?: string;
  attempts?: readonly Attempt[];
}

/** How far an attempt got: reading the address, looking the host up, connecting, shaking hands; or opening a listener. */
export type Stage = "parse" | "resolve" | "connect" | "handshake" | "listen";

/** One of the ways that were tried, and why it did not work. */
export interface Attempt {
  /** Without what is secret in it. */
  readonly address: string;
  readonly stage: Stage;
  /** When it began, in milliseconds after the first. */
  readonly afterMs: number;
  /** How long it took to fail, in milliseconds. */
  readonly tookMs: number;
  readonly cause: NetworkError;
}

/** The closed set. docs/protocol.md says which of them travel in a goodbye. */
export type ErrorCode =
  | "ADDRESS_MALFORMED"
  | "ADDRESS_UNSUPPORTED"
  | "DIAL_REFUSED"
  | "DIAL_TIMEOUT"
  | "LISTEN_FAILED"
  | "SELF_DIAL"
  | "PEER_NOT_FOUND"
  | "HANDSHAKE_FAILED"
  | "HANDSHAKE_TIMEOUT"
  | "PEER_UNEXPECTED"
  | "PEER_REFUSED"
  | "TOO_MANY_PEERS"
  | "FRAME_TOO_LARGE"
  | "FRAME_MALFORMED"
  | "CHECKSUM_MISMATCH"
  | "BODY_MALFORMED"
  | "TRUNCATED"
  | "STREAM_CLOSED"
  | "STREAM_IDLE"
  | "SEND_BUFFER_FULL"
  | "REQUEST_TIMEOUT"
  | "CHANNEL_RESET"
  | "PLUGIN_DUPLICATE"
  | "PLUGIN_FAILED"
  | "OPCODE_TAKEN"
  | "NETWORK_CLOSED";

const families: Readonly<Record<ErrorCode, typeof NetworkError>> = {
  ADDRESS_MALFORMED: AddressError,
  ADDRESS_UNSUPPORTED: AddressError,
  DIAL_REFUSED: DialError,
  DIAL_TIMEOUT: DialError,
  LISTEN_FAILED: DialError,
  SELF_DIAL: DialError,
  PEER_NOT_FOUND: DialError,
  HANDSHAKE_FAILED: HandshakeError,
  HANDSHAKE_TIMEOUT: HandshakeError,
  PEER_UNEXPECTED: HandshakeError,
  PEER_REFUSED: HandshakeError,
  TOO_MANY_PEERS: HandshakeError,
  FRAME_TOO_LARGE: ProtocolError,
  FRAME_MALFORMED: ProtocolError,
  CHECKSUM_MISMATCH: ProtocolError,
  BODY_MALFORMED: ProtocolError,
  TRUNCATED: ProtocolError,
  STREAM_CLOSED: StreamError,
  STREAM_IDLE: StreamError,
  SEND_BUFFER_FULL: StreamError,
  REQUEST_TIMEOUT: StreamError,
  CHANNEL_RESET: StreamError,
  PLUGIN_DUPLICATE: PluginError,
  PLUGIN_FAILED: PluginError,
  OPCODE_TAKEN: PluginError,
  NETWORK_CLOSED: PluginError,
};

export const ERROR_CODES: readonly ErrorCode[] = Object.keys(families) as ErrorCode[];

/** Makes an error of the family its code belongs to. The only place that picks a class. */
export function networkError(
  code: ErrorCode,
  message: string,
  details: ErrorDetails = {},
): NetworkError {
  return new families[code](code, message, details);
}

/** The same without a stack trace: for ends that are no fault, where the trace costs more than the rest and says nothing. */
export function quietError(
  code: ErrorCode,
  message: string,
  details: ErrorDetails = {},
): NetworkError {
  const depth = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return networkError(code, message, details);
  } finally {
    Error.stackTraceLimit = depth;
  }
}

/** What was thrown, as an `Error`, whatever it was. */
export function asError(thrown: unknown): Error {
  let text: string;
  try {
    // What is given on can be read: a message may be a getter that throws, or no text at all.
    if (thrown instanceof Error && typeof thrown.message === "string") return thrown;
    text = String(thrown);
  } catch {
    // An object without a usable toString: a plugin may throw anything, and this runs in handlers.
    text = "something that has no text was thrown";
  }
  return new Error(text, { cause: thrown });
}

/** What was thrown, as a `NetworkError`: kept when it is one, else wrapped under `code`. */
export function asNetworkError(
  thrown: unknown,
  code: ErrorCode,
  message: string,
  details: ErrorDetails = {},
): NetworkError {
  const error = asError(thrown);
  if (error instanceof NetworkError) return error;
  return networkError(code, `${message}: ${error.message}`, {
    ...details,
    cause: thrown,
  });
}

/** The same error about another address: what failed below is told of the route that was asked for. */
export function aboutAddress(error: NetworkError, address: string): NetworkError {
  if (error.address === address) return error;
  const peer = error.peer === undefined ? {} : { peer: error.peer };
  const attempts = error.attempts === undefined ? {} : { attempts: error.attempts };
  return networkError(error.code, error.message, {
    ...peer,
    ...attempts,
    address,
    cause: error.cause ?? error,
  });
}
