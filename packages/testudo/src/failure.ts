/**
 * Failures of the command line: what goes wrong here and not in the network, and what each costs.
 *
 * Exit codes: 0 done, 1 failed, 2 usage or a bad address. An error is known by its `code`, so that
 * nothing here needs to load the core.
 */

import type { Attempt } from "@testudo/core";

export type FailureCode =
  | "USAGE"
  | "KEY_EXISTS"
  | "KEY_MALFORMED"
  | "KEY_UNREADABLE"
  | "KEY_UNWRITABLE"
  | "FILE_UNREADABLE"
  | "INTERRUPTED"
  | "CHILD_FAILED"
  | "FAILED";

/** Something a command could not do. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  readonly code: FailureCode;

  constructor(code: FailureCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Words that make no sense. */
export class UsageError extends CommandError {
  override readonly name: string = "UsageError";

  constructor(message: string, options?: ErrorOptions) {
    super("USAGE", message, options);
  }
}

/** A failure as the last line of output shows it. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly address?: string;
  /** What was tried, when several ways could be. */
  readonly attempts?: readonly FailedAttempt[];
}

/** One way that was tried: how far it got, when it began, how long it took, and why it failed. */
interface FailedAttempt {
  readonly address: string;
  readonly stage: string;
  readonly afterMs: number;
  readonly tookMs: number;
  readonly code: string;
  readonly message: string;
}

/** What the libraries call by the name of an option of theirs, and a command by one of its own. */
const IN_OTHER_WORDS: readonly (readonly [string, string])[] = [
  ["(allowPublicNoauth)", "(--allow-public-noauth)"],
  ["ws({ tls: { key, cert } })", "--tls-cert FILE --tls-key FILE"],
  ["ws({ dialTls: { ca: CERTIFICATE } })", "--tls-ca FILE"],
  ["SOCKS port (proxy)", "SOCKS port (--proxy)"],
];

function inOurWords(message: string): string {
  return IN_OTHER_WORDS.reduce((text, [theirs, ours]) => text.replaceAll(theirs, ours), message);
}

/** Whatever was thrown, as a failure. */
export function failureOf(thrown: unknown): Failure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = "code" in error && typeof error.code === "string" ? error.code : "FAILED";
  const address = "address" in error && typeof error.address === "string" ? error.address : "";
  const attempts =
    "attempts" in error && Array.isArray(error.attempts) ? (error.attempts as Attempt[]) : [];
  return {
    code,
    message: inOurWords(error.message),
    ...(address === "" ? {} : { address }),
    ...(attempts.length === 0 ? {} : { attempts: attempts.map(failedAttempt) }),
  };
}

function failedAttempt({ cause, ...attempt }: Attempt): FailedAttempt {
  const { address, stage, afterMs, tookMs } = attempt;
  return { address, stage, afterMs, tookMs, code: cause.code, message: inOurWords(cause.message) };
}

/** What a command that failed with this exits with. */
export function exitCodeOf(thrown: unknown): number {
  const name = thrown instanceof Error ? thrown.name : "";
  return name === "UsageError" || name === "AddressError" ? 2 : 1;
}

/** The text a person gets for a failed system call on a file. */
export function fileTrouble(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "the system does not allow it";
  if (code === "EISDIR") return "it is a directory";
  return error instanceof Error ? error.message : String(error);
}
