/**
 * The C implementation of KCP, by the npm package node-kcp: an optional dependency, since it needs a compiler.
 */

import { createRequire } from "node:module";

/**
 * @typedef {object} NativeKcp  One machine, as the package has it.
 * @property {(conv: number) => void} [release]
 * @property {(callback: (datagram: Buffer, size: number) => void) => void} output
 * @property {(bytes: Uint8Array) => number} send
 * @property {(datagram: Uint8Array) => number} input
 * @property {() => Buffer | undefined} recv  In stream mode all that is there.
 * @property {(now: number) => void} update
 * @property {(now: number) => number} check  Milliseconds until `update` is due.
 * @property {() => number} waitsnd
 * @property {(mtu: number) => number} setmtu
 * @property {(send: number, receive: number) => number} wndsize
 * @property {(noDelay: number, intervalMs: number, fastResend: number, noCongestion: number) => number} nodelay
 * @property {(stream: number) => void} stream
 */

/** @returns {(new (conv: number) => NativeKcp) | undefined} `undefined` where it is not installed or was not built. */
function load() {
  try {
    // The package's own `main` names a script of its build.
    return createRequire(import.meta.url)("node-kcp/index.js").KCP;
  } catch {
    return undefined;
  }
}

export const NativeKcp = load();

export const MISSING =
  "node-kcp is not there: it is optional and needs a compiler, Python and Node's headers (npm rebuild node-kcp says more)";

/**
 * @typedef {object} NativeSettings
 * @property {number} [mtu]
 * @property {number} [window]
 * @property {number} [noDelay]
 * @property {number} [intervalMs]
 * @property {number} [fastResend]
 * @property {boolean} [congestion]  The package's own, which its users mostly switch off. Default false.
 * @property {boolean} [stream]
 */

/**
 * A machine in the settings that its users call fast, or others.
 * @param {number} conv
 * @param {(datagram: Buffer) => void} output
 * @param {NativeSettings} [settings]
 */
export function nativeKcp(conv, output, settings = {}) {
  if (NativeKcp === undefined) throw new Error(MISSING);
  const { mtu = 1_400, window = 128, noDelay = 1, intervalMs = 10, fastResend = 2 } = settings;
  const kcp = new NativeKcp(conv);
  kcp.output(output);
  kcp.nodelay(noDelay, intervalMs, fastResend, settings.congestion === true ? 0 : 1);
  kcp.wndsize(window, window);
  kcp.setmtu(mtu);
  kcp.stream(settings.stream === true ? 1 : 0);
  return kcp;
}
