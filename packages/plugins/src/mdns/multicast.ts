/**
 * Multicast: questions and answers of one name over multicast DNS (RFC 6762), by the library `multicast-dns`. Node
 * only, and imported only when a plugin starts. IPv4 only.
 *
 * A gate stands between the socket and the library: it counts and measures datagrams before anything is decoded.
 */

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { EventEmitter } from "node:events";
import { asError } from "@testudo/core";
import multicastDns, { type QueryPacket, type ResponsePacket } from "multicast-dns";
import type { Multicast, MulticastEvents, MulticastOptions } from "./link.ts";

/** Largest packet taken (RFC 6762, 17). */
const MAX_PACKET_BYTES = 9_000;
/** Questions or records of one packet; one with more is dropped whole. */
const MAX_RECORDS = 64;
/** Answers of one packet that are looked at: a node puts all that it has to say into one. */
const MAX_TOLD = 8;
/** What neighbours keep an answer for, in seconds. */
const TTL_S = 120;

/** Resolves once packets can come and go. Rejects when the port cannot be had. */
export function openMulticast(
  events: MulticastEvents,
  { interface: address, port, admit }: MulticastOptions,
): Promise<Multicast> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const gate = new Gate(socket, admit);
  const mdns = multicastDns({
    port,
    socket: gate as unknown as Socket,
    bind: "0.0.0.0",
    ...(address === undefined ? {} : { interface: address }),
  });
  mdns.on("warning", (error) => events.warned(asError(error)));
  mdns.on("query", ({ questions = [] }: QueryPacket) => {
    if (questions.length > MAX_RECORDS) return;
    for (const { name, type } of questions) {
      if (["TXT", "ANY"].includes(type)) events.asked(name.toLowerCase());
    }
  });
  mdns.on("response", ({ answers = [], additionals = [] }: ResponsePacket, from: RemoteInfo) => {
    if (answers.length + additionals.length > MAX_RECORDS) return;
    for (const answer of answers.slice(0, MAX_TOLD)) {
      if (answer.type !== "TXT") continue;
      const texts = [answer.data].flat().filter((text) => text instanceof Uint8Array);
      events.told(answer.name.toLowerCase(), texts, from.address);
    }
  });
  const failed = (error: Error | null | undefined): void => {
    if (error) events.warned(error);
  };
  const multicast: Multicast = {
    ask: (name) => mdns.query([{ name, type: "TXT" }], failed),
    tell: (name, texts) =>
      mdns.respond([{ name, type: "TXT", ttl: TTL_S, data: [...texts] }], failed),
    close: () => new Promise((resolve) => mdns.destroy(resolve)),
  };
  return new Promise((resolve, reject) => {
    mdns.once("ready", () => {
      mdns.removeAllListeners("error");
      mdns.on("error", (error) => events.warned(error));
      resolve(multicast);
    });
    mdns.once("error", (error) => {
      mdns.on("error", () => {});
      mdns.destroy(() => reject(error));
    });
  });
}

/** As much of a socket as the library uses. */
class Gate extends EventEmitter {
  readonly #socket: Socket;

  constructor(socket: Socket, admit: () => boolean) {
    super();
    this.#socket = socket;
    socket.on("error", (error) => this.emit("error", error));
    socket.on("listening", () => this.emit("listening"));
    socket.on("message", (bytes, from) => {
      if (bytes.length <= MAX_PACKET_BYTES && admit()) this.emit("message", bytes, from);
    });
  }

  bind(port: number, address: string, done: () => void): void {
    this.#socket.bind(port, address, done);
  }

  send(...given: Parameters<Socket["send"]>): void {
    this.#socket.send(...given);
  }

  close(done: () => void): void {
    this.#socket.close(done);
  }

  address(): ReturnType<Socket["address"]> {
    return this.#socket.address();
  }

  addMembership(group: string, address: string): void {
    this.#socket.addMembership(group, address);
  }

  dropMembership(group: string, address: string): void {
    this.#socket.dropMembership(group, address);
  }

  setMulticastInterface(address: string): void {
    this.#socket.setMulticastInterface(address);
  }

  setMulticastTTL(ttl: number): void {
    this.#socket.setMulticastTTL(ttl);
  }

  setMulticastLoopback(on: boolean): void {
    this.#socket.setMulticastLoopback(on);
  }
}
