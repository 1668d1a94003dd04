/**
 * Transport `sim`: connections between the nodes of one world. Section `sim:NODE`, or `sim:NODE:PORT` where
 * a node has several listeners.
 *
 * A dial takes a round trip and leaves a hole in the dialer's NAT. Where nobody hears it (a partition, a NAT,
 * a machine that is gone) it is repeated until its signal ends it; a machine without such a listener refuses it.
 */

import {
  asError,
  type Connection,
  type DialOptions,
  type Listener,
  type NetworkError,
  networkError,
  type Section,
  section,
  type Timer,
  type Transport,
} from "@testudo/core";
import { connect } from "./connection.ts";
import type { Accept, Host } from "./host.ts";
import type { Internet } from "./internet.ts";
import { delayOf } from "./line.ts";

/** A dial that nobody answers is repeated after this, then ever less often. */
const FIRST_REPEAT_MS = 1_000;

/** Of one node: it dials from there, and listens only there. */
export function simTransport(internet: Internet, host: Host): Transport {
  return {
    name: "sim",
    halfClose: true,
    check: (given) => {
      placeOf(given);
    },
    dial: (to, options) => new Call(internet, host, to).run(options),
    async listen(at, accept): Promise<Listener> {
      const { name, port } = placeOf(at);
      const why = name !== host.name ? "it is another node" : "the place is taken";
      if (name !== host.name || host.over || host.doors.has(port)) {
        throw networkError("LISTEN_FAILED", `cannot listen on ${at.text}: ${why}`, {
          address: at.text,
        });
      }
      host.doors.set(port, accept);
      return {
        section: at,
        local: false,
        async close() {
          // Only its own: the place may be somebody else's by now.
          if (host.doors.get(port) === accept) host.doors.delete(port);
        },
      };
    },
  };
}

/** One dial. */
class Call {
  readonly #internet: Internet;
  readonly #from: Host;
  readonly #to: Section;
  readonly #name: string;
  readonly #port: string;
  #timer: Timer | undefined;
  #repeatMs = FIRST_REPEAT_MS;

  constructor(internet: Internet, from: Host, to: Section) {
    this.#internet = internet;
    this.#from = from;
    this.#to = to;
    const { name, port } = placeOf(to);
    this.#name = name;
    this.#port = port;
  }

  async run({ signal }: DialOptions): Promise<Connection> {
    signal.throwIfAborted();
    this.#internet.counters.dials++;
    this.#internet.trace.add("dial", this.#from.name, this.#name, 0);
    let stop = (): void => {};
    try {
      return await new Promise<Connection>((resolve, reject) => {
        stop = () => reject(signal.reason);
        signal.addEventListener("abort", stop, { once: true });
        this.#knock(resolve, reject);
      });
    } finally {
      this.#timer?.cancel();
      signal.removeEventListener("abort", stop);
    }
  }

  #knock(resolve: (connection: Connection) => void, reject: (error: Error) => void): void {
    const internet = this.#internet;
    const from = this.#from;
    from.dials(this.#name, internet.now());
    const to = internet.hosts.get(this.#name);
    // Nobody was ever there: the way to find that out is as long as to oneself.
    const shape = internet.shapeOf(from, to ?? from);
    const travel = (then: () => void): void => {
      this.#timer = internet.after(delayOf(shape, internet.random), then, from);
    };
    const again = (): void => {
      this.#timer = internet.after(this.#repeatMs, () => this.#knock(resolve, reject), from);
      this.#repeatMs *= 2;
    };
    travel(() => {
      const lost = shape.lossRate > 0 && internet.random.next() < shape.lossRate;
      if (to !== undefined && (lost || internet.blocked(from, to))) return again();
      if (to !== undefined && !to.over && !to.admits(from, internet.now())) return again();
      const open = to?.doors.get(this.#port);
      travel(() => {
        const now = to?.doors.get(this.#port);
        if (to === undefined || open === undefined || now === undefined) {
          if (to !== undefined && internet.blocked(to, from)) return again();
          return reject(this.#refused());
        }
        if (internet.blocked(to, from)) return again();
        return resolve(this.#open(to, now));
      });
    });
  }

  #open(to: Host, accept: Accept): Connection {
    const internet = this.#internet;
    internet.counters.open += 2;
    const number = ++internet.counters.connections;
    const remote = section("sim", this.#from.name, `#${number}`);
    const [near, far] = connect(
      internet,
      { host: this.#from, remote: this.#to },
      { host: to, remote },
    );
    internet.trace.add("open", this.#from.name, to.name, number);
    try {
      accept(far);
    } catch (error) {
      far.abort(asError(error));
    }
    return near;
  }

  #refused(): NetworkError {
    this.#internet.trace.add("fail", this.#from.name, this.#name, 0);
    const { text } = this.#to;
    return networkError("DIAL_REFUSED", `cannot reach ${text}: nobody listens there`, {
      address: text,
    });
  }
}

function placeOf({ args, text }: Section): { name: string; port: string } {
  const [name = "", port = "0"] = args;
  if (name === "" || args.length > 2) {
    throw networkError("ADDRESS_MALFORMED", `${text} cannot be read: sim needs one NODE`, {
      address: text,
    });
  }
  return { name, port };
}
