import {
  type Network,
  networkError,
  type Peer,
  parseAddress,
  systemRuntime,
  type Timer,
} from "@testudo/core";
import { describe, expect, test } from "vitest";
import { FirstDials } from "../src/first-dial.ts";

/** A network whose dials end as told, and whose timers fire at once. */
function scripted(outcomes: (Error | "ok")[]) {
  const waits: number[] = [];
  const dialled: string[] = [];
  const runtime = {
    ...systemRuntime,
    setTimer(callback: () => void, delayMs: number): Timer {
      waits.push(delayMs);
      queueMicrotask(callback);
      return { cancel: () => {} };
    },
  };
  const network = {
    runtime,
    async add(address: string): Promise<Peer> {
      dialled.push(address);
      const outcome = outcomes.shift();
      if (outcome instanceof Error) throw outcome;
      return {} as Peer;
    },
  } as unknown as Network;
  return { network, waits, dialled };
}

const { routes, text } = parseAddress("net:a:1~noise");
const there = { routes, text, problems: [] };
const refused = networkError("DIAL_REFUSED", "nobody there");

describe("FirstDials", () => {
  test("dials until it works, waiting longer and longer, and tells every failure", async () => {
    const failures: unknown[] = [];
    const { network, waits, dialled } = scripted([...Array(7).fill(refused), "ok"]);
    await new FirstDials(network, (error) => failures.push(error)).keep(there);
    expect(dialled).toEqual(Array(8).fill(text));
    expect(failures).toHaveLength(7);
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  test.each(["ADDRESS_UNSUPPORTED", "SELF_DIAL", "PEER_UNEXPECTED", "PEER_REFUSED"] as const)(
    "gives up for good after %s",
    async (code) => {
      const failures: unknown[] = [];
      const { network, waits } = scripted([networkError(code, "no")]);
      await new FirstDials(network, (error) => failures.push(error)).keep(there);
      expect([failures.length, waits]).toEqual([1, []]);
    },
  );

  test("close ends it, while it waits and while it dials, and tells nothing more", async () => {
    const failures: unknown[] = [];
    const { network } = scripted([refused]);
    let cancelled = 0;
    Object.assign(network.runtime, {
      setTimer: (): Timer => ({ cancel: () => cancelled++ }),
    });
    const dials = new FirstDials(network, (error) => failures.push(error));
    const kept = dials.keep(there);
    await new Promise((resolve) => setImmediate(resolve));
    dials.close();
    await kept;
    expect([failures.length, cancelled]).toEqual([1, 1]);

    const dialling = new FirstDials(
      {
        runtime: systemRuntime,
        add: (_: string, { signal }: { signal: AbortSignal }) =>
          new Promise((_, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason));
          }),
      } as unknown as Network,
      (error) => failures.push(error),
    );
    const pending = dialling.keep(there);
    dialling.close();
    await pending;
    expect(failures).toHaveLength(1);
  });
});
