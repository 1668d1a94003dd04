/**
 * Stream rig: a stream whose connection, session and time are played by the test, and what it told its owner.
 */

import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { concat } from "../../src/bytes.ts";
import type { NetworkError } from "../../src/errors.ts";
import { decodeFrame, type Frame, FrameDecoder } from "../../src/frame.ts";
import { decodeGoodbye, type Goodbye } from "../../src/goodbye.ts";
import { type Limits, withDefaults } from "../../src/limits.ts";
import { OPCODES } from "../../src/opcode.ts";
import { BufferPool } from "../../src/outbox.ts";
import { Stream } from "../../src/stream.ts";
import type { Session } from "../../src/transform.ts";
import { ManualConnection } from "./manual-connection.ts";

/** Passes bytes through; with `says`, one byte 0xff alone is its goodbye. */
export class PlainSession implements Session {
  readonly remoteKey: Uint8Array = new Uint8Array(32).fill(4);
  readonly auth: unknown = "friend";
  readonly boxBytes: number = Number.POSITIVE_INFINITY;
  readonly end?: () => Uint8Array;
  ended: boolean;
  broken: Error | undefined;

  constructor(says: boolean) {
    this.ended = !says;
    if (says) this.end = () => Uint8Array.of(0xff);
  }

  seal(plain: readonly Uint8Array[]): Uint8Array[] {
    if (this.broken !== undefined) throw this.broken;
    return [concat(...plain)];
  }

  open(chunk: Uint8Array): Uint8Array[] {
    if (this.broken !== undefined) throw this.broken;
    if (chunk.length !== 1 || chunk[0] !== 0xff) return [chunk];
    this.ended = true;
    return [];
  }
}

export interface RigOptions {
  readonly limits?: Partial<Limits>;
  readonly opened?: readonly Uint8Array[];
  /** Its session says goodbye. */
  readonly says?: boolean;
}

export class Rig {
  readonly runtime: VirtualRuntime = new VirtualRuntime();
  readonly connection: ManualConnection = new ManualConnection();
  readonly session: PlainSession;
  readonly stream: Stream;
  readonly frames: Frame[] = [];
  readonly reasons: NetworkError[] = [];
  releases = 0;
  onFrame: (frame: Frame) => void = () => {};

  constructor(options: RigOptions = {}) {
    this.session = new PlainSession(options.says ?? false);
    this.stream = new Stream(
      {
        connection: this.connection,
        session: this.session,
        opened: options.opened ?? [],
        side: "listener",
        connectedAt: 0,
        address: "manual:far:1~plain",
      },
      {
        limits: withDefaults({ closeTimeoutMs: 100, stallTimeoutMs: 1_000, ...options.limits }),
        runtime: this.runtime,
        pool: new BufferPool(),
      },
      {
        frame: (each) => {
          this.frames.push({ ...each, payload: each.payload.slice() });
          this.onFrame(each);
        },
        ended: (reason) => this.reasons.push(reason),
        released: () => {
          this.releases++;
        },
      },
    );
    this.stream.start();
  }

  get codes(): string[] {
    return this.reasons.map(({ code }) => code);
  }

  get opcodes(): number[] {
    return this.frames.map(({ opcode }) => opcode);
  }

  /** What went out, frame by frame. */
  get sent(): Frame[] {
    const frames: Frame[] = [];
    const bytes = this.connection.written;
    const decoder = new FrameDecoder(2 ** 24);
    for (let at = 0; at < bytes.length; ) {
      at = decoder.push(bytes, at, (buffer, start, end) => {
        frames.push(decodeFrame(buffer, start, end));
        return true;
      });
    }
    return frames;
  }

  /** The goodbye that went out last. */
  get said(): Goodbye {
    const last = this.sent.at(-1);
    if (last?.opcode !== OPCODES.disconnect) throw new Error("no goodbye");
    return decodeGoodbye(last.payload);
  }
}
