/**
 * Peers that have shaken hands and then behave badly, each over every transport: storms of dials that are
 * called off, resets in the middle, words behind the goodbye, and readers who do not read.
 */

import {
  type Link,
  type MultiStream,
  parseAddress,
  Stack,
  systemRuntime,
  toUtf8,
} from "@testudo/core";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { Random, turn } from "../hostile/fuzz.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { APP_KEY, Bastion } from "./bastion.ts";
import { pause, WAYS, type Way } from "./ways.ts";

/** More than the buffers of both kernels' ends and ours together. */
const TOO_MUCH = 24 * 1024 * 1024;

/** A link in the test's hand: what it seals and when it reads is its own business. */
async function linkTo(bastion: Bastion, way: Way): Promise<Link> {
  const stack = new Stack([way.dialling(), shs({ appKey: APP_KEY })]);
  const visitor = bastion.visitor();
  const [route] = parseAddress(bastion.address(way)).routes;
  if (route === undefined) throw new Error("no address");
  return stack.dial(route, {
    identity: visitor.identity,
    networkId: APP_KEY,
    runtime: systemRuntime,
    dialTimeoutMs: 5_000,
    handshakeTimeoutMs: 5_000,
  });
}

describe("a storm of dials that are called off", () => {
  expectNoLeaks();

  it("leaves nothing on either side", async () => {
    await using bastion = await Bastion.start();
    const visitor = bastion.visitor();
    const random = new Random(5);
    const reason = new Error("changed my mind");
    const all = WAYS.map((way) => bastion.address(way)).join(";");
    const outcomes = { off: 0, on: 0 };
    for (let wave = 0; wave < 10; wave++) {
      const dialling = Array.from({ length: 30 }, async (_, index) => {
        const controller = new AbortController();
        const way = WAYS[index % WAYS.length];
        const address = index % 4 === 0 || way === undefined ? all : bastion.address(way);
        const dial = visitor.client(address, { signal: controller.signal }).then(
          (stream) => {
            outcomes.on++;
            stream.abort(reason);
          },
          (error: unknown) => {
            expect(error).toBe(reason);
            outcomes.off++;
          },
        );
        for (let turns = random.below(30); turns > 0; turns--) await turn();
        controller.abort(reason);
        await dial;
      });
      await Promise.all(dialling);
    }
    expect(outcomes.on + outcomes.off).toBe(300);
    expect(outcomes.off).toBeGreaterThan(50);
    expect(visitor.admission.places).toBe(0);
    await bastion.mustBeEmpty();
    await bastion.mustServe();
  });
});

describe.each(WAYS.map((way) => [way.name, way] as const))("a peer by %s", (_name, way) => {
  expectNoLeaks();

  it("that is cut at any moment costs its own stream", async () => {
    await using bastion = await Bastion.start({ ways: [way] });
    const random = new Random(6);
    for (let i = 0; i < 40; i++) {
      const { connection, session } = await linkTo(bastion, way);
      const sealed = session.seal([new Uint8Array(random.below(20_000))]);
      connection.write(...sealed);
      if (i % 3 === 0) connection.write(sealed[0]?.subarray(0, random.below(30)) ?? toUtf8("x"));
      for (let turns = random.below(5); turns > 0; turns--) await turn();
      connection.abort(new Error("gone"));
    }
    await bastion.mustBeEmpty();
    expect(
      bastion.codes.filter((code) => !["TRUNCATED", "FRAME_MALFORMED"].includes(code)),
    ).toEqual([]);
    await bastion.mustServe();
  });

  it("that lies in a box is cut, and nobody else", async () => {
    await using bastion = await Bastion.start({ ways: [way] });
    const { connection, session } = await linkTo(bastion, way);
    connection.write(...session.seal([toUtf8("honest")]));
    await expect.poll(() => bastion.streams.length).toBe(1);
    connection.write(new Uint8Array(100));
    await expect.poll(() => bastion.codes).toEqual(["FRAME_MALFORMED"]);
    await bastion.mustServe();
    expect(await bastion.streams[0]?.closed).toMatchObject({ code: "FRAME_MALFORMED" });
    connection.abort(new Error("done"));
    await bastion.mustBeEmpty();
  });

  it("that says more behind its goodbye is not heard, and does not stay", async () => {
    await using bastion = await Bastion.start({ ways: [way] });
    const { connection, session } = await linkTo(bastion, way);
    connection.write(...session.seal([toUtf8("last words")]), session.end?.() ?? toUtf8(""));
    const more = setInterval(() => connection.write(new Uint8Array(50_000)), 5);
    // We read nothing, and never end our direction.
    await expect.poll(() => bastion.streams.length).toBe(1);
    await bastion.streams[0]?.closed;
    clearInterval(more);
    await bastion.mustBeEmpty();
    await bastion.mustServe();
    connection.abort(new Error("done"));
  });

  it("that says goodbye and stays is shown out", async () => {
    await using bastion = await Bastion.start({ ways: [way] });
    const { connection, session } = await linkTo(bastion, way);
    connection.write(session.end?.() ?? toUtf8(""));
    await bastion.mustBeEmpty();
    expect(bastion.errors).toEqual([]);
    connection.abort(new Error("done"));
  });

  it("that never reads costs a bounded number of bytes, and no close waits for it", async () => {
    const chunk = new Uint8Array(64 * 1024);
    let taken = 0;
    const pour = async (stream: MultiStream): Promise<void> => {
      let over = false;
      const closed = stream.closed.then(() => {
        over = true;
      });
      // A writer that heeds back-pressure, as all must.
      while (!over && taken < TOO_MUCH) {
        taken += chunk.length;
        if (!stream.write(chunk)) await Promise.race([stream.drain(), closed]);
      }
    };
    const bastion = await Bastion.start({ ways: [way], onStream: pour });
    const { connection } = await linkTo(bastion, way);
    for (let before = -1; before !== taken; await pause(150)) before = taken;
    expect(taken).toBeGreaterThan(0);
    // What the kernel takes for both ends, and little of our own.
    expect(taken).toBeLessThan(TOO_MUCH);
    expect(bastion.node.admission.places).toBe(1);
    await bastion[Symbol.asyncDispose]();
    expect(bastion.errors).toEqual([]);
    connection.abort(new Error("done"));
  });
});
