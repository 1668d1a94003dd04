/**
 * Lobby: from a link to a peer in the route table, and out again.
 *
 * Asks `authorize`, and lets the pairing machine decide which stream of a pair lives. There is one way
 * into the table and one way out of it, both here. It never dials and never listens.
 */

import type { Ticket } from "./admission.ts";
import { Awaited } from "./awaited.ts";
import { type NetworkError, networkError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { type Confirmation, confirmationOf, confirmByte, greetingByte } from "./greeting.ts";
import { type Identity, PeerId } from "./identity.ts";
import { LANES } from "./lane.ts";
import type { Limits } from "./limits.ts";
import type { Logger } from "./logger.ts";
import { giveTime } from "./move.ts";
import { OPCODES } from "./opcode.ts";
import { BufferPool } from "./outbox.ts";
import { type Dial, Pairing, STANDING, type Standing } from "./pairing.ts";
import { LivePeer, type Peer, type PeerOwner } from "./peer.ts";
import { type Deferred, deferred } from "./queue.ts";
import type { RouteTable } from "./route-table.ts";
import type { Runtime, Timer } from "./runtime.ts";
import type { Link } from "./stack.ts";
import { Stream } from "./stream.ts";

/** Decides whether a peer may be written to by broadcasts; throwing refuses it. */
export type Authorize = (peer: Peer) => boolean | Promise<boolean>;

export interface LobbyOptions {
  readonly identity: Identity;
  readonly networkId: Uint8Array;
  readonly limits: Readonly<Limits>;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly authorize: Authorize | undefined;
  readonly table: RouteTable;
  readonly owner: PeerOwner;
  /** A peer entered the table. */
  readonly added: (peer: LivePeer) => void;
}

/** A peer whose handshake is done and that is not, or not yet, in the table. */
interface Candidate {
  readonly ticket: Ticket;
  readonly dial: Dial<LivePeer> | undefined;
  readonly outcome: Deferred<LivePeer | "declined">;
  readonly timer: Timer;
  /** Of a dial: whether nobody wants the peer for longer than to ask it something. Known when it is confirmed. */
  readonly passing: () => boolean;
  /** The dialer has no older stream with us winding down: what we still hold for it is dead. */
  fresh: boolean;
  answered: boolean;
}

/** How long an arrival waits for a dial of ours to the same node: longer than a handshake takes, shorter than a dialer waits. */
const ARRIVALS_WAIT_MS = 1_000;

/** One for the process: thousands of networks in it must not keep spare buffers each. */
const POOL = /* @__PURE__ */ new BufferPool();

export class Lobby {
  readonly #options: LobbyOptions;
  readonly #pairing: Pairing<LivePeer>;
  readonly #candidates = new Map<LivePeer, Candidate>();
  /** The places of the streams that are not released, admitted or not. */
  readonly #tickets = new Map<Stream, Ticket>();
  /** Admitted streams not released, by peer id. */
  readonly #lingering = new Map<string, number>();
  /** Confirmed arrivals that let an older stream's last messages come first, by that older peer. */
  readonly #successors = new Map<LivePeer, LivePeer>();
  /** Dials that were declined and wait for the stream that won. */
  readonly #awaited: Awaited;
  /** Of arrivals that wait for a dial of ours. */
  readonly #waits = new Map<LivePeer, Timer>();
  #closing: NetworkError | undefined;

  constructor(options: LobbyOptions) {
    this.#options = options;
    this.#awaited = new Awaited(options.runtime, options.limits.handshakeTimeoutMs);
    this.#pairing = new Pairing(options.identity.id, {
      welcome: (peer, standing) => this.#welcome(peer, standing),
      confirm: (peer, previous, standing) => this.#confirm(peer, previous, standing),
      move: (peer, live) => this.#move(peer, live),
      decline: (peer) => this.#decline(peer),
      admit: (peer, previous) => this.#admit(peer, previous, this.#candidates.get(peer)?.fresh),
    });
  }

  /** A dial begins; `expected` is the text of the key its address names. */
  dialling(expected: string | undefined, moves: boolean): Dial<LivePeer> {
    return this.#pairing.dialling(expected, moves);
  }

  /** The dial is over, whatever came of it. */
  settled(dial: Dial<LivePeer>): void {
    this.#pairing.settled(dial);
  }

  /**
   * The peer that a dialled link leads to: over this link, or over the one that serves the pair already.
   * `passing` is asked when the stream is confirmed: whether it is only to ask something.
   */
  async dialled(
    link: Link,
    ticket: Ticket,
    dial: Dial<LivePeer>,
    signal: AbortSignal,
    passing: () => boolean,
  ): Promise<LivePeer> {
    const peer = this.#meet(link, ticket, dial, passing);
    const cancel = (): void =>
      peer.close({ code: "STREAM_CLOSED", text: "the dial was cancelled" });
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const outcome = await this.#decided(peer);
      if (outcome !== "declined") return outcome;
      // Nothing waits for this dial any more, and it may be an arrival that it waits for.
      this.#pairing.settled(dial);
      const present = this.#options.table.get(peer.id.text);
      return present ?? (await this.#awaited.wait(peer.id, signal));
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  /** Resolves when the arrival is in the table; rejects with the reason when it never will be. */
  async arrived(link: Link, ticket: Ticket): Promise<void> {
    await this.#decided(this.#meet(link, ticket, undefined));
  }

  /** Ends every stream politely; resolves when nothing is left of them. */
  async close(reason: NetworkError): Promise<void> {
    this.#closing = reason;
    const streams = [...this.#tickets.keys()];
    for (const stream of streams) stream.close({ code: reason.code, text: reason.message }, reason);
    this.#awaited.failAll(reason);
    await Promise.all(streams.map((stream) => stream.released));
  }

  /** A peer left the table. */
  left(peer: LivePeer): void {
    if (peer.authenticated) this.#pairing.gone(peer.id, peer);
    const successor = this.#successors.get(peer);
    this.#successors.delete(peer);
    if (successor !== undefined && this.#candidates.has(successor)) this.#enter(successor);
  }

  /** Nothing is left of a peer's stream: its place is free. */
  released(peer: LivePeer): void {
    this.#give(peer.stream);
    if (!peer.admitted) return;
    const left = (this.#lingering.get(peer.id.text) ?? 1) - 1;
    if (left === 0) this.#lingering.delete(peer.id.text);
    else this.#lingering.set(peer.id.text, left);
  }

  #give(stream: Stream): void {
    this.#tickets.get(stream)?.leave();
    this.#tickets.delete(stream);
  }

  /** Makes the candidate of a link. Throws `SELF_DIAL`. */
  #meet(
    link: Link,
    ticket: Ticket,
    dial: Dial<LivePeer> | undefined,
    passing: () => boolean = () => false,
  ): LivePeer {
    const { runtime, limits, identity, owner } = this.#options;
    const key = link.session.remoteKey;
    const id = key === undefined ? PeerId.unproved(runtime.randomBytes(16)) : PeerId.from(key);
    if (id.text === identity.id.text) {
      link.connection.abort(selfDial(link.address));
      throw selfDial(link.address);
    }
    const outcome = deferred<LivePeer | "declined">();
    const handler = {
      frame: (frame: Frame) => this.#firstFrame(peer, frame),
      ended: (reason: NetworkError) => this.#lost(peer, reason),
      released: () => this.released(peer),
    };
    const stream = new Stream(link, { limits, runtime, pool: POOL }, handler);
    const peer = new LivePeer(id, stream, owner);
    // What the handshake took is gone: one bound holds from the connection to the table.
    const left = limits.handshakeTimeoutMs - (runtime.now() - link.connectedAt);
    const timer = runtime.setTimer(
      () =>
        peer.close({
          code: "HANDSHAKE_TIMEOUT",
          text: `not admitted in ${limits.handshakeTimeoutMs} ms`,
        }),
      left,
    );
    this.#tickets.set(stream, ticket);
    const candidate = { ticket, dial, outcome, timer, passing, fresh: true, answered: false };
    this.#candidates.set(peer, candidate);
    if (this.#closing !== undefined) stream.abort(this.#closing);
    return peer;
  }

  /** Asks `authorize`, then lets the pairing machine decide. */
  async #decided(peer: LivePeer): Promise<LivePeer | "declined"> {
    const candidate = this.#candidates.get(peer);
    if (candidate === undefined) throw peer.stream.ended ?? new TypeError("not a candidate");
    const { authorize } = this.#options;
    peer.writable = peer.authenticated || peer.side === "dialer";
    if (authorize !== undefined) {
      try {
        const writable = await Promise.race([authorize(peer), candidate.outcome.promise]);
        peer.writable = writable === true;
      } catch (error) {
        if (peer.stream.ended !== undefined) throw peer.stream.ended;
        peer.stream.start();
        peer.stream.close({ code: "PEER_REFUSED", text: "authorize refused this node" });
        throw networkError("PEER_REFUSED", "authorize refused this peer", {
          peer: peer.id.text,
          cause: error,
        });
      }
    }
    if (!peer.authenticated && peer.side === "listener") {
      this.#say(peer, OPCODES.welcome, STANDING.none);
      this.#enter(peer);
    } else if (candidate.dial === undefined) {
      this.#arrived(peer);
    } else if (peer.authenticated) {
      this.#pairing.shaken(candidate.dial, peer.id, peer);
    }
    peer.stream.start();
    return candidate.outcome.promise;
  }

  #arrived(peer: LivePeer): void {
    if (!this.#pairing.arrived(peer.id, peer)) return;
    const outwaited = (): void => this.#pairing.outwaited(peer.id, peer);
    this.#waits.set(peer, this.#options.runtime.setTimer(outwaited, ARRIVALS_WAIT_MS));
  }

  #firstFrame(peer: LivePeer, frame: Frame): void {
    const candidate = this.#candidates.get(peer);
    if (candidate === undefined) return;
    const dialled = peer.side === "dialer";
    const byte = greetingByte(frame, dialled ? OPCODES.welcome : OPCODES.confirm);
    if (candidate.answered || (byte === undefined && peer.authenticated)) {
      throw networkError("FRAME_MALFORMED", `opcode ${frame.opcode} before the stream was agreed`);
    }
    candidate.answered = true;
    if (candidate.dial === undefined) {
      const { fresh, moves, passing } = confirmationOf(byte ?? 0);
      candidate.fresh = fresh;
      if (passing) peer.pass();
      this.#pairing.confirmed(peer.id, peer, moves);
    } else if (peer.authenticated) {
      this.#pairing.welcomed(candidate.dial, peer.id, byte as Standing);
    } else {
      this.#confirm(peer);
      if (byte === undefined) peer.frame(frame);
    }
  }

  #welcome(peer: LivePeer, standing: Standing): void {
    const leaving = standing === STANDING.none && this.#lingering.has(peer.id.text);
    this.#say(peer, OPCODES.welcome, leaving ? STANDING.leaving : standing);
  }

  #confirm(peer: LivePeer, previous?: LivePeer, standing: Standing = STANDING.none): void {
    const passing = this.#candidates.get(peer)?.passing() === true;
    if (passing) peer.pass();
    const fresh = !this.#lingering.has(peer.id.text);
    this.#sayConfirm(peer, { fresh, moves: false, passing });
    this.#admit(peer, previous, standing !== STANDING.leaving);
  }

  #decline(peer: LivePeer): void {
    this.#candidates.get(peer)?.outcome.resolve("declined");
    peer.close({ code: "STREAM_CLOSED", text: "another stream serves this pair" });
  }

  /** `dead`: nothing can come of the previous stream any more. */
  #admit(peer: LivePeer, previous: LivePeer | undefined, dead: boolean | undefined): void {
    if (previous === undefined) {
      this.#enter(peer);
      return;
    }
    this.#successors.set(previous, peer);
    peer.stream.hold();
    const { runtime, limits } = this.#options;
    const cut = (): void => previous.stream.abort(replaced(previous));
    if (dead === true) cut();
    else giveTime(previous.stream, runtime, limits.closeTimeoutMs, cut);
  }

  /** A peer that both sides have goes over to the candidate's stream, and the candidate is no more. */
  #move(peer: LivePeer, live: LivePeer): void {
    const candidate = this.#candidates.get(peer);
    if (candidate === undefined) return;
    if (peer.side === "dialer")
      this.#sayConfirm(peer, { fresh: true, moves: true, passing: false });
    this.#candidates.delete(peer);
    this.#stopTimers(peer, candidate);
    candidate.ticket.settle();
    const { id, stream } = live;
    const done = (): void => this.#pairing.moved(id);
    live.moveTo(peer.stream, { done, released: () => this.#give(stream) });
    candidate.outcome.resolve(live);
  }

  #sayConfirm(peer: LivePeer, confirmation: Confirmation): void {
    this.#say(peer, OPCODES.confirm, confirmByte(confirmation));
  }

  #say(peer: LivePeer, opcode: number, flag: number): void {
    peer.stream.send(LANES.control, opcode, 0, 0, [Uint8Array.of(flag)]);
  }

  /** The edge into the table. */
  #enter(peer: LivePeer): void {
    const candidate = this.#candidates.get(peer);
    if (candidate === undefined) return;
    const { table, runtime, added } = this.#options;
    const older = table.get(peer.id.text);
    if (older !== undefined) {
      // The stream that was to follow it was lost while it waited: now this one does, and at once.
      this.#successors.set(older, peer);
      older.stream.abort(replaced(older));
      return;
    }
    this.#candidates.delete(peer);
    this.#stopTimers(peer, candidate);
    candidate.ticket.settle();
    peer.stream.handler = peer;
    peer.since = runtime.wallClock();
    table.add(peer);
    this.#lingering.set(peer.id.text, (this.#lingering.get(peer.id.text) ?? 0) + 1);
    peer.admitted = true;
    added(peer);
    peer.stream.release();
    candidate.outcome.resolve(peer);
    this.#awaited.came(peer);
  }

  #stopTimers(peer: LivePeer, candidate: Candidate): void {
    candidate.timer.cancel();
    this.#waits.get(peer)?.cancel();
    this.#waits.delete(peer);
  }

  /** A candidate's stream ended before it was admitted. */
  #lost(peer: LivePeer, reason: NetworkError): void {
    const candidate = this.#candidates.get(peer);
    if (candidate === undefined) return;
    this.#candidates.delete(peer);
    this.#stopTimers(peer, candidate);
    candidate.outcome.reject(reason);
    if (peer.authenticated) this.#pairing.gone(peer.id, peer);
    this.#inherit(peer);
    this.#despair(peer.id.text, reason);
  }

  /** Whoever waited for a lost candidate waits for the stream that it waited for. */
  #inherit(peer: LivePeer): void {
    const heir = this.#successors.get(peer);
    this.#successors.delete(peer);
    for (const [previous, successor] of this.#successors) {
      if (successor !== peer) continue;
      if (heir === undefined) this.#successors.delete(previous);
      else this.#successors.set(previous, heir);
      return;
    }
  }

  /** With the last arrival of a node goes the hope that a declined dial ends in the stream it chose. */
  #despair(id: string, reason: NetworkError): void {
    if (!this.#awaited.has(id) || this.#options.table.get(id) !== undefined) return;
    for (const other of this.#candidates.keys()) if (other.id.text === id) return;
    this.#awaited.fail(id, reason);
  }
}

export function selfDial(address: string): NetworkError {
  return networkError("SELF_DIAL", `${address} is this node itself`, { address });
}

function replaced(peer: LivePeer): NetworkError {
  return networkError("STREAM_CLOSED", "replaced by a newer stream of the same node", {
    peer: peer.id.text,
  });
}
