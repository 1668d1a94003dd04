import { type Connection, networkError, type Stage, section, type Transport } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { defaultStacks } from "../src/index.ts";
import { lazy } from "../src/lazy.ts";

const malformed = networkError("ADDRESS_MALFORMED", "what is that?");
const bad = section("toy", "bad");
const good = section("toy", "good");

function toy(): { transport: Transport; made: Transport; loads: () => number } {
  let loads = 0;
  const made: Transport = {
    name: "toy",
    halfClose: true,
    check(at) {
      if (at.text === bad.text) throw malformed;
    },
    dial: async (at) => ({ remote: at }) as Connection,
    listen: async (at) => ({ section: at, local: true, close: async () => {} }),
    advertised: () => [],
  };
  const load = async (): Promise<Transport> => {
    loads++;
    return made;
  };
  const transport = lazy({ name: "toy", halfClose: true, load });
  return { transport, made, loads: () => loads };
}

const signal = new AbortController().signal;

describe("lazy", () => {
  test("is loaded once, at the first use", async () => {
    const { transport, loads } = toy();
    transport.check?.(good, "dialer");
    expect(loads()).toBe(0);
    expect((await transport.dial(good, { signal })).remote).toBe(good);
    await transport.listen?.(good, () => {});
    expect(loads()).toBe(1);
  });

  test("finds a bad section when it is dialled, and from then on before", async () => {
    const { transport } = toy();
    expect(transport.check?.(bad, "dialer")).toBeUndefined();
    const stages: Stage[] = [];
    const stage = (reached: Stage): void => void stages.push(reached);
    await expect(transport.dial(bad, { signal, stage })).rejects.toBe(malformed);
    expect(stages).toEqual(["parse"]);
    expect(() => transport.check?.(bad, "dialer")).toThrow(malformed);
    await transport.dial(good, { signal, stage });
    expect(stages.slice(1)).toEqual(["parse", "connect"]);
    await expect(transport.listen?.(bad, () => {})).rejects.toBe(malformed);
  });

  test("advertises what the transport does, once it listens", async () => {
    const { transport } = toy();
    expect(transport.advertised?.(good, "public")).toEqual([good]);
    await transport.listen?.(good, () => {});
    expect(transport.advertised?.(good, "public")).toEqual([]);
  });

  test("cannot listen where there is nothing to listen with", async () => {
    const { made } = toy();
    const { listen: _, ...deaf } = made;
    const load = async (): Promise<Transport> => deaf;
    expect(lazy({ name: "toy", halfClose: true, listens: false, load })).not.toHaveProperty(
      "listen",
    );
    const wrong = lazy({ name: "toy", halfClose: true, load });
    await expect(wrong.listen?.(good, () => {})).rejects.toThrow("toy cannot listen");
  });
});

test("the lazy ones among the default stacks say of themselves what they are", async () => {
  const [{ ws }, { unix }, { onion }, { kcp }] = await Promise.all([
    import("@testudo/transports/ws"),
    import("@testudo/transports/unix"),
    import("@testudo/transports/onion"),
    import("@testudo/transports/kcp"),
  ]);
  const facts = (transport: Transport) => {
    const { name, names, halfClose, listen } = transport;
    return { name, names, halfClose, listens: listen !== undefined };
  };
  const given = new Map(defaultStacks().map(([transport]) => [transport.name, transport]));
  for (const real of [ws(), unix(), onion(), kcp()]) {
    const ours = given.get(real.name);
    expect(ours === undefined ? undefined : facts(ours)).toEqual(facts(real));
  }
});
