import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { vouch } from "../../../test/support/vouch.ts";
import { memory } from "../../transports/src/memory/index.ts";
import { section } from "../src/address.ts";
import { networkError } from "../src/errors.ts";
import { Identity } from "../src/identity.ts";
import { MultiServer, type MultiServerOptions } from "../src/multiserver.ts";
import type { Scope } from "../src/scope.ts";
import type { Transport } from "../src/transport.ts";
import { ManualTransport } from "./support/manual-transport.ts";
import { IDENTITY, KEY, MultiWorld } from "./support/multi-world.ts";
import { toy } from "./support/toy-transform.ts";

let world: MultiWorld;

beforeEach(() => {
  world = new MultiWorld();
});

afterEach(() => world.end());

describe("a node", () => {
  it("is made of stacks, and refuses what are none", () => {
    for (const stacks of [
      undefined,
      {},
      "net",
      [[]],
      [[vouch()]],
      [[world.line(), world.line()]],
    ]) {
      expect(() => new MultiServer(stacks as never)).toThrow(TypeError);
    }
    const bad: [object, new (message: string) => Error][] = [
      [{ limits: { dialTimeoutMs: 0 } }, RangeError],
      [{ limits: { nonsense: 1 } }, TypeError],
      [{ networkId: new Uint8Array(3) }, TypeError],
      [{ prefer: "net" }, TypeError],
      [{ allow: [1] }, TypeError],
      [{ wrap: {} }, TypeError],
    ];
    for (const [options, kind] of bad) {
      expect(() => new MultiServer([], options as MultiServerOptions)).toThrow(kind);
    }
  });

  it("says what it speaks, who it is, and who its transforms are", () => {
    const own = Identity.fromSecret(new Uint8Array(32).fill(2));
    const made = world.node([
      [world.line(), vouch()],
      [new ManualTransport(), toy(), { ...toy(), identity: own }],
    ]);
    expect(made.protocols).toEqual(["memory~vouch", "manual~toy~toy"]);
    expect(made.identity).toBe(IDENTITY);
    expect(made.identities).toEqual([own]);
    expect(made.limits.maxPeers).toBe(1_024);
    expect(new MultiServer([]).identity.id.text).not.toBe(KEY);
  });

  it("has a key of its own from its world.runtime when it is given none", () => {
    const [one, other] = [1, 1].map(
      (seed) => new MultiServer([], { runtime: new VirtualRuntime(seed) }),
    );
    expect(one?.identity.id.text).toBe(other?.identity.id.text);
  });
});

describe("parse", () => {
  it("says of each alternative which stack speaks it, or why none dials it", () => {
    const made = world.node(
      [
        [world.line(), vouch()],
        [new ManualTransport(), toy()],
      ],
      { allow: ["memory"] },
    );
    const address = `memory:a~vouch:${KEY};other:b;memory:c~vouch:short;manual:d~toy:k:seed;memory:e`;
    const parsed = made.parse(address);
    expect(parsed.map((route) => [route.address, route.stack, route.problem?.code])).toEqual([
      [`memory:a~vouch:${KEY}`, "memory~vouch", undefined],
      ["other:b", undefined, "ADDRESS_UNSUPPORTED"],
      ["memory:c~vouch:short", "memory~vouch", "ADDRESS_MALFORMED"],
      ["manual:d~toy:k:seed", "manual~toy", "ADDRESS_UNSUPPORTED"],
      ["memory:e", undefined, "ADDRESS_UNSUPPORTED"],
    ]);
    expect(parsed[0]?.sections.map(({ name }) => name)).toEqual(["memory", "vouch"]);
    expect(parsed[3]?.problem?.message).not.toContain("seed");
  });

  it("throws for what is no address", () => {
    const made = world.node([]);
    for (const text of ["", ";", "n:x", "~", "net:a~"]) {
      expect(() => made.parse(text)).toThrow(
        expect.objectContaining({ code: "ADDRESS_MALFORMED" }),
      );
    }
    expect(() => made.parse(7 as unknown as string)).toThrow(TypeError);
  });

  it("does not take a programmer's fault for an address's", () => {
    const faulty = Object.assign(new ManualTransport(), {
      check: () => {
        throw new TypeError("a fault");
      },
    });
    expect(() => world.node([[faulty, toy()]]).parse("manual:a~toy")).toThrow(TypeError);
  });
});

/** A transport of scopes: `here` for this machine, `lan` beyond it, `far` for all. */
function scoped(name: string, scopes: readonly Scope[], port: string = "7"): Transport {
  const hosts = { device: "here", local: "lan", private: "lan", public: "far" };
  return {
    ...memory({ hub: world.hub, runtime: world.runtime }),
    name,
    place: section(name, "any", port),
    check: (given, side) => {
      if (side === "dialer" && given.args[1] === "0") {
        throw networkError("ADDRESS_MALFORMED", "port 0 is for listening");
      }
    },
    listen: async (at) => {
      if (!world.hub.claim(at.text, () => {})) throw new Error("in use");
      const close = async (): Promise<void> => world.hub.release(at.text);
      return {
        section: section(name, "here", "9"),
        bound: section(name, "any", "9"),
        local: true,
        close,
      };
    },
    advertised: (bound, scope) =>
      scopes.includes(scope) ? [section(name, hosts[scope], bound.args[1] ?? "")] : [],
  };
}

describe("stringify", () => {
  it("has the addresses of each scope, in the order of the stacks", async () => {
    const made = world.node([
      [scoped("one", ["device", "public"]), vouch()],
      [scoped("two", ["private"]), toy()],
      [scoped("three", ["device", "local"]), vouch(), toy()],
    ]);
    const expected = (port: string): Record<Scope, string> => ({
      device: `one:here:${port}~vouch:${KEY};three:here:${port}~vouch:${KEY}~toy`,
      local: `three:lan:${port}~vouch:${KEY}~toy`,
      private: `two:lan:${port}~toy`,
      public: `one:far:${port}~vouch:${KEY}`,
    });
    const all = (): Record<string, string> =>
      Object.fromEntries(
        (["device", "local", "private", "public"] as const).map((s) => [s, made.stringify(s)]),
      );
    expect(all()).toEqual(expected("7"));
    const serving = await world.serve(made);
    expect(all()).toEqual(expected("9"));
    expect(made.stringify()).toBe(made.stringify("device"));
    // What is told without being asked for a scope is the widest of each.
    expect(serving.addresses).toEqual([
      `one:far:9~vouch:${KEY}`,
      "two:lan:9~toy",
      `three:lan:9~vouch:${KEY}~toy`,
    ]);
    await serving.close();
    expect(all()).toEqual(expected("7"));
  });

  it("does not tell, before it listens, what nobody can dial yet", async () => {
    const made = world.node([
      [scoped("one", ["device"], "0"), vouch()],
      [scoped("two", ["device"]), vouch()],
    ]);
    expect(made.stringify()).toBe(`two:here:7~vouch:${KEY}`);
    await world.serve(made);
    expect(made.stringify()).toBe(`one:here:9~vouch:${KEY};two:here:9~vouch:${KEY}`);
  });

  it("has the key that a transform has of its own", () => {
    const own = Identity.fromSecret(new Uint8Array(32).fill(2));
    const made = world.node([[world.line("a"), { ...vouch(), identity: own }]]);
    expect(made.stringify()).toBe(`memory:a~vouch:${own.id.text}`);
  });

  it("is empty where nothing is served", () => {
    expect(world.node([[world.line(), vouch()]]).stringify()).toBe("");
    expect(world.node([[scoped("one", ["device"]), vouch()]]).stringify("public")).toBe("");
    expect(world.node([]).stringify()).toBe("");
  });

  it.each(["", "nearby", 7, null, [], ["device"], ["device", "public"]])(
    "knows no scope %j",
    (scope) => {
      expect(() => world.node([[world.line("a"), vouch()]]).stringify(scope as Scope)).toThrow(
        TypeError,
      );
    },
  );

  it("and parse are inverses", async () => {
    const made = world.node([
      [world.line("a:b;c~d!e"), vouch()],
      [scoped("two", ["device"]), vouch()],
    ]);
    await world.serve(made);
    const text = made.stringify();
    const parsed = made.parse(text);
    expect(parsed.map(({ address }) => address).join(";")).toBe(text);
    expect(parsed.map(({ stack, problem }) => [stack, problem])).toEqual([
      ["memory~vouch", undefined],
      ["two~vouch", undefined],
    ]);
  });
});
