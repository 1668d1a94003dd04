import { type Logger, type NetworkError, networkError } from "@testudo/core";
import { describe, expect, it } from "vitest";
import { Bootstrap } from "../../src/kademlia/bootstrap.ts";

/** What each address's dial ends in, now; `undefined` for well. */
type Ends = Record<string, NetworkError | undefined>;

const refused = networkError("DIAL_REFUSED", "nobody listens there");
const unsupported = networkError("ADDRESS_UNSUPPORTED", "no stack speaks it");
const malformed = networkError("ADDRESS_MALFORMED", "it has no port");

function setUp(ends: Ends): {
  bootstrap: Bootstrap;
  dialled: string[];
  said: [string, unknown][];
  pass: (ms: number) => void;
  closed: AbortController;
} {
  let now = 0;
  const dialled: string[] = [];
  const said: [string, unknown][] = [];
  const closed = new AbortController();
  const say =
    (level: string) =>
    (fields: object): void => {
      said.push([level, (fields as { error?: unknown }).error]);
    };
  const logger: Logger = {
    trace: say("trace"),
    debug: say("debug"),
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
  };
  const bootstrap = new Bootstrap(Object.keys(ends), {
    dial: async (address) => {
      dialled.push(address);
      const error = ends[address];
      if (error !== undefined) throw error;
    },
    now: () => now,
    random: () => 0,
    logger,
    signal: closed.signal,
  });
  const pass = (ms: number): void => {
    now += ms;
  };
  return { bootstrap, dialled, said, pass, closed };
}

describe("bootstrap addresses", () => {
  it("are dialled all at once, and the first that answers is enough", async () => {
    const { bootstrap, dialled } = setUp({ a: refused, b: undefined });
    expect(bootstrap.reached).toBe(false);
    expect(await bootstrap.round()).toBe(true);
    expect([dialled, bootstrap.reached, bootstrap.hopeless]).toEqual([["a", "b"], true, undefined]);
    expect(await bootstrap.round()).toBe(false);
  });

  it("are none to wait for where there are none", async () => {
    const { bootstrap } = setUp({});
    expect([bootstrap.reached, bootstrap.hopeless]).toEqual([true, undefined]);
    await bootstrap.any();
    expect(await bootstrap.round()).toBe(false);
  });

  it("are tried ever less often, and that none is there is a warning once", async () => {
    const { bootstrap, said, pass } = setUp({ a: refused, b: refused });
    const waits: number[] = [];
    for (let round = 0; round < 8; round++) {
      await bootstrap.round();
      let waited = 0;
      for (; !bootstrap.due; waited += 500) pass(500);
      waits.push(waited);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    expect(said.filter(([level]) => level === "warn")).toEqual([["warn", refused]]);
    expect(bootstrap.hopeless).toBeUndefined();
    bootstrap.refresh();
    await bootstrap.round();
    pass(1_000);
    expect(bootstrap.due).toBe(true);
  });

  it("that can never be dialled are left out, with a warning for each", async () => {
    const { bootstrap, dialled, said } = setUp({ a: unsupported, b: refused, c: malformed });
    await bootstrap.round();
    await bootstrap.round();
    expect(dialled).toEqual(["a", "b", "c", "b"]);
    expect(said.filter(([level]) => level === "warn").map(([, error]) => error)).toEqual([
      unsupported,
      malformed,
      refused,
    ]);
    expect(bootstrap.hopeless).toBeUndefined();
  });

  it("are hopeless when all of them can never be dialled", async () => {
    const { bootstrap } = setUp({ a: unsupported });
    await bootstrap.round();
    expect([bootstrap.hopeless, bootstrap.reached]).toEqual([unsupported, false]);
  });

  it("have failed for nobody to hear of when the node leaves", async () => {
    const { bootstrap, said, closed } = setUp({ a: unsupported });
    closed.abort();
    await bootstrap.round();
    expect([said, bootstrap.hopeless]).toEqual([[], undefined]);
  });
});
