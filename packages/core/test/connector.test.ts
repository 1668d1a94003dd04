import { describe, expect, it } from "vitest";
import { Nodes } from "../../../test/support/nodes.ts";
import { section } from "../src/address.ts";
import type { Connection, Listener } from "../src/connection.ts";
import { Network } from "../src/network.ts";
import type { Transport } from "../src/transport.ts";
import { ManualConnection } from "./support/manual-connection.ts";
import { toy } from "./support/toy-transform.ts";

interface Stage {
  readonly transport: Transport;
  /** Hands a connection to the listener. */
  call(connection: Connection): void;
  closed: number;
}

/** A transport whose listener is not local, and which calls `early` before it is told that it listens. */
function stage(options: { early?: Connection; local?: boolean } = {}): Stage {
  let accept: (connection: Connection) => void = () => {};
  const made: Stage = {
    closed: 0,
    call: (connection) => accept(connection),
    transport: {
      name: "manual",
      halfClose: true,
      dial: () => Promise.reject(new Error("cannot dial")),
      listen: async (at, to): Promise<Listener> => {
        accept = to;
        if (options.early !== undefined) to(options.early);
        const close = async (): Promise<void> => {
          made.closed++;
        };
        return { section: section("manual", ...at.args), local: options.local ?? false, close };
      },
    },
  };
  return made;
}

describe("listening", () => {
  it("lets nobody in before it is decided that anybody may", async () => {
    const early = new ManualConnection();
    const { transport } = stage({ early });
    const network = new Network({ stacks: [[transport, toy({ key: new Uint8Array(32) })]] });
    await network.listen("manual:here~toy");
    expect(early.aborted).toMatchObject({ code: "LISTEN_FAILED" });
    await network.close();
  });

  it("is taken back where strangers could come in unproved", async () => {
    const strict = stage();
    const network = new Network({ stacks: [[strict.transport, toy()]] });
    await expect(network.listen("manual:here~toy:secret:more")).rejects.toMatchObject({
      code: "LISTEN_FAILED",
      address: "manual:here~toy:secret",
    });
    expect([strict.closed, network.addresses]).toEqual([1, []]);
    await network.close();
    const near = stage({ local: true });
    const local = new Network({ stacks: [[near.transport, toy()]] });
    expect(await local.listen("manual:here~toy")).toBe("manual:here~toy");
    await local.close();
    expect(near.closed).toBe(1);
  });

  it("gives the addresses in the order asked for, whichever is open first", async () => {
    const { transport } = stage({ local: true });
    let openSlow: () => void = () => {};
    const network = new Network({
      stacks: [
        [
          {
            ...transport,
            name: "slow",
            listen: (at) =>
              new Promise((resolve) => {
                const listener = { section: at, local: true, close: async () => {} };
                openSlow = () => resolve(listener);
              }),
          },
          toy(),
        ],
        [
          {
            ...transport,
            name: "quick",
            listen: async (at) => {
              setImmediate(openSlow);
              return { section: at, local: true, close: async () => {} };
            },
          },
          toy(),
        ],
      ],
    });
    const both = "slow:a~toy;quick:b~toy";
    expect(await network.listen(both)).toBe(both);
    expect(network.addresses).toEqual(both.split(";"));
    await network.close();
  });

  it("says what went wrong, at which address", async () => {
    const { transport } = stage();
    const failing = { ...transport, listen: () => Promise.reject(new Error("port in use")) };
    const network = new Network({ stacks: [[failing, toy()]] });
    await expect(network.listen("manual:here~toy")).rejects.toMatchObject({
      code: "LISTEN_FAILED",
      address: "manual:here~toy",
    });
    await expect(network.add("manual:here~toy")).rejects.toMatchObject({
      code: "DIAL_REFUSED",
      address: "manual:here~toy",
    });
    await network.close();
  });

  it("logs who was not let in, at a level for the curious", async () => {
    const { transport, call } = stage();
    const logged: object[] = [];
    const nothing = (): void => {};
    const network = new Network({
      stacks: [[transport, toy({ key: new Uint8Array(32) })]],
      limits: { maxPeersPerAddress: 1 },
      logger: {
        trace: nothing,
        debug: (fields) => void logged.push(fields),
        info: nothing,
        warn: nothing,
        error: nothing,
      },
    });
    await network.listen("manual:here~toy");
    const odd = new ManualConnection(false);
    call(odd);
    odd.receive(Uint8Array.of(1, 1));
    await expect.poll(() => logged.length).toBe(1);
    expect(logged[0]).toMatchObject({
      remote: "manual:far:1",
      error: { code: "HANDSHAKE_FAILED" },
    });
    await network.close();
  });
});

describe("closing", () => {
  it("stops listening at once, and not when its last peer has gone", async () => {
    const nodes = new Nodes({ limits: { closeTimeoutMs: 500 } });
    const [hub, gone, late] = [
      await nodes.start("hub"),
      await nodes.start("gone"),
      await nodes.start("late"),
    ];
    await nodes.connect(hub, gone);
    gone.line.loseAll();
    const closing = hub.network.close();
    await nodes.runtime.advance(100);
    await expect(late.network.add(hub.address)).rejects.toMatchObject({ code: "DIAL_REFUSED" });
    expect(nodes.runtime.now()).toBe(100);
    await nodes.runtime.during(closing);
    await nodes.close();
  });

  it("waits for nobody who comes while it closes", async () => {
    const nodes = new Nodes({ limits: { closeTimeoutMs: 500 } });
    const [hub, gone, late] = [
      await nodes.start("hub"),
      await nodes.start("gone"),
      await nodes.start("late"),
    ];
    await nodes.connect(hub, gone);
    gone.line.loseAll();
    late.line.loseAll();
    const before = nodes.runtime.now();
    const closing = hub.network.close();
    await nodes.runtime.advance(100);
    late.network.add(hub.address).catch(() => {});
    await nodes.runtime.during(closing);
    expect(nodes.runtime.now() - before).toBe(500);
    await nodes.close();
  });
});
