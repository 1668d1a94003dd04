/** Addresses that one side prints and the other dials: each alternative, whole lists, and lists with strangers in them. */

import { type MultiStream, parseAddress } from "@testudo/core";
import type { PullStream } from "multiserver";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { KINDS, type Kind, nameOf } from "./kinds.ts";
import { APP_KEY, OURS, THEIRS } from "./meeting.ts";
import { dialWithOriginal, OriginalListener } from "./original/multi.ts";
import { echoOf, OriginalStream } from "./original/stream.ts";
import { dialWithOurs, echo, OurListener, ourNode, readExactly, send } from "./ours.ts";
import { within } from "./within.ts";

/** The address that multiserver's own tests put in front. */
const UNKNOWN = "fake:peer.ignore~nul:what;";
/** Nobody listens there. */
const DEAD = `net:127.0.0.1:1~shs:${OURS.identity.id.text};`;
const ours = { identity: OURS.identity, appKey: APP_KEY };
const theirs = { keys: THEIRS.keys, appKey: APP_KEY };

expectNoLeaks();

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** One node of ours on every protocol. What it prints has one alternative for each. */
async function ourEcho(kinds: readonly Kind[] = KINDS): Promise<OurListener> {
  const listener = await OurListener.open(kinds, ours, (stream) => echo(stream));
  open.push(listener);
  return listener;
}

/** One original on every protocol, each in a suite and a place of its own; in the order of `KINDS`. */
async function theirEchoes(kinds: readonly Kind[] = KINDS): Promise<OriginalListener[]> {
  const listeners: OriginalListener[] = [];
  for (const kind of kinds) {
    const listener = await OriginalListener.open(kind, theirs, (stream) => void echoOf(stream));
    listeners.push(listener);
    open.push(listener);
  }
  return listeners;
}

async function talksToOurs(stream: PullStream): Promise<void> {
  const original = new OriginalStream(stream);
  await original.send(Buffer.from("hello"));
  expect(await original.read(5)).toEqual(Buffer.from("hello"));
  original.end();
  await original.outcome();
}

async function talksToTheirs(stream: MultiStream): Promise<void> {
  await send(stream, Buffer.from("hello"));
  expect(Buffer.from(await readExactly(stream, 5)).toString()).toBe("hello");
  await within("closing", stream.close());
}

describe("what ours prints", () => {
  it("names every protocol, and the original dials each", async () => {
    const listener = await ourEcho();
    const alternatives = listener.address.split(";");
    expect(listener.node.protocols).toEqual(KINDS.map(nameOf));
    expect(listener.node.stringify("device").split(";")).toEqual(alternatives);
    expect(alternatives).toHaveLength(KINDS.length);
    for (const [index, kind] of KINDS.entries()) {
      await talksToOurs(await dialWithOriginal(alternatives[index] ?? "", [kind], theirs));
    }
  });

  it.each(["shs", "noauth"])(
    "is dialled whole, and behind an address of an unknown protocol, by originals of one protocol with %s",
    async (transform) => {
      const kinds = KINDS.filter((kind) => kind.transform === transform);
      const { address } = await ourEcho(kinds);
      for (const kind of kinds) {
        await talksToOurs(await dialWithOriginal(address, [kind], theirs));
        await talksToOurs(await dialWithOriginal(UNKNOWN + address, [kind], theirs));
      }
    },
  );

  it("is refused to an original without shs, which dials the address of shs in plain text", async () => {
    const listener = await ourEcho();
    const plain: Kind = { transport: "net", transform: "noauth" };
    const original = new OriginalStream(await dialWithOriginal(listener.address, [plain], theirs));
    await original.send(Buffer.alloc(64));
    await original.outcome();
    expect(listener.errors).toMatchObject([{ code: "HANDSHAKE_FAILED" }]);
  });

  it("is what we dial as well", async () => {
    const { address } = await ourEcho();
    await talksToTheirs(await dialWithOurs(UNKNOWN + address, KINDS, ours));
  });
});

describe("what the original prints", () => {
  it("is dialled by ours whole, and behind an address of an unknown protocol, by the protocol we allow", async () => {
    const listeners = await theirEchoes();
    const address = listeners.map((listener) => listener.address).join(";");
    const node = ourNode(KINDS, ours);
    for (const [index, { address: alternative }] of listeners.entries()) {
      const { text } = parseAddress(alternative);
      expect(text).toBe(alternative);
      const stack = node.protocols[index] ?? "";
      for (const whole of [address, UNKNOWN + address]) {
        const stream = await within(stack, node.client(whole, { allow: [stack] }));
        expect(stream.stack).toBe(stack);
        expect(stream.address).toBe(alternative);
        await talksToTheirs(stream);
      }
    }
  });

  it("is dialled in its own order, but for what we prefer", async () => {
    const address = (await theirEchoes()).map((listener) => listener.address).join(";");
    const node = ourNode(KINDS, ours);
    const first = await within("any", node.client(address));
    expect(first.stack).toBe(nameOf(KINDS[0] as Kind));
    await talksToTheirs(first);
    const preferred = await within("ws", node.client(address, { prefer: ["ws"] }));
    expect(preferred.stack).toBe("ws~shs");
    await talksToTheirs(preferred);
  });
});

describe("a list whose first alternative is dead", () => {
  const NET: Kind = { transport: "net", transform: "shs" };

  it("is where the original gives up, and ours goes on to the next", async () => {
    const [listener] = await theirEchoes([NET]);
    const address = DEAD + (listener?.address ?? "");
    await expect(dialWithOriginal(address, [NET], theirs)).rejects.toThrow("ECONNREFUSED");
    await talksToTheirs(await dialWithOurs(address, [NET], ours));
  });

  it("is told of in full when nothing works", async () => {
    const address = `${DEAD}${UNKNOWN}net:127.0.0.1:2~shs:${OURS.identity.id.text}`;
    await expect(dialWithOurs(address, [NET], ours)).rejects.toMatchObject({
      code: "DIAL_REFUSED",
      attempts: [
        { stage: "connect", cause: { code: "DIAL_REFUSED" } },
        { stage: "parse", cause: { code: "ADDRESS_UNSUPPORTED" } },
        { stage: "connect", cause: { code: "DIAL_REFUSED" } },
      ],
    });
  });
});
