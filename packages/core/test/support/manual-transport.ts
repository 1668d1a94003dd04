/**
 * Manual transport: every dial and every listener is played by the test.
 *
 * A dial waits until the test ends it, and heeds its signal unless it is told to be stubborn. What is opened
 * and what is closed can be counted.
 */

import { type Section, section } from "../../src/address.ts";
import type { Connection, Listener } from "../../src/connection.ts";
import { type Deferred, deferred } from "../../src/queue.ts";
import type { DialOptions, Transport } from "../../src/transport.ts";
import { ManualConnection } from "./manual-connection.ts";

export class ManualDial {
  readonly section: Section;
  readonly options: DialOptions;
  readonly connection: ManualConnection = new ManualConnection();
  readonly end: Deferred<Connection> = deferred();

  constructor(to: Section, options: DialOptions) {
    this.section = to;
    this.options = options;
  }

  connect(): ManualConnection {
    this.end.resolve(this.connection);
    return this.connection;
  }

  refuse(error: unknown = new Error("nobody is there")): void {
    this.end.reject(error);
  }
}

export class ManualListener implements Listener {
  readonly section: Section;
  readonly local: boolean;
  readonly accept: (connection: Connection) => void;
  closed = 0;

  constructor(at: Section, local: boolean, accept: (connection: Connection) => void) {
    this.section = at;
    this.local = local;
    this.accept = accept;
  }

  /** Somebody comes. */
  arrival(connection: ManualConnection = new ManualConnection(this.local)): ManualConnection {
    this.accept(connection);
    return connection;
  }

  async close(): Promise<void> {
    this.closed++;
  }
}

export class ManualTransport implements Transport {
  readonly name: string;
  readonly halfClose: boolean = true;
  readonly dials: ManualDial[] = [];
  readonly listeners: ManualListener[] = [];
  /** Dials end when the test ends them, whatever their signal says. */
  stubborn = false;
  /** Whether its listeners are only for this machine. */
  local = true;
  /** What `listen` waits for, or rejects with. */
  opening: Promise<void> = Promise.resolve();

  constructor(name: string = "manual") {
    this.name = name;
  }

  dial(to: Section, options: DialOptions): Promise<Connection> {
    const dial = new ManualDial(to, options);
    this.dials.push(dial);
    const { signal } = options;
    if (!this.stubborn) signal.addEventListener("abort", () => dial.refuse(signal.reason));
    return dial.end.promise;
  }

  async listen(at: Section, accept: (connection: Connection) => void): Promise<Listener> {
    await this.opening;
    const listener = new ManualListener(at, this.local, accept);
    this.listeners.push(listener);
    return listener;
  }

  /** The dial under way, or done, to `manual:HOST…`. */
  dialTo(host: string): ManualDial {
    const dial = this.dials.findLast((each) => each.section.args[0] === host);
    if (dial === undefined) throw new Error(`nobody dialled ${host}`);
    return dial;
  }

  /** Hosts in the order they were dialled. */
  get dialled(): string[] {
    return this.dials.map((dial) => dial.section.args[0] ?? "");
  }

  /** Listeners that were opened and not closed. */
  get open(): string[] {
    return this.listeners.filter(({ closed }) => closed === 0).map((each) => each.section.text);
  }
}

/** The same transport, whose options say where to listen. */
export function placed(transport: ManualTransport, ...args: readonly string[]): ManualTransport {
  return Object.assign(transport, { place: section(transport.name, ...args) });
}
