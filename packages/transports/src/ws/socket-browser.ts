/**
 * `ws` where there is no Node: dials with the platform's own WebSocket (WHATWG), and never listens.
 *
 * That one can neither be paused nor cut. What is read is bounded by giving up on it; a cut is a close code of
 * ours, behind what was written; whether writing is welcome is looked up while somebody waits.
 */

import {
  asError,
  type DialOptions,
  networkError,
  type Section,
  systemRuntime,
  type Timer,
  type Transport,
} from "@testudo/core";
import { MessageConnection, textFrame, tooLarge } from "./connection.ts";
import { NAMES, readMaxPayload, type WsOptions } from "./options.ts";
import { placeOf, urlOf, type WsPlace } from "./url.ts";

/** Bytes that may wait for a reader. Past them the connection is given up. */
const MAX_INBOX_BYTES = 16 * 1024 * 1024;

/** Bytes the platform may hold before `write` says to wait, and those at which it is welcome again. */
const HIGH_WATER_BYTES = 256 * 1024;
const LOW_WATER_BYTES = 64 * 1024;

/** How often `bufferedAmount` is looked at while somebody waits for it. */
const POLL_MS = 5;

/** The close code of an abort: the lowest that programs may use for what they mean. */
const ABORTED = 4000;

/** What is used of the standard's. */
interface StandardSocket {
  binaryType: string;
  readonly bufferedAmount: number;
  send(message: Uint8Array): void;
  close(code?: number): void;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onerror: (() => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
}

type StandardSockets = new (url: string) => StandardSocket;

/** Throws `TypeError` for options that only Node has, `RangeError` for a limit that makes no sense. */
export function platform(options: WsOptions): Transport {
  for (const [name, value] of Object.entries(options)) {
    if (name === "maxPayloadBytes" || value === undefined) continue;
    throw new TypeError(
      `ws ${name} is for Node; here a WebSocket only dials, and as the platform does`,
    );
  }
  const maxPayloadBytes = readMaxPayload(options.maxPayloadBytes);
  return {
    ...NAMES,
    check: (section, side) => void placeOf(section, side),
    dial: (section, dial) => dialStandard(section, dial, maxPayloadBytes),
  };
}

async function dialStandard(
  section: Section,
  { signal, stage }: DialOptions,
  maxPayloadBytes: number,
): Promise<BrowserConnection> {
  const place = placeOf(section, "dialer");
  signal.throwIfAborted();
  stage?.("connect");
  return new Promise((resolve, reject) => {
    const refused = (why: string, cause?: Error): Error =>
      networkError("DIAL_REFUSED", `cannot reach ${section.text}: ${why}`, {
        address: section.text,
        ...(cause === undefined ? {} : { cause }),
      });
    let socket: StandardSocket;
    try {
      socket = new (standard())(urlOf(place));
    } catch (error) {
      const cause = asError(error);
      reject(refused(cause.message, cause));
      return;
    }
    socket.binaryType = "arraybuffer";
    const fail = (reason: unknown): void => {
      signal.removeEventListener("abort", onAbort);
      socket.onopen = null;
      socket.onerror = () => {};
      socket.onclose = null;
      socket.close();
      reject(reason);
    };
    const onAbort = (): void => fail(signal.reason);
    const unknown = (): void =>
      fail(refused("the platform does not say why; nobody listens, or no WebSocket, or a policy"));
    socket.onerror = unknown;
    socket.onclose = unknown;
    socket.onopen = () => {
      signal.removeEventListener("abort", onAbort);
      resolve(new BrowserConnection(socket, section, isHere(place), maxPayloadBytes));
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

function standard(): StandardSockets {
  const { WebSocket } = globalThis as { WebSocket?: StandardSockets };
  if (WebSocket === undefined) throw new Error("this platform has no WebSocket");
  return WebSocket;
}

function isHere({ host }: WsPlace): boolean {
  return host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host) || /(^|\.)localhost$/.test(host);
}

class BrowserConnection extends MessageConnection {
  readonly #socket: StandardSocket;
  #poll: Timer | undefined;
  #flushed: (() => void) | undefined;
  #waiting = false;

  /** Takes over a socket in the turn in which it opened. */
  constructor(socket: StandardSocket, remote: Section, local: boolean, maxPayloadBytes: number) {
    // There is nothing to pause: the bound is looked at below.
    super(remote, local, { pause() {}, resume() {} });
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#onMessage(data, maxPayloadBytes);
    // Says nothing, and a close follows.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      this.#poll?.cancel();
      this.onClose(code, reason);
    };
  }

  #onMessage(data: unknown, maxPayloadBytes: number): void {
    if (this.over) return;
    if (!(data instanceof ArrayBuffer)) {
      this.abort(textFrame(this.remote));
    } else if (data.byteLength > maxPayloadBytes) {
      this.abort(tooLarge(this.remote, maxPayloadBytes));
    } else if (this.inbox.bytes + data.byteLength > MAX_INBOX_BYTES) {
      const why = `more than ${MAX_INBOX_BYTES} bytes of ${this.remote.text} wait to be read, and a WebSocket cannot be paused here`;
      this.abort(networkError("STREAM_CLOSED", why, { address: this.remote.text }));
    } else {
      this.inbox.push(new Uint8Array(data));
    }
  }

  protected override send(message: Uint8Array): void {
    this.#socket.send(message);
  }

  protected override get congested(): boolean {
    return this.#socket.bufferedAmount >= (this.#waiting ? LOW_WATER_BYTES : HIGH_WATER_BYTES);
  }

  protected override awaitDrain(): void {
    this.#waiting = true;
    this.#look();
  }

  /** Says so only when all else is handed over: what was once closed could not be cut any more. */
  protected override shake(flushed: () => void): void {
    this.#flushed = flushed;
    this.#look();
  }

  protected override cut(): void {
    this.#poll?.cancel();
    this.#socket.close(ABORTED);
  }

  readonly #look = (): void => {
    this.#poll?.cancel();
    if (this.over) return;
    if (this.#waiting && !this.congested) {
      this.#waiting = false;
      this.onDrain();
    }
    if (this.#flushed !== undefined && this.#socket.bufferedAmount === 0) {
      this.#socket.close(1000);
      this.#flushed();
      this.#flushed = undefined;
    }
    if (this.#waiting || this.#flushed !== undefined) {
      this.#poll = systemRuntime.setTimer(this.#look, POLL_MS);
    }
  };
}
