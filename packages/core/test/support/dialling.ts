/**
 * Dialling: a dialer on manual transports and virtual time, and what a dial has come to by now.
 */

import { settled, VirtualRuntime } from "../../../../test/support/virtual-runtime.ts";
import { parseAddress } from "../../src/address.ts";
import { type Choice, Dialer, type Dialled, type Way } from "../../src/dialer.ts";
import { type NetworkError, networkError } from "../../src/errors.ts";
import { Identity } from "../../src/identity.ts";
import { Stack, type StackParts } from "../../src/stack.ts";
import type { ManualConnection } from "./manual-connection.ts";
import { ManualTransport } from "./manual-transport.ts";
import { toy } from "./toy-transform.ts";

export const DIAL_MS = 1_000;
export const SHAKE_MS = 2_000;
export const GREETING: Uint8Array = Uint8Array.of(7, 7);
/** What the transform `proving` proves. */
export const PROVED: Uint8Array = new Uint8Array(32).fill(6);

interface NamedWay extends Way {
  readonly name: string;
}

export class DialWorld {
  readonly runtime = new VirtualRuntime();
  readonly transport = new ManualTransport();
  readonly controller = new AbortController();
  /** What the owner of the dials was told of their ways, as `begin a`, `shaking a`, `over a`. */
  readonly told: string[] = [];

  /** Default: `manual~toy` and `manual~proving`. */
  dialer(choice: Choice = {}, stacks?: readonly StackParts[]): Dialer {
    const { transport, runtime } = this;
    const parts: readonly StackParts[] = stacks ?? [
      [transport, toy()],
      [transport, toy({ name: "proving", key: PROVED })],
    ];
    const options = {
      identity: Identity.fromSecret(new Uint8Array(32).fill(1)),
      networkId: new Uint8Array(32),
      runtime,
      dialTimeoutMs: DIAL_MS,
      handshakeTimeoutMs: SHAKE_MS,
    };
    return new Dialer(
      parts.map((each) => new Stack(each)),
      options,
      choice,
    );
  }

  /** A way to `manual:self` is refused by its owner. */
  dial(address: string, choice: Choice = {}, by: Dialer = this.dialer()): Dialling {
    const { told, controller } = this;
    return new Dialling(
      by.dial(parseAddress(address), {
        ...choice,
        signal: controller.signal,
        begin: (route) => {
          const name = route.sections[0]?.args[0] ?? "";
          told.push(`begin ${name}`);
          if (name === "self") throw networkError("SELF_DIAL", "that is this node");
          return {
            name,
            shaking: () => void told.push(`shaking ${name}`),
            over: () => void told.push(`over ${name}`),
          };
        },
      }),
    );
  }

  /** The names of the ways that are over, as often as that was told. */
  get over(): string[] {
    return this.told.filter((each) => each.startsWith("over ")).map((each) => each.slice(5));
  }

  async connect(host: string): Promise<ManualConnection> {
    const connection = this.transport.dialTo(host).connect();
    await settled();
    return connection;
  }

  async refuse(host: string, error?: unknown): Promise<void> {
    this.transport.dialTo(host).refuse(error);
    await settled();
  }
}

export async function shake(connection: ManualConnection): Promise<void> {
  connection.receive(GREETING);
  await settled();
}

export class Dialling {
  seen: Dialled<NamedWay> | "pending" | { readonly error: unknown } = "pending";

  constructor(dialling: Promise<Dialled<NamedWay>>) {
    dialling.then(
      (dialled) => {
        this.seen = dialled;
      },
      (error: unknown) => {
        this.seen = { error };
      },
    );
  }

  /** The name of the way that won. */
  get won(): string | undefined {
    return typeof this.seen === "object" && "way" in this.seen ? this.seen.way.name : undefined;
  }

  get error(): NetworkError {
    if (typeof this.seen !== "object" || !("error" in this.seen)) throw new Error("no error yet");
    return this.seen.error as NetworkError;
  }
}
