/**
 * The imagined paths that the tests use, for measurements in virtual time: how fast this machine is has no part in
 * them, and the same seed gives the same figures.
 */

import { tsImport } from "tsx/esm/api";
import { nativeKcp } from "./node-kcp.mjs";

/** @param {string} name */
const support = (name) => tsImport(`../../test/support/${name}.ts`, import.meta.url);

/** @type {typeof import("../../test/support/link.ts")} */
export const { Link, SimulatedTime } = await support("link");
/** @type {typeof import("../../test/support/kcp-pair.ts")} */
export const { KcpEnd, kcpPair, Transfer } = await support("kcp-pair");
/** @type {typeof import("../../test/support/kcp-bottleneck.ts")} */
export const { shareBottleneck } = await support("kcp-bottleneck");
/** @type {typeof import("../../test/support/kcp-echoes.ts")} */
export const { FAST, kcpEchoes } = await support("kcp-echoes");

/** The C implementation at the end of an imagined link, with the face and the manners of `KcpEnd`. */
export class NativeEnd {
  onReadable = () => {};
  onWritable = () => {};
  /** @type {{ receive: (datagram: Uint8Array) => void } | undefined} */
  peer;
  /** What `input` returned when it was not 0. @type {number[]} */
  faults = [];
  /** What it needs to be read and written like one of our machines. */
  kcp = {
    recv: () => this.#native.recv(),
    send: (/** @type {Uint8Array} */ bytes) => this.#queue(bytes),
    drain: (/** @type {Uint8Array} */ into) => this.#drain(into),
    waitSend: 0,
  };
  #native;
  #time;
  #wakeAt = Number.POSITIVE_INFINITY;
  /** @type {Uint8Array | undefined} */
  #rest;

  /**
   * @param {InstanceType<typeof SimulatedTime>} time
   * @param {InstanceType<typeof Link>} link
   * @param {number} conv
   * @param {import("./node-kcp.mjs").NativeSettings} settings
   */
  constructor(time, link, conv, settings) {
    this.#time = time;
    Object.defineProperty(this.kcp, "waitSend", { get: () => this.#native.waitsnd() });
    const deliver = (/** @type {Uint8Array} */ datagram) => this.peer?.receive(datagram);
    this.#native = nativeKcp(conv, (datagram) => link.send(datagram, deliver), settings);
  }

  /** @param {Uint8Array} bytes */
  send(bytes) {
    const taken = this.#queue(bytes);
    this.drive();
    return taken;
  }

  /** @param {Uint8Array} datagram */
  receive(datagram) {
    const result = this.#native.input(datagram);
    if (result !== 0) this.faults.push(result);
    this.onReadable();
    this.onWritable();
    this.drive();
  }

  drive() {
    const now = Math.floor(this.#time.now);
    if (this.#native.check(now) <= 0) this.#native.update(now);
    const at = this.#time.now + Math.max(this.#native.check(now), 1);
    if (at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#time.at(at, () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.drive();
      this.onWritable();
    });
  }

  /** Takes all or nothing, in stream mode as well; the package says 0 for all. @param {Uint8Array} bytes */
  #queue(bytes) {
    const result = this.#native.send(bytes);
    return result < 0 ? result : bytes.length;
  }

  /** @param {Uint8Array} into */
  #drain(into) {
    const bytes = this.#rest ?? this.#native.recv();
    if (bytes === undefined) return 0;
    const size = Math.min(bytes.length, into.length);
    into.set(bytes.subarray(0, size));
    this.#rest = size < bytes.length ? bytes.subarray(size) : undefined;
    return size;
  }
}

/**
 * Two ends that hear each other.
 * @template {{ peer: any }} A, B
 * @param {A} a
 * @param {B} b
 * @returns {readonly [A, B]}
 */
export function joined(a, b) {
  a.peer = b;
  b.peer = a;
  return [a, b];
}
