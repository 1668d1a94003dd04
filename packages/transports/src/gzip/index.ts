/**
 * Transform `gzip`: what passes through is compressed. No secrecy and no proof of who is there.
 *
 *     new Stack([net(), noise(), gzip()])        // speaks net:HOST:PORT~noise:KEY~gzip
 *
 * Section `gzip`, without arguments, and a handshake without bytes; the boxes that follow are in session.ts.
 * It belongs on the inner side of a cipher (`noise~gzip`): behind one (`gzip~noise`) it finds nothing to
 * compress. It is never there unless an address names it, since the length of what was compressed tells
 * something of it: do not let secrets and the words of strangers share a stream (docs/security.md). Node only.
 */

import { networkError, type Section, section, type Transform } from "@testudo/core";
import { GzipSession } from "./session.ts";

export interface GzipOptions {
  /** From 1, fastest, to 9, smallest. Default 6. What is opened may have any. */
  readonly level?: number;
  /**
   * Plaintext that one chunk from below may open into; with more it is refused. Default 67,108,864, at least
   * 65,536. Whatever it says, no box opens into more than 65,536 bytes or 64 times its own.
   */
  readonly maxOutputBytes?: number;
}

const SECTION: Section = /* @__PURE__ */ section("gzip");
const DEFAULT_LEVEL = 6;
const DEFAULT_MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const MIN_MAX_OUTPUT_BYTES = 65_536;

/** Throws `RangeError` for a level or a bound that cannot be. */
export function gzip(options: GzipOptions = {}): Transform {
  const { level = DEFAULT_LEVEL, maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES } = options;
  if (!Number.isInteger(level) || level < 1 || level > 9) {
    throw new RangeError("gzip level must be a whole number from 1 to 9");
  }
  if (!Number.isSafeInteger(maxOutputBytes) || maxOutputBytes < MIN_MAX_OUTPUT_BYTES) {
    throw new RangeError(`gzip maxOutputBytes must be a whole number from ${MIN_MAX_OUTPUT_BYTES}`);
  }
  return {
    name: "gzip",
    authenticates: false,
    section: () => SECTION,
    check,
    async handshake(_wire, { section: dialled }) {
      if (dialled !== undefined) check(dialled);
      return new GzipSession(level, maxOutputBytes);
    },
  };
}

/** A key that nobody would check must not look as if it were. */
function check(given: Section): void {
  const [first] = given.args;
  if (first === undefined) return;
  const { text: address } = section(given.name, first);
  throw networkError("ADDRESS_MALFORMED", `${address} cannot be read: gzip takes no arguments`, {
    address,
  });
}
