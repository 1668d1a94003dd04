/** The handshakes of a stack: what they are told, how they fail, and that they leave nothing open. */

import { describe, expect, it } from "vitest";
import { VirtualRuntime } from "../../../test/support/virtual-runtime.ts";
import { networkError } from "../src/errors.ts";
import { Stack } from "../src/stack.ts";
import type { Transform } from "../src/transform.ts";
import { ManualConnection } from "./support/manual-connection.ts";
import {
  GREETING,
  giving,
  identity,
  instant,
  KEY_TEXT,
  options,
  rejection,
  route,
} from "./support/stack-parts.ts";
import { toy, toySession } from "./support/toy-transform.ts";

describe("a handshake", () => {
  it("that fails, on either side, leaves nothing open", async () => {
    for (const side of ["dialer", "listener"] as const) {
      const runtime = new VirtualRuntime();
      const connection = new ManualConnection();
      const stack = new Stack([giving(connection), toy()]);
      connection.receive(Uint8Array.of(6, 6));
      const error = await rejection(
        runtime,
        side === "dialer"
          ? stack.dial(route("manual:a~toy"), options(runtime))
          : stack.accept(connection, options(runtime)),
      );
      expect(error).toMatchObject({ code: "HANDSHAKE_FAILED" });
      expect(connection.aborted).toBe(error);
      expect(runtime.pending).toBe(0);
    }
  });

  it("keeps the code that the transform gave", async () => {
    const connection = new ManualConnection();
    const refusing = instant(() => {
      throw networkError("PEER_REFUSED", "not you");
    });
    const stack = new Stack([giving(connection), refusing]);
    await expect(stack.accept(connection, options())).rejects.toMatchObject({
      code: "PEER_REFUSED",
    });
  });

  it("has one deadline over all transforms, whatever trickles in", async () => {
    const runtime = new VirtualRuntime();
    const connection = new ManualConnection();
    const stack = new Stack([giving(connection), toy(), toy({ name: "second" })]);
    connection.receive(GREETING);
    const error = await rejection(runtime, stack.accept(connection, options(runtime)));
    expect(error).toMatchObject({ code: "HANDSHAKE_TIMEOUT", address: "manual:far:1" });
    expect(connection.aborted).toBe(error);
    expect([runtime.now(), runtime.pending]).toEqual([200, 0]);
  });

  it("is not waited for when its transform heeds no signal, on either side", async () => {
    const endless: Transform = { ...toy(), handshake: () => new Promise(() => {}) };
    for (const side of ["dialer", "listener"] as const) {
      const runtime = new VirtualRuntime();
      const connection = new ManualConnection();
      const stack = new Stack([giving(connection), endless]);
      const error = await rejection(
        runtime,
        side === "dialer"
          ? stack.dial(route("manual:a~toy"), options(runtime))
          : stack.accept(connection, options(runtime)),
      );
      expect(error).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
      expect([connection.aborted, runtime.pending]).toEqual([error, 0]);
      expect(String(error).includes("it may not speak toy")).toBe(side === "dialer");
    }
  });

  it("on a listener ends with its owner's signal, whatever the transform waits for", async () => {
    const reason = new Error("hung up");
    const endless: Transform = { ...toy(), handshake: () => new Promise(() => {}) };
    for (const transform of [toy(), endless]) {
      const runtime = new VirtualRuntime();
      const connection = new ManualConnection();
      const controller = new AbortController();
      const stack = new Stack([giving(connection), transform]);
      const outcome = rejection(
        runtime,
        stack.accept(connection, options(runtime), controller.signal),
      );
      controller.abort(reason);
      expect(await outcome).toBe(reason);
      expect([connection.aborted, runtime.pending]).toEqual([reason, 0]);
    }
  });

  it("that ends too early is a truncation", async () => {
    const connection = new ManualConnection();
    connection.finish();
    const stack = new Stack([giving(connection), toy()]);
    await expect(stack.accept(connection, options())).rejects.toMatchObject({ code: "TRUNCATED" });
  });

  it("that proves another key than was dialled, or none at all, is refused", async () => {
    for (const proved of [new Uint8Array(32).fill(1), undefined]) {
      const connection = new ManualConnection();
      const session = toySession(proved === undefined ? {} : { key: proved });
      const stack = new Stack([giving(connection), instant(() => session)]);
      const dialling = stack.dial(route(`manual:a~instant:${KEY_TEXT}`), options());
      await expect(dialling).rejects.toMatchObject({ code: "PEER_UNEXPECTED" });
      expect(connection.aborted).toMatchObject({ code: "PEER_UNEXPECTED" });
      await new Stack([giving(new ManualConnection()), instant(() => session)]).dial(
        route("manual:a~instant"),
        options(),
      );
    }
  });

  it("is told its side, its section, the chain and the network", async () => {
    const seen: unknown[] = [];
    const curious: Transform = {
      ...instant(toySession, false),
      handshake: async (_wire, given) => {
        seen.push([given.side, given.section?.text, given.chain, given.signal.aborted]);
        expect(given).toMatchObject({ identity, networkId: new Uint8Array(32) });
        return toySession();
      },
    };
    const connection = new ManualConnection();
    const stack = new Stack([giving(connection), curious]);
    await stack.dial(route("manual:a~instant:x"), options());
    const link = await stack.accept(connection, options());
    expect(seen).toEqual([
      ["dialer", "instant:x", "instant", false],
      ["listener", undefined, "instant", false],
    ]);
    expect([link.side, link.address]).toEqual(["listener", "manual:far:1~instant"]);
  });
});
