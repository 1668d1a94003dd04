/**
 * The same story over bytes, with deployed peers: the published multiserver is the old client and knows
 * nothing but shs, ours is the new one. Then the listener does without shs.
 */

import { createHmac, randomBytes } from "node:crypto";
import { MultiServer, type MultiStream, type Serving } from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { afterEach, describe, expect, it } from "vitest";
import type { Kind } from "../interop/kinds.ts";
import { APP_KEY, OURS, THEIRS } from "../interop/meeting.ts";
import { dialWithOriginal } from "../interop/original/multi.ts";
import { OriginalStream } from "../interop/original/stream.ts";
import { awaited, echo, readExactly, send } from "../interop/ours.ts";
import { within } from "../interop/within.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { failureOf } from "../support/traffic.ts";
import { Tap } from "./tap.ts";

const KIND: Kind = { transport: "net", transform: "shs" };

describe("a MultiServer that retires shs", () => {
  expectNoLeaks();
  const ends: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await within("the end of the test", end());
  });

  const serve = async (
    server: MultiServer,
    onStream: (stream: MultiStream) => void | Promise<void> = echo,
  ): Promise<Serving> => {
    const serving = await server.server(onStream);
    ends.push(() => serving.close({ graceMs: 0 }));
    return serving;
  };
  /** The old client, as it is deployed. */
  const dialOld = async (address: string): Promise<OriginalStream> => {
    const options = { keys: THEIRS.keys, appKey: APP_KEY };
    const stream = new OriginalStream(await dialWithOriginal(address, [KIND], options));
    ends.push(async () => stream.end());
    return stream;
  };
  const dialNew = async (address: string): Promise<MultiStream> => {
    const stream = await new MultiServer([[net(), noise()]]).client(address);
    ends.push(async () => stream.abort(new Error("the test is over")));
    return stream;
  };
  const both = (): MultiServer =>
    new MultiServer(
      [
        [net({ host: "127.0.0.1", port: 0 }), shs({ appKey: APP_KEY })],
        [net({ host: "127.0.0.1", port: 0 }), noise()],
      ],
      { identity: OURS.identity },
    );

  it("serves both at once, chosen by the address alone", async () => {
    const arrived: MultiStream[] = [];
    const serving = await serve(both(), (stream) => {
      arrived.push(stream);
      return echo(stream);
    });
    const [oldAddress = "", newAddress = ""] = serving.addresses;
    await using oldTap = await Tap.before(portOf(oldAddress));
    await using newTap = await Tap.before(portOf(newAddress));
    const bytes = randomBytes(300_000);

    const old = await dialOld(oldAddress.replace(/:\d+~/, `:${oldTap.port}~`));
    const young = await dialNew(newAddress.replace(/:\d+~/, `:${newTap.port}~`));
    const [oldBack, newBack] = await Promise.all([
      old.read(bytes.length),
      readExactly(young, bytes.length),
      old.send(bytes),
      send(young, bytes, 10_000),
    ]);
    expect([bytes.equals(oldBack), bytes.equals(newBack)]).toEqual([true, true]);
    expect(arrived.map(({ stack }) => stack).toSorted()).toEqual(["net~noise", "net~shs"]);
    const byShs = arrived.find(({ stack }) => stack === "net~shs");
    expect(byShs?.remote?.bytes).toEqual(new Uint8Array(THEIRS.keys.publicKey));

    const openings = [oldTap, newTap].map(({ calls }) =>
      calls.map((runs) => runs.slice(0, 2).map(({ from, bytes: said }) => [from, said.length])),
    );
    expect(openings).toEqual([
      [
        [
          ["dialer", 64],
          ["listener", 64],
        ],
      ],
      [
        [
          ["dialer", 34],
          ["listener", 194],
        ],
      ],
    ]);
    const challenge = oldTap.calls[0]?.[0]?.bytes ?? Buffer.alloc(0);
    const mac = createHmac("sha512", APP_KEY).update(challenge.subarray(32)).digest();
    expect(challenge.subarray(0, 32)).toEqual(mac.subarray(0, 32));
  });

  it("may publish the new way in front of the old one: each client takes what it knows", async () => {
    const serving = await serve(both());
    const published = [...serving.addresses].reverse().join(";");
    expect(published).toMatch(/~noise:.*;.*~shs:/);
    const old = await dialOld(published);
    await Promise.all([old.send(Buffer.from("still here")), old.read(10)]);
    const young = await dialNew(published);
    expect(young.stack).toBe("net~noise");
  });

  it("ends the streams of both kinds well, and then turns old clients away with a clear word", async () => {
    const server = both();
    const oldStream = awaited<MultiStream>("the old client's stream");
    const newStream = awaited<MultiStream>("the new client's stream");
    const serving = await serve(server, (stream) => {
      (stream.stack === "net~shs" ? oldStream : newStream).take(stream);
    });
    const [oldAddress = "", newAddress = ""] = serving.addresses;
    const old = await dialOld(oldAddress);
    const young = await dialNew(newAddress);
    const [ours, theirs] = [await oldStream.value(), await newStream.value()];
    const bytes = randomBytes(2_000_000);

    // In the middle of a transfer each: what was begun is finished within the grace period.
    await send(ours, bytes.subarray(0, 1_000_000), 50_000);
    await send(theirs, bytes.subarray(0, 1_000_000), 50_000);
    const closed = serving.close({ graceMs: 8_000 });
    const rest = async (stream: MultiStream): Promise<void> => {
      await send(stream, bytes.subarray(1_000_000), 50_000);
      await stream.end();
    };
    const [gotOld, gotNew] = await Promise.all([
      old.readAll(),
      readExactly(young, bytes.length),
      rest(ours),
      rest(theirs),
    ]);
    expect([bytes.equals(gotOld), bytes.equals(gotNew)]).toEqual([true, true]);
    old.end();
    await young.end();
    await within("closing", closed);

    const port = portOf(newAddress);
    const next = new MultiServer([[net({ host: "127.0.0.1", port }), noise()]], {
      identity: OURS.identity,
    });
    const again = await serve(next);
    expect(again.addresses).toEqual([newAddress]);
    expect(next.protocols).toEqual(["net~noise"]);
    expect(await failureOf(dialOld(oldAddress))).toMatchObject({
      message: expect.stringContaining("ECONNREFUSED"),
    });
    const after = await dialNew(`${oldAddress};${newAddress}`);
    expect(after.address).toBe(newAddress);
    await send(after, Buffer.from("hello"));
    expect(Buffer.from(await readExactly(after, 5)).toString()).toBe("hello");
    const parsed = next.parse(`${oldAddress};${newAddress}`);
    expect(parsed.map(({ stack, problem }) => stack ?? problem?.code)).toEqual([
      "ADDRESS_UNSUPPORTED",
      "net~noise",
    ]);
  });
});

function portOf(address: string): number {
  return Number(/:(\d+)~/.exec(address)?.[1]);
}
