/**
 * Vectors: finds and reads test data.
 *
 * The project's own vectors lie in `test/vectors/`. Large public collections (Wycheproof, cacophony,
 * snow) are not copied in: whoever has them names their folder in TESTUDO_PUBLIC_VECTORS, and the
 * suites that need them skip themselves, saying so, when it is unset.
 */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What a suite shows in place of its tests when the public vectors are not there. */
export const NO_PUBLIC_VECTORS =
  "skipped: TESTUDO_PUBLIC_VECTORS names no folder of public vectors";

/** The folder of public vectors, or `undefined` when the variable is unset or names no folder. */
export function publicVectors(): string | undefined {
  const folder = process.env["TESTUDO_PUBLIC_VECTORS"];
  if (folder === undefined || folder === "") return undefined;
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? folder : undefined;
}

/** Reads a JSON file of the public vectors, e.g. `"wycheproof/x25519_test.json"`. The caller says what shape it has. */
export function loadPublic<T>(file: string): T {
  const folder = publicVectors();
  if (folder === undefined) throw new Error(NO_PUBLIC_VECTORS);
  return JSON.parse(readFileSync(join(folder, file), "utf8")) as T;
}

/** Reads a JSON file of `test/vectors/`. The caller says what shape it has. */
export function loadOwn<T>(file: string): T {
  const path = fileURLToPath(new URL(`../vectors/${file}`, import.meta.url));
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

/** One vector of the Noise collections (cacophony, snow). Bytes are hex. */
export interface NoiseVector {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_static?: string;
  readonly init_ephemeral: string;
  readonly init_remote_static?: string;
  readonly init_psks?: readonly string[];
  readonly resp_prologue: string;
  readonly resp_static?: string;
  readonly resp_ephemeral?: string;
  readonly resp_remote_static?: string;
  readonly resp_psks?: readonly string[];
  readonly handshake_hash?: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

/** The Noise vectors of one collection; throws when the public vectors are not there. */
export function noiseVectors(collection: "cacophony" | "snow"): readonly NoiseVector[] {
  const { vectors } = loadPublic<{ vectors: readonly NoiseVector[] }>(
    `${collection}/${collection}.txt`,
  );
  return vectors;
}
