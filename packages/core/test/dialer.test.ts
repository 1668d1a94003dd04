import { getEventListeners } from "node:events";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled, VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { parseAddress, section } from "../src/address.ts";
import { toBase64 } from "../src/bytes.ts";
import type { Connection } from "../src/connection.ts";
import { type Choice, checkChoice, Dialer, type Dialled, type Way } from "../src/dialer.ts";
import { type NetworkError, networkError } from "../src/errors.ts";
import { Identity } from "../src/identity.ts";
import { ATTEMPT_DELAY_MS } from "../src/race.ts";
import { Stack, type StackParts } from "../src/stack.ts";
import type { Transform } from "../src/transform.ts";
import type { Transport } from "../src/transport.ts";
import { ManualConnection } from "./support/manual-connection.ts";
import { type ManualDial, ManualTransport } from "./support/manual-transport.ts";
import { toy, toySession } from "./support/toy-transform.ts";

const DIAL_MS = 1_000;
const SHAKE_MS = 2_000;
const GREETING = Uint8Array.of(7, 7);
const KEY = new Uint8Array(32).fill(6);
const KEY_TEXT = toBase64(KEY);

/** What the owner of a dial was told of its ways, as `begin a`, `shaking a`, `over a`. */
let told: string[];
let runtime: VirtualRuntime;
let transport: ManualTransport;
let controller: AbortController;

beforeEach(() => {
  told = [];
  runtime = new VirtualRuntime();
  transport = new ManualTransport();
  controller = new AbortController();
});

/** However a dial ended, it leaves no timer and no listener on a signal. */
afterEach(() => {
  expect(runtime.pending).toBe(0);
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
});

function dialer(
  choice: Choice = {},
  stacks: readonly StackParts[] = [
    [transport, toy()],
    [transport, toy({ name: "proving", key: KEY })],
  ],
): Dialer {
  const options = {
    identity: Identity.fromSecret(new Uint8Array(32).fill(1)),
    networkId: new Uint8Array(32),
    runtime,
    dialTimeoutMs: DIAL_MS,
    handshakeTimeoutMs: SHAKE_MS,
  };
  return new Dialer(
    stacks.map((parts) => new Stack(parts)),
    options,
    choice,
  );
}

interface NamedWay extends Way {
  readonly name: string;
}

type Seen = Dialled<NamedWay> | "pending" | { readonly error: unknown };

/** A dial, and what it has come to by now. */
class Dialling {
  seen: Seen = "pending";

  constructor(address: string, choice: Choice = {}, by: Dialer = dialer()) {
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
    }).then(
      (dialled) => {
        this.seen = dialled;
      },
      (error: unknown) => {
        this.seen = { error };
      },
    );
  }

  get won(): string | undefined {
    return typeof this.seen === "object" && "way" in this.seen ? this.seen.way.name : undefined;
  }

  get error(): NetworkError {
    if (typeof this.seen !== "object" || !("error" in this.seen)) throw new Error("no error yet");
    return this.seen.error as NetworkError;
  }
}

async function connect(host: string): Promise<ManualConnection> {
  const connection = transport.dialTo(host).connect();
  await settled();
  return connection;
}

async function refuse(host: string, error?: unknown): Promise<void> {
  transport.dialTo(host).refuse(error);
  await settled();
}

async function shake(connection: ManualConnection): Promise<void> {
  connection.receive(GREETING);
  await settled();
}

describe("a dial", () => {
  it("gives the link of its one way, its stack, and what begin gave", async () => {
    const dialling = new Dialling("manual:a~toy");
    await settled();
    const connection = await connect("a");
    await shake(connection);
    expect(dialling.seen).toMatchObject({
      link: { connection, side: "dialer", address: "manual:a~toy" },
      stack: { name: "manual~toy" },
      way: { name: "a" },
    });
    expect([told, connection.aborted]).toEqual([["begin a", "shaking a"], undefined]);
  });

  it("tells begin which key the way must prove", async () => {
    const expected: unknown[] = [];
    const address = parseAddress(`manual:a~toy;manual:b~proving:${KEY_TEXT}`);
    const dialling = dialer().dial(address, {
      signal: controller.signal,
      begin: (route, key) => {
        expected.push([route.text, key]);
        throw networkError("SELF_DIAL", "not this one");
      },
    });
    await expect(dialling).rejects.toMatchObject({ code: "SELF_DIAL" });
    expect(expected).toEqual([
      ["manual:a~toy", undefined],
      [`manual:b~proving:${KEY_TEXT}`, KEY],
    ]);
    expect(transport.dials).toEqual([]);
  });

  it("gives each alternative a head start, and the next its turn at once when one fails", async () => {
    const dialling = new Dialling("manual:a~toy;manual:b~toy;manual:c~toy");
    await runtime.advance(ATTEMPT_DELAY_MS - 1);
    expect(transport.dialled).toEqual(["a"]);
    await runtime.advance(1);
    expect(transport.dialled).toEqual(["a", "b"]);
    await refuse("b");
    expect(transport.dialled).toEqual(["a", "b", "c"]);
    await shake(await connect("c"));
    expect(dialling.won).toBe("c");
    expect(transport.dialTo("a").options.signal.aborted).toBe(true);
    expect(told).toEqual(["begin a", "begin b", "over b", "begin c", "shaking c", "over a"]);
  });

  it("settles on the first that has shaken hands, not on the first that connected", async () => {
    const dialling = new Dialling("manual:a~toy;manual:b~toy");
    await runtime.advance(ATTEMPT_DELAY_MS);
    const [slow, quick] = [await connect("a"), await connect("b")];
    await shake(quick);
    expect(dialling.won).toBe("b");
    expect(slow.aborted).toBeInstanceOf(Error);
    expect(quick.aborted).toBeUndefined();
    expect(told.filter((each) => each.startsWith("over"))).toEqual(["over a"]);
  });

  it("aborts a way that succeeds in the moment another has won, and tells of its end once", async () => {
    const dialling = new Dialling("manual:a~toy;manual:b~toy");
    await runtime.advance(ATTEMPT_DELAY_MS);
    const [one, other] = [await connect("a"), await connect("b")];
    one.receive(GREETING);
    other.receive(GREETING);
    await settled();
    const [winner, loser] = dialling.won === "a" ? [one, other] : [other, one];
    expect([winner.aborted, loser.aborted !== undefined]).toEqual([undefined, true]);
    expect(told.filter((each) => each.startsWith("over"))).toEqual([
      dialling.won === "a" ? "over b" : "over a",
    ]);
  });

  it("aborts what a transport brings that heeds no signal", async () => {
    transport.stubborn = true;
    const dialling = new Dialling("manual:a~toy;manual:b~toy");
    await runtime.advance(ATTEMPT_DELAY_MS);
    await shake(await connect("b"));
    expect(dialling.won).toBe("b");
    const late = await connect("a");
    expect([late.aborted !== undefined, late.writes]).toEqual([true, []]);
    expect(told.filter((each) => each.startsWith("over"))).toEqual(["over a"]);
  });

  it("goes past a way that begin refuses", async () => {
    const dialling = new Dialling("manual:self~toy;manual:b~toy");
    await settled();
    expect(transport.dialled).toEqual(["b"]);
    await shake(await connect("b"));
    expect(dialling.won).toBe("b");
    expect(told).toEqual(["begin self", "begin b", "shaking b"]);
  });

  it("takes the same alternative twice for two", async () => {
    const dialling = new Dialling("manual:a~toy;manual:a~toy");
    await settled();
    await refuse("a", new Error("one"));
    await refuse("a", new Error("two"));
    expect(dialling.error.attempts?.map(({ cause }) => cause.message)).toEqual([
      "cannot connect to manual:a: one",
      "cannot connect to manual:a: two",
    ]);
  });
});

describe("the order", () => {
  const address = "manual:a~toy;manual:b~proving;other:c~toy;manual:d~toy";
  const order = async (choice: Choice, own: Choice = {}): Promise<string[]> => {
    const dialling = new Dialling(
      address,
      choice,
      dialer(own, [
        [transport, toy()],
        [transport, toy({ name: "proving", key: KEY })],
        [Object.assign(Object.create(transport) as ManualTransport, { name: "other" }), toy()],
      ]),
    );
    for (let i = 0; i < 4; i++) {
      await settled();
      transport.dials.at(-1)?.refuse();
    }
    await settled();
    expect(dialling.error.attempts?.length).toBe(4);
    return transport.dialled;
  };

  it("is the address's own when nothing is preferred", async () => {
    expect(await order({})).toEqual(["a", "b", "c", "d"]);
  });

  it("has preferred protocols in front, and among equals the address's", async () => {
    expect(await order({ prefer: ["other", "proving"] })).toEqual(["c", "b", "a", "d"]);
  });

  it("has preferred stacks in front", async () => {
    expect(await order({ prefer: ["manual~proving", "nothing~like~it"] })).toEqual([
      "b",
      "a",
      "c",
      "d",
    ]);
  });

  it("is the node's preference, unless the call has one of its own", async () => {
    expect(await order({}, { prefer: ["other"] })).toEqual(["c", "a", "b", "d"]);
    transport.dials.length = 0;
    expect(await order({ prefer: ["proving"] }, { prefer: ["other"] })).toEqual([
      "b",
      "a",
      "c",
      "d",
    ]);
  });

  it("is that of the attempts, whichever failed first", async () => {
    const dialling = new Dialling("manual:a~toy;unknown:b~toy;manual:c~toy", { prefer: [] });
    await runtime.advance(ATTEMPT_DELAY_MS);
    await refuse("c");
    await refuse("a");
    expect(dialling.error.attempts?.map((attempt) => attempt.address)).toEqual([
      "manual:a~toy",
      "unknown:b~toy",
      "manual:c~toy",
    ]);
  });

  it("and what is allowed are as they were when the node was made", async () => {
    const prefer = ["proving"];
    const allow = ["manual"];
    const made = dialer({ prefer, allow });
    prefer.pop();
    allow.pop();
    const dialling = new Dialling("manual:a~toy;manual:b~proving", {}, made);
    await settled();
    expect(transport.dialled).toEqual(["b"]);
    controller.abort();
    await settled();
    expect(dialling.error.name).toBe("AbortError");
  });
});

describe("what is allowed", () => {
  it("and nothing else is dialled, by the node and by the call", async () => {
    const address = "manual:a~toy;manual:b~proving;other:c~toy";
    const own = dialer({ allow: ["toy", "manual~proving"] });
    const dialling = new Dialling(address, { allow: ["proving", "other"] }, own);
    await settled();
    expect(transport.dialled).toEqual(["b"]);
    await refuse("b");
    expect(dialling.error.attempts).toMatchObject([
      { stage: "parse", cause: { code: "ADDRESS_UNSUPPORTED", address: "manual:a~toy" } },
      { stage: "connect", cause: { code: "DIAL_REFUSED" } },
      { stage: "parse", cause: { code: "ADDRESS_UNSUPPORTED" } },
    ]);
    expect(dialling.error.attempts?.[0]?.cause.message).toBe(
      "manual:a~toy is not allowed here; allowed are proving, other",
    );
  });

  it("may be nothing", async () => {
    const dialling = new Dialling("manual:a~toy", { allow: [] });
    await settled();
    expect(dialling.error).toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
      message: "manual:a~toy is not allowed here; allowed are none",
    });
    expect(transport.dials).toEqual([]);
  });

  /** As `ws` speaks `wss`, too. */
  it.each([
    [["web"], ["plain", "secure"]],
    [["web~toy"], ["plain", "secure"]],
    [["webs"], ["secure"]],
    [["webs~toy"], ["secure"]],
  ])("of a transport of several names, by %j", async (allow, expected) => {
    const web = Object.assign(new ManualTransport("web"), { names: ["web", "webs"] });
    const made = dialer({ allow }, [[web, toy()]]);
    const dialling = new Dialling("web:plain~toy;webs:secure~toy", {}, made);
    for (let i = 0; i < 2; i++) {
      await settled();
      web.dials.at(-1)?.refuse();
    }
    await settled();
    expect(web.dialled).toEqual(expected);
    expect(dialling.error.attempts?.length).toBe(2);
  });

  it.each(["text", 7, [7], [undefined], {}])("cannot be %j", (list) => {
    for (const choice of [{ prefer: list }, { allow: list }]) {
      expect(() => dialer(choice as unknown as Choice)).toThrow(TypeError);
      expect(() => checkChoice(choice as unknown as Choice)).toThrow(Object.keys(choice)[0]);
    }
    expect(checkChoice({})).toEqual({ prefer: undefined, allow: undefined });
  });
});

describe("what cannot be dialled as it is written", () => {
  it("is not dialled, and said beside the others", async () => {
    const dialling = new Dialling(
      `unknown:a~toy;manual:b;manual:c~toy~toy;manual:d~proving:short;manual:e~toy`,
    );
    await settled();
    expect(transport.dialled).toEqual(["e"]);
    expect(told).toEqual(["begin e"]);
    await refuse("e");
    expect(dialling.error).toMatchObject({
      code: "DIAL_REFUSED",
      attempts: [
        { stage: "parse", afterMs: 0, tookMs: 0, cause: { code: "ADDRESS_UNSUPPORTED" } },
        { stage: "parse", cause: { code: "ADDRESS_UNSUPPORTED" } },
        { stage: "parse", cause: { code: "ADDRESS_UNSUPPORTED" } },
        { stage: "parse", cause: { code: "ADDRESS_MALFORMED" } },
        { stage: "connect", cause: { code: "DIAL_REFUSED" } },
      ],
    });
  });

  it("alone is an error that says what this node speaks", async () => {
    const dialling = new Dialling("unknown:a~toy;manual:d~proving:short");
    await settled();
    expect(dialling.error).toMatchObject({
      name: "AddressError",
      code: "ADDRESS_UNSUPPORTED",
      address: "unknown:a~toy;manual:d~proving:short",
    });
    expect(dialling.error.message).toContain("this node has manual~toy, manual~proving");
    const none = new Dialling("unknown:a~toy", {}, dialer({}, []));
    await settled();
    expect(none.error.message).toBe("no stack speaks unknown:a~toy; this node has none");
  });

  it("is asked of the transport and the transforms before anything is opened", async () => {
    const picky = Object.assign(transport, {
      check: (to: { args: readonly string[] }) => {
        if (to.args[0] === "bug") throw new TypeError("a transport's own fault");
        if (to.args[0] === "odd") throw networkError("ADDRESS_MALFORMED", "an odd place");
      },
    });
    const dialling = new Dialling("manual:odd~toy", {}, dialer({}, [[picky, toy()]]));
    await settled();
    expect(dialling.error).toMatchObject({ code: "ADDRESS_MALFORMED", address: "manual:odd~toy" });
    const faulty = new Dialling("manual:bug~toy", {}, dialer({}, [[picky, toy()]]));
    await settled();
    expect(faulty.error).toBeInstanceOf(TypeError);
    expect(transport.dials).toEqual([]);
  });
});

describe("the error", () => {
  it("has each attempt with its stage, its times and its cause", async () => {
    const dialling = new Dialling("manual:a~toy;manual:b~toy;manual:c~toy:k:seed");
    await runtime.advance(100);
    transport.dialTo("a").options.stage?.("resolve");
    await refuse("a", new Error("no such host"));
    await runtime.advance(ATTEMPT_DELAY_MS);
    const third = await connect("c");
    await runtime.advance(30);
    third.receive(Uint8Array.of(1, 1));
    await settled();
    const second = transport.dialTo("b");
    second.options.stage?.("resolve");
    second.options.stage?.("connect");
    await runtime.advance(20);
    await refuse("b");
    expect(dialling.error.attempts).toMatchObject([
      { address: "manual:a~toy", stage: "resolve", afterMs: 0, tookMs: 100 },
      { address: "manual:b~toy", stage: "connect", afterMs: 100, tookMs: 300 },
      { address: "manual:c~toy:k", stage: "handshake", afterMs: 350, tookMs: 30 },
    ]);
    expect(dialling.error.attempts?.map(({ cause }) => [cause.code, cause.address])).toEqual([
      ["DIAL_REFUSED", "manual:a~toy"],
      ["DIAL_REFUSED", "manual:b~toy"],
      ["HANDSHAKE_FAILED", "manual:c~toy:k"],
    ]);
    expect(JSON.stringify([dialling.error, dialling.error.message])).not.toContain("seed");
  });

  it("has the code of the way that got furthest, the first among equals", async () => {
    const dialling = new Dialling("unknown:x~toy;manual:a~toy;manual:b~toy;manual:c~toy");
    await settled();
    await refuse("a", new Error("nobody"));
    (await connect("b")).receive(Uint8Array.of(1, 1));
    await settled();
    (await connect("c")).finish();
    await settled();
    expect(dialling.error).toMatchObject({
      name: "HandshakeError",
      code: "HANDSHAKE_FAILED",
      address: "unknown:x~toy;manual:a~toy;manual:b~toy;manual:c~toy",
    });
    const { message, cause } = dialling.error;
    expect(message).toMatch(/^none of 4 alternatives worked\. unknown:x~toy: no stack speaks/);
    expect(message).toContain("manual:c~toy: the other side hung up during the handshake");
    expect(cause).toBeInstanceOf(AggregateError);
    expect((cause as AggregateError).errors).toEqual(
      dialling.error.attempts?.map((attempt) => attempt.cause),
    );
  });

  it("of one alternative is that alternative's own", async () => {
    const why = new Error("nobody");
    const dialling = new Dialling("manual:a~toy");
    await runtime.advance(70);
    await refuse("a", why);
    const { error } = dialling;
    expect(error).toMatchObject({
      code: "DIAL_REFUSED",
      message: "cannot connect to manual:a: nobody",
      address: "manual:a~toy",
      cause: why,
      attempts: [{ stage: "connect", afterMs: 0, tookMs: 70 }],
    });
  });

  it("keeps the peer it is about", async () => {
    const refusing: Transform = {
      ...toy({ name: "refusing" }),
      handshake: () => Promise.reject(networkError("PEER_REFUSED", "not you", { peer: KEY_TEXT })),
    };
    for (const address of ["manual:a~refusing", "unknown:b~toy;manual:a~refusing"]) {
      const dialling = new Dialling(address, {}, dialer({}, [[transport, refusing]]));
      await settled();
      await connect("a");
      expect(dialling.error).toMatchObject({ code: "PEER_REFUSED", peer: KEY_TEXT });
    }
  });

  it("is of the handshake, whatever a transport still says of other hosts", async () => {
    const dialling = new Dialling("manual:a~toy");
    await settled();
    const connection = await connect("a");
    transport.dialTo("a").options.stage?.("connect");
    connection.finish();
    await settled();
    expect(dialling.error.attempts).toMatchObject([{ stage: "handshake" }]);
    expect(told).toEqual(["begin a", "shaking a", "over a"]);
  });
});

describe("a deadline", () => {
  it("is each way's own", async () => {
    const dialling = new Dialling("manual:a~toy;manual:b~toy");
    await runtime.advance(ATTEMPT_DELAY_MS);
    const connection = await connect("b");
    await runtime.advance(DIAL_MS);
    expect(dialling.seen).toBe("pending");
    await runtime.advance(10 * SHAKE_MS);
    expect(dialling.error.attempts).toMatchObject([
      { stage: "connect", tookMs: DIAL_MS, cause: { code: "DIAL_TIMEOUT" } },
      {
        stage: "handshake",
        afterMs: ATTEMPT_DELAY_MS,
        tookMs: SHAKE_MS,
        cause: { code: "HANDSHAKE_TIMEOUT" },
      },
    ]);
    expect(connection.aborted).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
    expect(told.filter((each) => each.startsWith("over"))).toEqual(["over a", "over b"]);
  });

  it("holds for a transport that heeds no signal", async () => {
    transport.stubborn = true;
    const dialling = new Dialling("manual:a~toy");
    await runtime.advance(DIAL_MS);
    expect(dialling.error).toMatchObject({ code: "DIAL_TIMEOUT" });
    expect((await connect("a")).aborted).toMatchObject({ code: "DIAL_TIMEOUT" });
  });

  it("holds for a transform that heeds no signal", async () => {
    const endless: Transform = { ...toy(), handshake: () => new Promise(() => {}) };
    const dialling = new Dialling("manual:a~toy", {}, dialer({}, [[transport, endless]]));
    await settled();
    const connection = await connect("a");
    await runtime.advance(SHAKE_MS);
    expect(dialling.error).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
    expect(connection.aborted).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
  });

  it("is put off by nothing that trickles in", async () => {
    const dialling = new Dialling("manual:a~toy");
    await settled();
    const connection = await connect("a");
    await runtime.advance(SHAKE_MS - 1);
    connection.receive(Uint8Array.of(7));
    await runtime.advance(1);
    expect(dialling.error).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
  });
});

describe("a signal", () => {
  const reason = new Error("changed my mind");
  const stop = async (dialling: Dialling): Promise<void> => {
    controller.abort(reason);
    await settled();
    expect(dialling.seen).toEqual({ error: reason });
    expect(runtime.pending).toBe(0);
    // Whatever was begun is over, once.
    const begun = told.filter((each) => each.startsWith("begin")).map((each) => each.slice(6));
    expect(told.filter((each) => each.startsWith("over")).sort()).toEqual(
      begun.map((name) => `over ${name}`),
    );
  };

  it("that has fired begins nothing", async () => {
    controller.abort(reason);
    await stop(new Dialling("manual:a~toy;manual:b~toy"));
    expect(transport.dials).toEqual([]);
  });

  it("that has fired hides no fault of the address's, which nobody asked for", async () => {
    controller.abort(reason);
    await stop(new Dialling("unknown:a~toy"));
  });

  it.each([
    ["a host is looked up", (dial: ManualDial) => dial.options.stage?.("resolve")],
    ["it connects", () => {}],
  ])("ends the dial while %s", async (_when, work) => {
    const dialling = new Dialling("manual:a~toy;manual:b~toy;manual:c~toy");
    await runtime.advance(ATTEMPT_DELAY_MS);
    for (const dial of transport.dials) work(dial);
    await stop(dialling);
    await runtime.advance(10_000);
    expect(transport.dialled).toEqual(["a", "b"]);
  });

  it("ends the dial while it shakes hands", async () => {
    const dialling = new Dialling("manual:a~toy;manual:b~toy");
    await runtime.advance(ATTEMPT_DELAY_MS);
    const connections = [await connect("a"), await connect("b")];
    await stop(dialling);
    expect(connections.map(({ aborted }) => aborted)).toEqual([reason, reason]);
  });

  it("ends the dial of a transport that heeds it not, and what that still brings", async () => {
    transport.stubborn = true;
    const dialling = new Dialling("manual:a~toy");
    await settled();
    await stop(dialling);
    expect((await connect("a")).aborted).toBe(reason);
  });

  it("ends the dial in each of the moments in which it succeeds, or comes after it", async () => {
    // A turn further each time, from the last byte of the handshake to the end of the dial.
    const outcomes: string[] = [];
    while (outcomes.at(-1) !== "won") {
      told = [];
      controller = new AbortController();
      const dialling = new Dialling("manual:a~toy");
      await settled();
      const connection = await connect("a");
      connection.receive(GREETING);
      for (let i = 0; i < outcomes.length; i++) await undefined;
      controller.abort(reason);
      await settled();
      if (dialling.won === undefined) {
        expect(dialling.error).toBe(reason);
        expect(connection.aborted).toBe(reason);
      } else {
        expect(connection.aborted).toBeUndefined();
      }
      outcomes.push(dialling.won === undefined ? "ended" : "won");
    }
    expect(outcomes.length).toBeGreaterThan(5);
  });

  it("says nothing to a dial that is over", async () => {
    const dialling = new Dialling("manual:a~toy");
    await settled();
    const connection = await connect("a");
    await shake(connection);
    controller.abort(reason);
    await settled();
    expect([dialling.won, connection.aborted]).toEqual(["a", undefined]);
    expect(told).toEqual(["begin a", "shaking a"]);
  });
});

/** What becomes of one alternative, by itself. */
interface Plan {
  readonly connectMs: number;
  readonly shakeMs: number;
  readonly fate: "unsupported" | "refused" | "bad handshake" | "fine";
}

/** Times of ways with these plans: when each starts and ends, and which of them wins when. */
function expectedOf(plans: readonly Plan[]): {
  readonly ends: readonly { readonly startedAt: number; readonly tookMs: number }[];
  readonly winner: number;
  readonly at: number;
} {
  const ends: { startedAt: number; tookMs: number }[] = [];
  let next = 0;
  let winner = -1;
  let at = 0;
  const tried = plans.flatMap((plan, index) => (plan.fate === "unsupported" ? [] : [index]));
  const finish = (index: number): number => {
    const end = ends[index];
    return end === undefined ? Number.POSITIVE_INFINITY : end.startedAt + end.tookMs;
  };
  for (let nextAt = 0; ; ) {
    const running = tried.filter(
      (index) => finish(index) < Number.POSITIVE_INFINITY && finish(index) > at,
    );
    const soonest = Math.min(...running.map(finish));
    const starts = next < tried.length ? nextAt : Number.POSITIVE_INFINITY;
    if (Math.min(soonest, starts) === Number.POSITIVE_INFINITY) return { ends, winner, at };
    at = Math.min(soonest, starts);
    if (soonest <= starts) {
      winner =
        running.find((index) => finish(index) === soonest && plans[index]?.fate === "fine") ?? -1;
      if (winner >= 0) return { ends, winner, at };
      nextAt = at;
    }
    const index = tried[next];
    const plan = plans[index ?? -1];
    if (index === undefined || plan === undefined) continue;
    const tookMs = plan.fate === "refused" ? plan.connectMs : plan.connectMs + plan.shakeMs;
    ends[index] = { startedAt: at, tookMs };
    next++;
    nextAt = at + ATTEMPT_DELAY_MS;
  }
}

describe("dials over random ways", () => {
  // Each way's times end in digits of their own, so that no two things happen in the same moment.
  const plans = fc
    .array(
      fc.record({
        connectMs: fc.nat(600),
        shakeMs: fc.nat(600),
        fate: fc.constantFrom("unsupported", "refused", "bad handshake", "fine" as const),
      }),
      { minLength: 1, maxLength: 6 },
    )
    .map((list) =>
      list.map((plan, i) => ({ ...plan, connectMs: plan.connectMs + 1 / 2 ** (i + 2) }) as Plan),
    );

  it("do what the model says, and leave nothing open", async () => {
    const outcomes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(plans, async (list) => {
        const clock = new VirtualRuntime();
        const signal = new AbortController().signal;
        const opened: ManualConnection[] = [];
        const wait = (ms: number): Promise<void> =>
          new Promise((resolve) => void clock.setTimer(resolve, ms));
        const planned: Transport = {
          name: "planned",
          halfClose: true,
          dial: async (to): Promise<Connection> => {
            const index = Number(to.args[0]);
            const plan = list[index];
            await wait(plan?.connectMs ?? 0);
            if (plan?.fate === "refused") throw new Error("nobody");
            const connection = new ManualConnection();
            opened[index] = connection;
            return connection;
          },
        };
        const shaking: Transform = {
          name: "shaking",
          authenticates: false,
          section: () => section("shaking"),
          handshake: async (_wire, { section: own }) => {
            const plan = list[Number(own?.args[0])];
            await wait(plan?.shakeMs ?? 0);
            if (plan?.fate !== "fine") throw new Error("no");
            return toySession();
          },
        };
        const ways = list.map(() => ({ begun: 0, shaking: 0, over: 0 }));
        const made = new Dialer([new Stack([planned, shaking])], {
          identity: Identity.fromSecret(new Uint8Array(32).fill(1)),
          networkId: new Uint8Array(32),
          runtime: clock,
          dialTimeoutMs: 100_000,
          handshakeTimeoutMs: 100_000,
        });
        const text = list.map(({ fate }, i) =>
          fate === "unsupported" ? `other:${i}~shaking:${i}` : `planned:${i}~shaking:${i}`,
        );
        const dialling = made
          .dial(parseAddress(text.join(";")), {
            signal,
            begin: (route) => {
              const seen = ways[Number(route.sections[0]?.args[0])];
              if (seen === undefined) throw new Error("a way that nobody asked for");
              seen.begun++;
              return {
                shaking: () => void seen.shaking++,
                over: () => void seen.over++,
                index: ways.indexOf(seen),
              };
            },
          })
          .then(
            ({ link, way }) => ({ winner: way.index, link, error: undefined }),
            (error: NetworkError) => ({ winner: -1, link: undefined, error }),
          );
        const expected = expectedOf(list);
        const { winner, link, error } = await clock.during(dialling);
        expect([winner, clock.now()]).toEqual([expected.winner, expected.at]);
        outcomes.add(winner < 0 ? "failed" : `won ${winner > 0 ? "late" : "first"}`);
        // Those that heed no signal end by and by.
        await clock.advance(10_000);
        for (const [index, connection] of opened.entries()) {
          if (connection === undefined) continue;
          expect(connection.aborted === undefined).toBe(index === winner);
        }
        if (winner >= 0) expect(link?.connection).toBe(opened[winner]);
        for (const [index, seen] of ways.entries()) {
          const begun = expected.ends[index] === undefined ? 0 : 1;
          expect([seen.begun, seen.over]).toEqual([begun, index === winner ? 0 : begun]);
          expect(seen.shaking).toBeLessThanOrEqual(begun);
        }
        if (error !== undefined) {
          expect(error.attempts).toMatchObject(
            list.map(({ fate }, index) => ({
              address: text[index],
              stage: { unsupported: "parse", refused: "connect" }[fate as string] ?? "handshake",
              afterMs: Math.round(expected.ends[index]?.startedAt ?? 0),
              tookMs: Math.round(expected.ends[index]?.tookMs ?? 0),
            })),
          );
        }
        expect(clock.pending).toBe(0);
        expect(getEventListeners(signal, "abort")).toEqual([]);
      }),
      { numRuns: 200 },
    );
    expect(outcomes).toEqual(new Set(["failed", "won late", "won first"]));
  });
});
