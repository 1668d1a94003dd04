/** Vectors: under the classic policy the machine does, byte for byte, what the C implementation did. */

import { describe, expect, it } from "vitest";
import { loadOwn } from "../../../../test/support/vectors.ts";
import { Kcp, type KcpOptions } from "../../src/kcp/machine.ts";

type Peer = "A" | "B";

interface Op {
  readonly peer: Peer;
  readonly op: string;
  readonly conv?: number;
  readonly args?: readonly number[];
  readonly now?: number;
  readonly ret?: number;
  readonly hex?: string;
  readonly len?: number;
  readonly seed?: number;
  readonly max?: number;
  readonly peeksize?: number;
  readonly out?: readonly string[];
  readonly state?: Readonly<Record<string, number>>;
}

interface Vectors {
  readonly scenarios: readonly {
    readonly name: string;
    readonly description: string;
    readonly ops: readonly Op[];
  }[];
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** One peer of a scenario. The vectors set options after creation; here they are gathered until first use. */
class Player {
  readonly #conv: number;
  readonly #options: Writable<KcpOptions> = { policy: "classic" };
  #kcp: Kcp | undefined;
  #out: string[] = [];
  #now = 0;

  constructor(conv: number) {
    this.#conv = conv;
  }

  play(op: Op): void {
    const { args = [], now = 0 } = op;
    if (op.op === "nodelay") this.#noDelay(args);
    else if (op.op === "wndsize") {
      if (args[0]) this.#options.sendWindow = args[0];
      if (args[1]) this.#options.receiveWindow = args[1];
    } else if (op.op === "setmtu") this.#options.mtu = args[0] ?? 0;
    else if (op.op === "stream") this.#options.stream = args[0] === 1;
    else if (op.op === "set_minrto") this.#options.minRtoMs = args[0] ?? 0;
    else if (op.op === "send") expect(this.kcp.send(payload(op))).toBe(op.ret);
    else if (op.op === "check") expect(this.kcp.check(now) >>> 0).toBe(op.ret);
    else if (op.op === "recv") this.#recv(op);
    else if (op.op === "input") {
      expect(this.kcp.input(fromHex(op.hex ?? ""), this.#now)).toBe(op.ret);
      expect(this.#state()).toEqual(op.state);
    } else if (op.op === "update") {
      this.#now = now;
      this.#out = [];
      this.kcp.update(now);
      expect(this.#out).toEqual(op.out);
      expect(this.#state()).toEqual(op.state);
    } else if (op.op !== "net_drop") throw new Error(`unknown op ${op.op}`);
  }

  get kcp(): Kcp {
    this.#kcp ??= new Kcp(
      this.#conv,
      (datagram) => this.#out.push(Buffer.from(datagram).toString("hex")),
      this.#options,
    );
    return this.#kcp;
  }

  #noDelay([noDelay = 0, interval = 0, resend = 0, noWindow = 0]: readonly number[]): void {
    this.#options.noDelay = noDelay as 0 | 1 | 2;
    this.#options.intervalMs = interval;
    this.#options.fastResend = resend;
    this.#options.congestion = noWindow === 1 ? "off" : "reno";
  }

  #recv({ max = 0, peeksize, ret, hex }: Op): void {
    expect(this.kcp.peekSize).toBe(peeksize);
    const bytes = this.kcp.recv(new Uint8Array(max));
    if (bytes !== undefined) {
      expect(bytes.length).toBe(ret);
      expect(Buffer.from(bytes).toString("hex")).toBe(hex);
    } else {
      const none = this.kcp.statistics.receiveReady === 0 ? -1 : -2;
      expect(this.kcp.peekSize > max ? -3 : none).toBe(ret);
    }
  }

  #state(): Record<string, number> {
    const all = this.kcp.statistics;
    const classic = this.kcp.classicState;
    if (classic === undefined) throw new Error("not classic");
    return {
      snd_una: all.sendUna,
      snd_nxt: all.sendNext,
      rcv_nxt: all.receiveNext,
      cwnd: classic.congestionWindow,
      ssthresh: classic.threshold,
      incr: classic.growth,
      rmt_wnd: all.remoteWindow,
      rx_srtt: all.srtt,
      rx_rttval: all.rttvar,
      rx_rto: all.rto,
      nsnd_que: all.sendQueued,
      nsnd_buf: all.inFlight,
      nrcv_que: all.receiveReady,
      nrcv_buf: all.receiveAhead,
      probe_wait: classic.probeWait,
      ts_probe: classic.probeAt,
      ts_flush: classic.flushAt,
      xmit: all.timeouts,
      dead: this.kcp.dead ? 1 : 0,
    };
  }
}

function payload({ hex, len = 0, seed = 0 }: Op): Uint8Array {
  if (hex !== undefined) return fromHex(hex);
  return Uint8Array.from({ length: len }, (_, i) => (seed + 7 * i + (i >> 8)) & 255);
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

describe("the classic policy", () => {
  for (const { name, description, ops } of loadOwn<Vectors>("kcp-segments.json").scenarios) {
    it(`${name}: ${description}`, () => {
      const players = new Map<Peer, Player>();
      for (const [index, op] of ops.entries()) {
        if (op.op === "create") players.set(op.peer, new Player(op.conv ?? 0));
        else {
          try {
            players.get(op.peer)?.play(op);
          } catch (error) {
            throw new Error(`op ${index} (${op.peer} ${op.op})`, { cause: error });
          }
        }
      }
    });
  }
});
