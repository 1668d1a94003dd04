/**
 * House: doors on a manual transport and virtual time, who came through them, and who did not.
 */

import { VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { parseAddress, type Route } from "../../src/address.ts";
import { Admission, type Ticket } from "../../src/admission.ts";
import { Doors, type DoorsOptions, type Place, type Taker } from "../../src/doors.ts";
import type { NetworkError } from "../../src/errors.ts";
import { Identity } from "../../src/identity.ts";
import { type Limits, withDefaults } from "../../src/limits.ts";
import { type Link, Stack, type StackParts } from "../../src/stack.ts";
import { type ManualListener, ManualTransport } from "./manual-transport.ts";
import { toy } from "./toy-transform.ts";

export const SHAKE_MS = 1_000;
export const OWNER: Identity = Identity.fromSecret(new Uint8Array(32).fill(1));

interface Taken {
  readonly link: Link;
  readonly ticket: Ticket;
  readonly stack: Stack;
}

export class House {
  readonly runtime = new VirtualRuntime();
  readonly transport = new ManualTransport();
  readonly taken: Taken[] = [];
  readonly refused: { readonly connection: unknown; readonly error: NetworkError }[] = [];
  readonly admission: Admission;
  readonly doors: Doors;
  taker: Taker = (link, ticket, stack) => void this.taken.push({ link, ticket, stack });

  constructor(limits: Partial<Limits> = {}, options: Partial<DoorsOptions> = {}) {
    this.admission = new Admission(withDefaults(limits));
    this.doors = new Doors({
      stackOptions: {
        identity: OWNER,
        networkId: new Uint8Array(32),
        runtime: this.runtime,
        dialTimeoutMs: 1,
        handshakeTimeoutMs: SHAKE_MS,
      },
      admission: this.admission,
      allowPublicNoauth: false,
      refused: (connection, error) => void this.refused.push({ connection, error }),
      ...options,
    });
  }

  place(text: string, parts: StackParts = [this.transport, toy()]): Place {
    return { stack: new Stack(parts), route: parseAddress(text).routes[0] as Route };
  }

  /** An open listener. */
  async open(text: string = "manual:here~toy", parts?: StackParts): Promise<ManualListener> {
    await this.doors.listenAll([this.place(text, parts)], (...given) => this.taker(...given));
    return this.transport.listeners.at(-1) as ManualListener;
  }

  get counts(): [places: number, halfOpen: number] {
    return [this.admission.places, this.admission.halfOpen];
  }

  get codes(): string[] {
    return this.refused.map(({ error }) => error.code);
  }
}
