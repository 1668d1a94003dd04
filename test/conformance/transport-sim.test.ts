/** The simulator's transport, as a transport like any other. */

import { section, type Timer } from "@testudo/core";
import { Host } from "../../packages/sim/src/host.ts";
import { Internet } from "../../packages/sim/src/internet.ts";
import type { LinkOptions } from "../../packages/sim/src/line.ts";
import { Random } from "../../packages/sim/src/random.ts";
import { type Owner, Scheduler } from "../../packages/sim/src/scheduler.ts";
import { Trace } from "../../packages/sim/src/trace.ts";
import { simTransport } from "../../packages/sim/src/transport.ts";
import { type TransportFixture, transportConformance } from "./transport.ts";

/** Plays what is to happen by itself, an event a turn, until there is nothing. */
class Eager extends Scheduler {
  #playing = false;

  override set(at: number, callback: () => void, owner?: Owner): Timer {
    const timer = super.set(at, callback, owner);
    if (!this.#playing) setImmediate(this.#play);
    this.#playing = true;
    return timer;
  }

  readonly #play = (): void => {
    const event = this.take(Number.POSITIVE_INFINITY);
    this.#playing = event !== undefined;
    event?.();
    if (this.#playing) setImmediate(this.#play);
  };
}

function fixture(link: LinkOptions): TransportFixture {
  const scheduler = new Eager();
  const trace = new Trace(() => scheduler.now);
  const random = new Random(1);
  const internet = new Internet({ scheduler, random, trace, link, breakMs: 60_000 });
  const host = new Host("a", "", "public", Number.POSITIVE_INFINITY);
  internet.hosts.set(host.name, host);
  let port = 0;
  return {
    transport: simTransport(internet, host),
    listenAt: () => section("sim", "a", String(++port)),
    refusedAt: async () => section("sim", "a", "nobody"),
    malformed: [section("sim"), section("sim", ""), section("sim", "a", "1", "2")],
    local: false,
  };
}

transportConformance("sim", () => fixture({ latencyMs: 1 }));
transportConformance("sim over a bad line", () =>
  fixture({ latencyMs: 5, jitterMs: 20, lossRate: 0.1, bandwidth: 10_000_000 }),
);
