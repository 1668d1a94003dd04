/**
 * Adversary: the far end of a stack, played by hand. It finishes the handshake as an honest node would, and
 * from there on says whatever it is told to, frame by frame or byte by byte, and writes down what it hears.
 */

import {
  type Address,
  type Connection,
  concat,
  type ErrorCode,
  Identity,
  parseAddress,
  type Route,
  Stack,
  type StackOptions,
  type StackParts,
  systemRuntime,
} from "@testudo/core";
import {
  decodeFrame,
  encodeHeader,
  type Frame,
  FrameDecoder,
} from "../../packages/core/src/frame.ts";
import { decodeGoodbye } from "../../packages/core/src/goodbye.ts";
import { OPCODES } from "../../packages/core/src/opcode.ts";
import type { Link } from "../../packages/core/src/stack.ts";

/** SHA-256 of `testudo`, as every node's default; over `shs` it is the app key. */
export interface AdversaryOptions {
  readonly networkId: Uint8Array;
  readonly identity?: Identity;
}

/** A frame as it stands on the wire. */
export function frame(opcode: number, body: Uint8Array, nonce = 0, flags = 0): Uint8Array {
  return concat(encodeHeader(opcode, nonce, flags, [body]), body);
}

/** What a dialer says first, so that the listener admits it: fresh. */
export const CONFIRM: Uint8Array = frame(OPCODES.confirm, Uint8Array.of(1));
/** What a listener says first. */
export const WELCOME: Uint8Array = frame(OPCODES.welcome, Uint8Array.of(0));

export class Adversary {
  readonly link: Link;
  /** What the other side said, in order. */
  readonly heard: Frame[] = [];
  /** Settles when the other side has ended or cut; with its goodbye, if it said one. */
  readonly over: Promise<ErrorCode | undefined>;
  #goodbye: ErrorCode | undefined;

  constructor(link: Link) {
    this.link = link;
    this.over = this.#listen();
  }

  /** Dials and shakes hands as an honest node would, and says nothing yet. */
  static async dial(
    address: string,
    parts: StackParts,
    options: AdversaryOptions,
  ): Promise<Adversary> {
    const stack = new Stack(parts);
    return new Adversary(
      await stack.dial(firstRoute(parseAddress(address)), stackOptions(options)),
    );
  }

  /** The listener's half, on a connection that an honest node made. */
  static async accept(
    connection: Connection,
    parts: StackParts,
    options: AdversaryOptions,
  ): Promise<Adversary> {
    return new Adversary(await new Stack(parts).accept(connection, stackOptions(options)));
  }

  /** Seals and sends plaintext as it is: frames, or anything else. */
  say(...plain: readonly Uint8Array[]): boolean {
    const { connection, session } = this.link;
    return connection.write(...session.seal([concat(...plain)]));
  }

  /** Sends bytes beside the session. */
  raw(...bytes: readonly Uint8Array[]): boolean {
    return this.link.connection.write(...bytes);
  }

  /** The first frame with this opcode; rejects when the other side ends before. */
  async hears(opcode: number): Promise<Frame> {
    for (;;) {
      const found = this.heard.find((each) => each.opcode === opcode);
      if (found !== undefined) return found;
      const over = await Promise.race([this.over.then(() => true), this.#more()]);
      if (over === true) throw new Error(`the other side ended before it said ${opcode}`);
    }
  }

  /** Ends our direction and waits for the other side to be done. Its goodbye, if it said one. */
  async leave(): Promise<ErrorCode | undefined> {
    void this.link.connection.end();
    const goodbye = await this.over;
    this.link.connection.abort(new Error("done"));
    return goodbye;
  }

  /** Reads nothing from here on: the socket fills up. */
  stall(): void {
    this.#stalled = true;
  }

  /** A reset. */
  cut(): void {
    this.link.connection.abort(new Error("cut"));
  }

  #waiters: (() => void)[] = [];
  #stalled = false;

  #more(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  async #listen(): Promise<ErrorCode | undefined> {
    const { connection, session, opened } = this.link;
    const decoder = new FrameDecoder(8 * 1024 * 1024);
    const take = (plain: Uint8Array): void => {
      decoder.push(plain, 0, (buffer, start, end) => {
        const heard = decodeFrame(buffer, start, end);
        this.heard.push(heard);
        if (heard.opcode === OPCODES.disconnect) this.#goodbye = decodeGoodbye(heard.payload).code;
        return true;
      });
      for (const resolve of this.#waiters.splice(0)) resolve();
    };
    try {
      for (const plain of opened) take(plain);
      for await (const chunk of connection) {
        for (const plain of session.open(chunk)) take(plain);
        // Only a cut ends it.
        if (this.#stalled) await connection.closed;
      }
    } catch {
      // Cut, by either side: that is an end, too.
    }
    return this.#goodbye;
  }
}

function firstRoute(address: Address): Route {
  return address.routes[0] as Route;
}

function stackOptions({ networkId, identity }: AdversaryOptions): StackOptions {
  return {
    identity: identity ?? Identity.generate(),
    networkId,
    runtime: systemRuntime,
    dialTimeoutMs: 10_000,
    handshakeTimeoutMs: 10_000,
  };
}
