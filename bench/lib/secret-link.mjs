/**
 * What `secret-stream` and `hyperdht` share: both give a NoiseSecretStream, which keeps the boundaries of
 * messages (one write is one data event).
 */

import { OneRequest } from "./one-request.mjs";

/**
 * @param {import("node:stream").Duplex & { opened: Promise<boolean> }} stream
 * @returns {Promise<import("./types.mjs").Link>}
 */
export async function secretLink(stream) {
  const asked = new OneRequest();
  stream.on("error", () => {});
  stream.on("data", asked.onMessage);
  if ((await stream.opened) === false) throw new Error("the secret stream did not open");
  return {
    send: (body) => stream.write(body),
    drain: () => new Promise((resolve) => stream.once("drain", () => resolve())),
    request: (body) => asked.ask(() => stream.write(body)),
    close: () =>
      new Promise((resolve) => {
        stream.once("close", () => resolve());
        stream.end();
      }),
  };
}

/**
 * @param {import("node:stream").Duplex & { opened: Promise<boolean> }} stream
 * @param {Pick<import("./types.mjs").ListenOptions, "onMessage" | "onConnection">} options
 */
export function acceptSecret(stream, { onMessage, onConnection }) {
  stream.on("error", () => {});
  stream.on("end", () => stream.end());
  stream.on("data", (body) => onMessage(body, stream));
  stream.opened.then((open) => {
    if (open) onConnection();
  });
}
