/**
 * Conformance of transports: what every one must do, whatever carries its bytes.
 *
 *     transportConformance("net", () => ({ transport: net(), listenAt: …, refusedAt: …, malformed: [] }));
 *
 * Uses nothing but the contract in core's `transport.ts`; its connections are held to `pipe.ts`. A transport
 * that cannot half-close skips what needs it.
 */

import { getEventListeners } from "node:events";
import {
  AddressError,
  type Connection,
  DialError,
  deferred,
  equal,
  type Listener,
  type Section,
  type Transport,
} from "@testudo/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { echo, failureOf, pattern, Reader, readAll, turns } from "../support/traffic.ts";
import { pipeConformance } from "./pipe.ts";

export interface TransportFixture {
  readonly transport: Transport;
  /** A place to listen that nobody else uses: port 0, or a new name. */
  listenAt(): Section;
  /** A place that can be dialled and where nobody listens. */
  refusedAt(): Promise<Section>;
  /** Sections of this transport that can never be dialled. */
  readonly malformed: readonly Section[];
  /** Whether its ends are on this machine. Default: yes. */
  readonly local?: boolean;
  /** See `PipeTraits`. */
  readonly pausable?: boolean;
  /** See `PipeTraits`. */
  readonly tellsEnd?: boolean;
}

export function transportConformance(
  name: string,
  makeFixture: () => TransportFixture | Promise<TransportFixture>,
): void {
  describe(`${name} as a transport`, () => {
    expectNoLeaks();

    let fixture: TransportFixture;
    let world: World;
    beforeEach(async () => {
      fixture = await makeFixture();
      world = new World(fixture);
    });
    afterEach(() => world.close());

    describe("dialling and listening", () => {
      it("gives each side a connection that names the other", async () => {
        const { listener, dialer, accepted } = await world.pair();
        const { name, names = [name] } = fixture.transport;
        expect(names).toContain(name);
        for (const end of [listener.section, dialer.remote, accepted.remote]) {
          expect(names).toContain(end.name);
        }
        const { local = true } = fixture;
        expect([dialer.local, accepted.local, listener.local]).toEqual([local, local, local]);
      });

      it("takes many connections at once and keeps them apart", async () => {
        const listener = await world.listen((connection) => void echo(connection));
        const sums = await Promise.all(
          Array.from({ length: 40 }, async (_, index) => {
            const connection = await world.dial(listener.section);
            const sent = pattern(2_000 + index, index);
            connection.write(sent);
            return equal(await new Reader(connection).take(sent.length), sent);
          }),
        );
        expect(sums).toEqual(Array.from({ length: 40 }, () => true));
        expect(world.accepted.length).toBe(40);
      });

      it("refuses with DIAL_REFUSED where nobody listens", async () => {
        const refused = await fixture.refusedAt();
        const error = await failureOf(world.dial(refused));
        expect(error).toBeInstanceOf(DialError);
        expect(error).toMatchObject({ code: "DIAL_REFUSED", address: refused.text });
      });

      it("rejects sections that can never work", async () => {
        for (const section of fixture.malformed) {
          const error = await failureOf(world.dial(section));
          expect(error, section.text).toBeInstanceOf(AddressError);
        }
      });

      it("refuses to listen twice in one place, and the first goes on", async () => {
        const listener = await world.listen((connection) => void echo(connection));
        const error = await failureOf(world.listen(() => {}, listener.section));
        expect(error).toBeInstanceOf(DialError);
        expect(error).toMatchObject({ code: "LISTEN_FAILED", address: listener.section.text });
        const connection = await world.dial(listener.section);
        connection.write(pattern(10));
        expect(await new Reader(connection).take(10)).toEqual(pattern(10));
      });

      it("leaves connections alone when the listener closes, and frees its place", async () => {
        const { listener, dialer, accepted } = await world.pair();
        await listener.close();
        await listener.close();
        dialer.write(pattern(100));
        expect(await new Reader(accepted).take(100)).toEqual(pattern(100));
        const error = await failureOf(world.dial(listener.section));
        expect(error).toMatchObject({ code: "DIAL_REFUSED" });
        const again = await world.pair(listener.section);
        await listener.close();
        again.dialer.write(pattern(7));
        expect(await new Reader(again.accepted).take(7)).toEqual(pattern(7));
      });

      it("does not dial when the signal has fired", async () => {
        const listener = await world.listen(() => {});
        const reason = new Error("too late");
        const aborted = AbortSignal.abort(reason);
        await expect(fixture.transport.dial(listener.section, { signal: aborted })).rejects.toBe(
          reason,
        );
        await turns(5);
        expect(world.accepted.length).toBe(0);
      });

      it("gives up when the signal fires while dialling, and leaves nothing open", async () => {
        const listener = await world.listen(() => {});
        const controller = new AbortController();
        const reason = new Error("changed my mind");
        const dialling = fixture.transport.dial(listener.section, { signal: controller.signal });
        controller.abort(reason);
        await expect(dialling).rejects.toBe(reason);
        await turns(5);
        // Whether the listener saw it come or not, it is gone.
        for (const connection of world.accepted) {
          await readAll(connection).catch(() => {});
          connection.abort(new Error("done"));
        }
      });

      it("forgets the signal once it has dialled", async () => {
        const controller = new AbortController();
        const listener = await world.listen((connection) => void echo(connection));
        const connection = await world.dial(listener.section, controller.signal);
        expect(getEventListeners(controller.signal, "abort")).toEqual([]);
        controller.abort(new Error("of no concern"));
        connection.write(pattern(9));
        expect(await new Reader(connection).take(9)).toEqual(pattern(9));
      });

      it("forgets the signal once it has failed to dial", async () => {
        const controller = new AbortController();
        await failureOf(world.dial(await fixture.refusedAt(), controller.signal));
        expect(getEventListeners(controller.signal, "abort")).toEqual([]);
      });
    });

    pipeConformance(
      () => world.pair(),
      () => ({ ...fixture, halfClose: fixture.transport.halfClose }),
    );
  });
}

/** What one test opened; all of it is gone after `close()`. */
class World {
  readonly accepted: Connection[] = [];
  readonly #fixture: TransportFixture;
  readonly #connections: Connection[] = [];
  readonly #listeners: Listener[] = [];

  constructor(fixture: TransportFixture) {
    this.#fixture = fixture;
  }

  async listen(
    accept: (connection: Connection) => void,
    at: Section = this.#fixture.listenAt(),
  ): Promise<Listener> {
    const { transport } = this.#fixture;
    if (transport.listen === undefined) throw new Error(`${transport.name} cannot listen`);
    const listener = await transport.listen(at, (connection) => {
      this.accepted.push(connection);
      this.#connections.push(connection);
      accept(connection);
    });
    this.#listeners.push(listener);
    return listener;
  }

  async dial(
    section: Section,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Connection> {
    const connection = await this.#fixture.transport.dial(section, { signal });
    this.#connections.push(connection);
    return connection;
  }

  /** Both ends of one new connection. */
  async pair(
    at?: Section,
  ): Promise<{ listener: Listener; dialer: Connection; accepted: Connection }> {
    const arrived = deferred<Connection>();
    const listener = await this.listen((connection) => arrived.resolve(connection), at);
    const dialer = await this.dial(listener.section);
    return { listener, dialer, accepted: await arrived.promise };
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.abort(new Error("the test is over"));
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    await Promise.all(this.#connections.map((connection) => connection.closed));
  }
}
