import {
  type Connection,
  concat,
  Identity,
  type Link,
  Network,
  type Peer,
  parseAddress,
  type Route,
  SealedConnection,
  Stack,
  type StackOptions,
  systemRuntime,
  type Transform,
  type Transport,
} from "@testudo/core";
import { MemoryHub, memory } from "@testudo/transports/memory";
import { noauth } from "@testudo/transports/noauth";
import { noise } from "@testudo/transports/noise";
import { shs } from "@testudo/transports/shs";
import { describe, expect, it } from "vitest";
import { forSeeds } from "../support/seeds.ts";
import { pattern } from "../support/traffic.ts";
import { vouch } from "../support/vouch.ts";

const CHAINS: Readonly<Record<string, () => Transform[]>> = {
  noise: () => [noise()],
  "noauth~noauth": () => [noauth(), noauth()],
  "vouch~noise": () => [vouch(), noise()],
  "noise~noauth": () => [noise(), noauth()],
  "noauth~shs": () => [noauth(), shs()],
  "noise~shs": () => [noise(), shs()],
  "vouch~noise~second": () => [vouch(), noise(), vouch({ name: "second" })],
};

/** Joins what is written in one turn and cuts it anew, so that handshakes and data share their chunks. */
function rechunking(below: Transport, random: () => number): Transport {
  const wrap = (connection: Connection): Connection => {
    let held: Uint8Array[] = [];
    let flushing: Promise<void> | undefined;
    const flush = async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      flushing = undefined;
      const bytes = concat(...held);
      held = [];
      for (let at = 0; at < bytes.length; ) {
        const end = random() < 0.3 ? bytes.length : at + 1 + Math.floor(random() * 400);
        connection.write(bytes.subarray(at, end));
        at = end;
      }
    };
    return {
      remote: connection.remote,
      local: connection.local,
      closed: connection.closed,
      write: (...pieces) => {
        held.push(concat(...pieces));
        flushing ??= flush();
        return true;
      },
      drain: () => connection.drain(),
      end: async () => {
        await flushing;
        await connection.end();
      },
      close: async () => {
        await flushing;
        await connection.close();
      },
      abort: (reason) => connection.abort(reason),
      [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
    };
  };
  return {
    ...below,
    dial: async (section, options) => wrap(await below.dial(section, options)),
    listen: (section, accept) => {
      if (below.listen === undefined) throw new TypeError("cannot listen");
      return below.listen(section, (connection) => accept(wrap(connection)));
    },
  };
}

const alice = Identity.generate();
const bob = Identity.generate();

function options(identity: Identity): StackOptions {
  return {
    identity,
    networkId: new Uint8Array(32).fill(3),
    runtime: systemRuntime,
    dialTimeoutMs: 5_000,
    handshakeTimeoutMs: 5_000,
  };
}

/** Alice's link and Bob's, once both have it. */
async function linked(make: () => Transform[], random: () => number): Promise<[Link, Link]> {
  const transport = rechunking(memory({ hub: new MemoryHub() }), random);
  const near = new Stack([transport, ...make()]);
  const far = new Stack([transport, ...make()]);
  let accepted: Promise<Link> | undefined;
  const [at] = parseAddress("memory:bob").routes as [Route];
  const listener = await far.listen(at.sections[0] as Route["sections"][0], (connection) => {
    accepted = far.accept(connection, options(bob));
  });
  const [route] = parseAddress(far.addressOf(listener, bob)).routes as [Route];
  const link = await near.dial(route, options(alice));
  // Data right behind the handshake's last message: the listener finds it in the same chunk.
  for (const piece of link.session.seal([pattern(900)])) link.connection.write(piece);
  if (accepted === undefined) throw new Error("nobody called");
  return [link, await accepted];
}

describe("a chain of transforms", () => {
  for (const [name, make] of Object.entries(CHAINS)) {
    it(`${name} carries what comes behind its handshakes, however it is cut`, async () => {
      await forSeeds(15, async (_seed, random) => {
        const [near, far] = await linked(make, random);
        const proves = make().some(({ authenticates }) => authenticates);
        expect(far.session.remoteKey).toEqual(proves ? alice.publicKey : undefined);
        expect(near.session.remoteKey).toEqual(proves ? bob.publicKey : undefined);
        expect(far.address).toMatch(new RegExp(`~${name}$`));
        const here = new SealedConnection(near.connection, near.session, [...near.opened]);
        const there = new SealedConnection(far.connection, far.session, [...far.opened]);
        here.write(pattern(3_000, 1));
        await here.end();
        const got: Uint8Array[] = [];
        for await (const chunk of there) got.push(chunk);
        expect(concat(...got)).toEqual(concat(pattern(900), pattern(3_000, 1)));
        there.write(pattern(500, 2));
        await there.end();
        const back: Uint8Array[] = [];
        for await (const chunk of here) back.push(chunk);
        expect(concat(...back)).toEqual(pattern(500, 2));
        await Promise.all([here.close(), there.close()]);
      });
    });

    it(`${name} carries a network`, async () => {
      const hub = new MemoryHub();
      const node = (): Network => new Network({ stacks: [[memory({ hub }), ...make()]] });
      const [one, other] = [node(), node()];
      const got: string[] = [];
      await other.registerPlugin({
        newMessage: async ({ message, reply }) => {
          got.push(new TextDecoder().decode(message.body));
          await reply(message);
        },
        nodeDeleted: ({ reason }) => void got.push(`${reason?.code}`),
      });
      const peer: Peer = await one.add(await other.listen(`memory:other~${name}`));
      const echo = { name: "echo", opcode: 1_290, of: () => ({ opcode: 1_290, body: pattern(1) }) };
      const text = { ...echo, decode: (body: Uint8Array) => new TextDecoder().decode(body) };
      const body = new TextEncoder().encode("through all of them");
      expect(await peer.request({ opcode: 1_290, body }, text)).toBe("through all of them");
      await one.close();
      await expect.poll(() => got).toEqual(["through all of them", "NETWORK_CLOSED"]);
      await other.close();
    });
  }

  it("is dialled only by those who mean the same chain", async () => {
    const hub = new MemoryHub();
    const other = new Network({ stacks: [[memory({ hub }), vouch(), noise()]] });
    const address = await other.listen("memory:other~vouch~noise");
    const [section, , last] = address.split("~");
    const one = new Network({
      stacks: [
        [memory({ hub }), noise(), vouch()],
        [memory({ hub }), vouch(), noise()],
      ],
      limits: { handshakeTimeoutMs: 500 },
    });
    await expect(one.add(`${section}~noise~vouch`)).rejects.toMatchObject({
      name: "HandshakeError",
    });
    const stranger = Identity.generate().id.text;
    await expect(one.add(`${section}~vouch:${stranger}~${last}`)).rejects.toMatchObject({
      code: "PEER_UNEXPECTED",
    });
    await expect(one.add(`${section}~vouch~noise:${stranger}`)).rejects.toMatchObject({
      code: "PEER_UNEXPECTED",
    });
    expect((await one.add(address)).authenticated).toBe(true);
    await Promise.all([one.close(), other.close()]);
  });
});
