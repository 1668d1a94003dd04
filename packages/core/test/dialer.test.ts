import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settled } from "../../../test/support/virtual-runtime.ts";
import { parseAddress } from "../src/address.ts";
import { toBase64 } from "../src/bytes.ts";
import { type Choice, checkChoice } from "../src/dialer.ts";
import { networkError } from "../src/errors.ts";
import { ATTEMPT_DELAY_MS } from "../src/race.ts";
import { DialWorld, GREETING, PROVED, shake } from "./support/dialling.ts";
import { ManualTransport } from "./support/manual-transport.ts";
import { toy } from "./support/toy-transform.ts";

const KEY_TEXT = toBase64(PROVED);

let world: DialWorld;

beforeEach(() => {
  world = new DialWorld();
});

/** However a dial ended, it leaves no timer and no listener on its signal. */
afterEach(() => {
  expect(world.runtime.pending).toBe(0);
  expect(getEventListeners(world.controller.signal, "abort")).toEqual([]);
});

describe("a dial", () => {
  it("gives the link of its one way, its stack, and what begin gave", async () => {
    const dialling = world.dial("manual:a~toy");
    await settled();
    const connection = await world.connect("a");
    await shake(connection);
    expect(dialling.seen).toMatchObject({
      link: { connection, side: "dialer", address: "manual:a~toy" },
      stack: { name: "manual~toy" },
      way: { name: "a" },
    });
    expect([world.told, connection.aborted]).toEqual([["begin a", "shaking a"], undefined]);
  });

  it("tells begin which key the way must prove", async () => {
    const expected: unknown[] = [];
    const address = parseAddress(`manual:a~toy;manual:b~proving:${KEY_TEXT}`);
    const dialling = world.dialer().dial(address, {
      signal: world.controller.signal,
      begin: (route, key) => {
        expected.push([route.text, key]);
        throw networkError("SELF_DIAL", "not this one");
      },
    });
    await expect(dialling).rejects.toMatchObject({ code: "SELF_DIAL" });
    expect(expected).toEqual([
      ["manual:a~toy", undefined],
      [`manual:b~proving:${KEY_TEXT}`, PROVED],
    ]);
    expect(world.transport.dials).toEqual([]);
  });

  it("gives each alternative a head start, and the next its turn at once when one fails", async () => {
    const dialling = world.dial("manual:a~toy;manual:b~toy;manual:c~toy");
    await world.runtime.advance(ATTEMPT_DELAY_MS - 1);
    expect(world.transport.dialled).toEqual(["a"]);
    await world.runtime.advance(1);
    expect(world.transport.dialled).toEqual(["a", "b"]);
    await world.refuse("b");
    expect(world.transport.dialled).toEqual(["a", "b", "c"]);
    await shake(await world.connect("c"));
    expect(dialling.won).toBe("c");
    expect(world.transport.dialTo("a").options.signal.aborted).toBe(true);
    expect(world.told).toEqual(["begin a", "begin b", "over b", "begin c", "shaking c", "over a"]);
  });

  it("settles on the first that has shaken hands, not on the first that connected", async () => {
    const dialling = world.dial("manual:a~toy;manual:b~toy");
    await world.runtime.advance(ATTEMPT_DELAY_MS);
    const [slow, quick] = [await world.connect("a"), await world.connect("b")];
    await shake(quick);
    expect(dialling.won).toBe("b");
    expect(slow.aborted).toBeInstanceOf(Error);
    expect(quick.aborted).toBeUndefined();
    expect(world.over).toEqual(["a"]);
  });

  it("aborts a way that succeeds in the moment another has won, and tells of its end once", async () => {
    const dialling = world.dial("manual:a~toy;manual:b~toy");
    await world.runtime.advance(ATTEMPT_DELAY_MS);
    const [one, other] = [await world.connect("a"), await world.connect("b")];
    one.receive(GREETING);
    other.receive(GREETING);
    await settled();
    const [winner, loser] = dialling.won === "a" ? [one, other] : [other, one];
    expect([winner.aborted, loser.aborted !== undefined]).toEqual([undefined, true]);
    expect(world.told.filter((each) => each.startsWith("over"))).toEqual([
      dialling.won === "a" ? "over b" : "over a",
    ]);
  });

  it("aborts what a transport brings that heeds no signal", async () => {
    world.transport.stubborn = true;
    const dialling = world.dial("manual:a~toy;manual:b~toy");
    await world.runtime.advance(ATTEMPT_DELAY_MS);
    await shake(await world.connect("b"));
    expect(dialling.won).toBe("b");
    const late = await world.connect("a");
    expect([late.aborted !== undefined, late.writes]).toEqual([true, []]);
    expect(world.over).toEqual(["a"]);
  });

  it("goes past a way that begin refuses", async () => {
    const dialling = world.dial("manual:self~toy;manual:b~toy");
    await settled();
    expect(world.transport.dialled).toEqual(["b"]);
    await shake(await world.connect("b"));
    expect(dialling.won).toBe("b");
    expect(world.told).toEqual(["begin self", "begin b", "shaking b"]);
  });

  it("takes the same alternative twice for two", async () => {
    const dialling = world.dial("manual:a~toy;manual:a~toy");
    await settled();
    await world.refuse("a", new Error("one"));
    await world.refuse("a", new Error("two"));
    expect(dialling.error.attempts?.map(({ cause }) => cause.message)).toEqual([
      "cannot connect to manual:a: one",
      "cannot connect to manual:a: two",
    ]);
  });
});

describe("the order", () => {
  const address = "manual:a~toy;manual:b~proving;other:c~toy;manual:d~toy";
  const order = async (choice: Choice, own: Choice = {}): Promise<string[]> => {
    const dialling = world.dial(
      address,
      choice,
      world.dialer(own, [
        [world.transport, toy()],
        [world.transport, toy({ name: "proving", key: PROVED })],
        [
          Object.assign(Object.create(world.transport) as ManualTransport, { name: "other" }),
          toy(),
        ],
      ]),
    );
    for (let i = 0; i < 4; i++) {
      await settled();
      world.transport.dials.at(-1)?.refuse();
    }
    await settled();
    expect(dialling.error.attempts?.length).toBe(4);
    return world.transport.dialled;
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
    world.transport.dials.length = 0;
    expect(await order({ prefer: ["proving"] }, { prefer: ["other"] })).toEqual([
      "b",
      "a",
      "c",
      "d",
    ]);
  });

  it("is that of the attempts, whichever failed first", async () => {
    const dialling = world.dial("manual:a~toy;unknown:b~toy;manual:c~toy", { prefer: [] });
    await world.runtime.advance(ATTEMPT_DELAY_MS);
    await world.refuse("c");
    await world.refuse("a");
    expect(dialling.error.attempts?.map((attempt) => attempt.address)).toEqual([
      "manual:a~toy",
      "unknown:b~toy",
      "manual:c~toy",
    ]);
  });

  it("and what is allowed are as they were when the node was made", async () => {
    const prefer = ["proving"];
    const allow = ["manual"];
    const made = world.dialer({ prefer, allow });
    prefer.pop();
    allow.pop();
    const dialling = world.dial("manual:a~toy;manual:b~proving", {}, made);
    await settled();
    expect(world.transport.dialled).toEqual(["b"]);
    world.controller.abort();
    await settled();
    expect(dialling.error.name).toBe("AbortError");
  });
});

describe("what is allowed", () => {
  it("and nothing else is dialled, by the node and by the call", async () => {
    const address = "manual:a~toy;manual:b~proving;other:c~toy";
    const own = world.dialer({ allow: ["toy", "manual~proving"] });
    const dialling = world.dial(address, { allow: ["proving", "other"] }, own);
    await settled();
    expect(world.transport.dialled).toEqual(["b"]);
    await world.refuse("b");
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
    const dialling = world.dial("manual:a~toy", { allow: [] });
    await settled();
    expect(dialling.error).toMatchObject({
      code: "ADDRESS_UNSUPPORTED",
      message: "manual:a~toy is not allowed here; allowed are none",
    });
    expect(world.transport.dials).toEqual([]);
  });

  /** As `ws` speaks `wss`, too. */
  it.each([
    [["web"], ["plain", "secure"]],
    [["web~toy"], ["plain", "secure"]],
    [["webs"], ["secure"]],
    [["webs~toy"], ["secure"]],
  ])("of a transport of several names, by %j", async (allow, expected) => {
    const web = Object.assign(new ManualTransport("web"), { names: ["web", "webs"] });
    const made = world.dialer({ allow }, [[web, toy()]]);
    const dialling = world.dial("web:plain~toy;webs:secure~toy", {}, made);
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
      expect(() => world.dialer(choice as unknown as Choice)).toThrow(TypeError);
      expect(() => checkChoice(choice as unknown as Choice)).toThrow(Object.keys(choice)[0]);
    }
    expect(checkChoice({})).toEqual({ prefer: undefined, allow: undefined });
  });
});

describe("what cannot be dialled as it is written", () => {
  it("is not dialled, and said beside the others", async () => {
    const dialling = world.dial(
      `unknown:a~toy;manual:b;manual:c~toy~toy;manual:d~proving:short;manual:e~toy`,
    );
    await settled();
    expect(world.transport.dialled).toEqual(["e"]);
    expect(world.told).toEqual(["begin e"]);
    await world.refuse("e");
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
    const dialling = world.dial("unknown:a~toy;manual:d~proving:short");
    await settled();
    expect(dialling.error).toMatchObject({
      name: "AddressError",
      code: "ADDRESS_UNSUPPORTED",
      address: "unknown:a~toy;manual:d~proving:short",
    });
    expect(dialling.error.message).toContain("this node has manual~toy, manual~proving");
    const none = world.dial("unknown:a~toy", {}, world.dialer({}, []));
    await settled();
    expect(none.error.message).toBe("no stack speaks unknown:a~toy; this node has none");
  });

  it("is asked of the transport and the transforms before anything is opened", async () => {
    const picky = Object.assign(world.transport, {
      check: (to: { args: readonly string[] }) => {
        if (to.args[0] === "bug") throw new TypeError("a transport's own fault");
        if (to.args[0] === "odd") throw networkError("ADDRESS_MALFORMED", "an odd place");
      },
    });
    const dialling = world.dial("manual:odd~toy", {}, world.dialer({}, [[picky, toy()]]));
    await settled();
    expect(dialling.error).toMatchObject({ code: "ADDRESS_MALFORMED", address: "manual:odd~toy" });
    const faulty = world.dial("manual:bug~toy", {}, world.dialer({}, [[picky, toy()]]));
    await settled();
    expect(faulty.error).toBeInstanceOf(TypeError);
    expect(world.transport.dials).toEqual([]);
  });
});
