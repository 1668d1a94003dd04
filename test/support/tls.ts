/** A certificate for this machine, which it signed itself, and its key: for tests of `wss`. See `test/vectors/README.md`. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

function read(file: string): string {
  return readFileSync(fileURLToPath(new URL(`../vectors/${file}`, import.meta.url)), "utf8");
}

/** For `ws({ tls })`. Dial it with `ws({ dialTls: { ca: LOCALHOST.cert } })`. */
export const LOCALHOST: { readonly key: string; readonly cert: string } = {
  key: read("localhost.key.pem"),
  cert: read("localhost.cert.pem"),
};
