/**
 * UDP socket: one of Node's, with a bound on what waits in it and memory that is used again.
 *
 * Nothing is thrown out of a callback. A datagram that cannot be sent is lost, as any may be; only a socket
 * that is gone is an event. A buffer is free when Node says that it has been sent, not before.
 */

import { createSocket, type Socket, type SocketOptions } from "node:dgram";
import { isIP } from "node:net";
import type { Place } from "./place.ts";

/** Asked of the kernel, which may give less. */
const KERNEL_BUFFER_BYTES: number = 4 * 1024 * 1024;
/** Bytes that the kernel has not taken yet; what comes when there are so many is dropped. */
const MOST_WAITING_BYTES: number = 2 * 1024 * 1024;
/** Free buffers kept. */
const POOL_KEEPS = 512;
const POOLED_BYTES = 2_048;

export interface UdpEvents {
  /** The memory of `packet` is the receiver's from now on. Must not throw. */
  packet(packet: Uint8Array, from: Place): void;
  /** The socket is closed, by us or not. */
  lost(error: Error): void;
}

export interface DatagramSocket {
  readonly place: Place;
  /** Sends both as one datagram, copied. False when it was dropped at once. */
  send(to: Place, head: Uint8Array, body: Uint8Array): boolean;
  /** Idempotent. */
  close(): void;
}

interface Slot {
  readonly bytes: Uint8Array;
  readonly sent: () => void;
}

export class UdpSocket implements DatagramSocket {
  readonly place: Place;
  readonly #socket: Socket;
  readonly #free: Slot[] = [];
  #waitingBytes = 0;
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const { address, port } = socket.address();
    this.place = { address, port };
  }

  /** Binds to an IP address. Rejects with the system's error; nothing is left open then. */
  static async bind(at: Place, events: UdpEvents, ipv6Only: boolean): Promise<UdpSocket> {
    const type = isIP(at.address) === 6 ? "udp6" : "udp4";
    // Every address is an IP already: Node's own look-up would cost a turn for each datagram.
    const lookup: NonNullable<SocketOptions["lookup"]> = (host, _options, found) =>
      found(null, host, isIP(host));
    const socket = createSocket({ type, lookup, ipv6Only });
    let failed: Error | undefined;
    await new Promise<void>((resolve, reject) => {
      socket.once("error", (error) => {
        socket.close();
        reject(error);
      });
      socket.bind({ address: at.address, port: at.port, exclusive: true }, resolve);
    });
    socket.removeAllListeners("error");
    socket.on("error", (error) => {
      failed = error;
    });
    socket.on("close", () => events.lost(failed ?? new Error("the socket was closed")));
    // Plain bytes: a Buffer's `slice` copies nothing, and users would see what it is.
    socket.on("message", ({ buffer, byteOffset, length }, from) =>
      events.packet(new Uint8Array(buffer, byteOffset, length), from),
    );
    for (const widen of ["setRecvBufferSize", "setSendBufferSize"] as const) {
      try {
        socket[widen](KERNEL_BUFFER_BYTES);
      } catch {
        // What the system gives by itself will do.
      }
    }
    return new UdpSocket(socket);
  }

  /** Sends both as one datagram. False when it was dropped at once. */
  send(to: Place, head: Uint8Array, body: Uint8Array): boolean {
    const length = head.length + body.length;
    if (this.#closed || this.#waitingBytes > MOST_WAITING_BYTES) return false;
    const slot = this.#take(length);
    slot.bytes.set(head, 0);
    if (body.length > 0) slot.bytes.set(body, head.length);
    try {
      this.#socket.send(slot.bytes, 0, length, to.port, to.address, slot.sent);
      this.#waitingBytes += slot.bytes.length;
      return true;
    } catch {
      // An address that no system call takes: the datagram is lost, as any may be.
      return false;
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  #take(length: number): Slot {
    if (length > POOLED_BYTES) return this.#make(length);
    return this.#free.pop() ?? this.#make(POOLED_BYTES);
  }

  #make(size: number): Slot {
    const slot: Slot = {
      bytes: new Uint8Array(size),
      sent: () => {
        this.#waitingBytes -= size;
        if (size === POOLED_BYTES && this.#free.length < POOL_KEEPS) this.#free.push(slot);
      },
    };
    return slot;
  }
}
