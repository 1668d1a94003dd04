/**
 * Victim: a network that listens over real sockets, with an honest peer that stays all the while. Whatever is
 * done to it, `mustServe` says whether it still does its work, and `deleted` what became of the others.
 */

import {
  defineMessage,
  type ErrorCode,
  Identity,
  type Limits,
  Network,
  type Peer,
  type Transform,
  text,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { expect } from "vitest";
import { Adversary } from "./adversary.ts";

export const Ask = defineMessage({ name: "hostile-ask", opcode: 61_010, codec: text });
export const Answer = defineMessage({ name: "hostile-answer", opcode: 61_011, codec: text });

/** The ways in that are attacked. */
export const TRANSFORMS: readonly (() => Transform)[] = [noauth, noise, shs];

/** Of a long line only so much is kept and answered. */
const LINE_SHOWN = 40;

interface Departure {
  readonly id: string;
  readonly code: ErrorCode | undefined;
}

export class Victim {
  readonly network: Network;
  readonly honest: Network;
  readonly transform: Transform;
  /** Where it listens. */
  address = "";
  readonly added: Peer[] = [];
  readonly deleted: Departure[] = [];
  /** What others than the honest peer said, by the text of their ids. */
  readonly heard: { readonly id: string; readonly line: string }[] = [];
  #waiters: (() => void)[] = [];
  #asked = 0;

  private constructor(transform: Transform, limits: Partial<Limits>, identity: Identity) {
    this.transform = transform;
    this.network = new Network({ identity, stacks: [[net(), transform]], limits });
    this.honest = new Network({ stacks: [[net(), transform]] });
  }

  static async start(
    make: () => Transform,
    limits: Partial<Limits> = {},
    identity: Identity = Identity.generate(),
  ): Promise<Victim> {
    const victim = new Victim(make(), limits, identity);
    await victim.network.registerPlugin({
      name: "witness",
      nodeAdded: ({ peer }) => {
        victim.added.push(peer);
        victim.#tell();
      },
      newMessage: ({ message, peer, reply }) => {
        const line = message.as(Ask);
        if (line === undefined) return;
        if (!line.startsWith("honest")) {
          victim.heard.push({ id: peer.id.text, line: line.slice(0, LINE_SHOWN) });
          victim.#tell();
        }
        return reply(Answer.of(`${line.slice(0, LINE_SHOWN)}!`));
      },
      nodeDeleted: ({ peer, reason }) => {
        victim.deleted.push({ id: peer.id.text, code: reason?.code });
        victim.#tell();
      },
    });
    victim.address = await victim.network.listen(`net:127.0.0.1:0~${victim.transform.name}`);
    await victim.honest.add(victim.address);
    await victim.until(() => victim.added.length === 1);
    return victim;
  }

  get port(): number {
    return Number(/:(\d+)~/.exec(this.address)?.[1]);
  }

  /** Waits until something that the plugin saw makes this true. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** The honest peer is still here, was never disturbed, and is answered; and so is a newcomer. */
  async mustServe(): Promise<void> {
    const line = `honest ${++this.#asked}`;
    const [peer] = this.honest.peers.values();
    expect(peer?.connected, "the honest peer").toBe(true);
    expect(await peer?.request(Ask.of(line), Answer)).toBe(`${line}!`);
    const newcomer = new Network({ stacks: [[net(), this.transform]] });
    try {
      const there = await newcomer.add(this.address);
      expect(await there.request(Ask.of(line), Answer)).toBe(`${line}!`);
    } finally {
      await newcomer.close();
    }
  }

  /** An adversary that has finished the handshake. */
  adversary(identity: Identity = Identity.generate()): Promise<Adversary> {
    const { networkId } = this.network;
    return Adversary.dial(this.address, [net(), this.transform], { networkId, identity });
  }

  /** What the victim says of the end of the one peer added behind the first `before`. */
  async departureOf(before: number): Promise<ErrorCode | undefined> {
    await this.until(() => this.added.length > before);
    const id = (this.added[before] as Peer).id.text;
    await this.until(() => this.deleted.some((each) => each.id === id));
    return this.deleted.find((each) => each.id === id)?.code;
  }

  async close(): Promise<void> {
    await Promise.all([this.honest.close(), this.network.close()]);
  }

  #tell(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
