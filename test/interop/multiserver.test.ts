/** Bytes between ours and the published multiserver, over every protocol, in both roles. */

import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { cases, KINDS, nameOf } from "./kinds.ts";
import { type Meeting, meet, OURS, THEIRS } from "./meeting.ts";
import { echoOf, OriginalStream } from "./original/stream.ts";
import { echo, outcome, readAll, readExactly, send } from "./ours.ts";
import { within } from "./within.ts";

const SIZES = [0, 1, 4_095, 4_096, 4_097, 65 * 1_024, 2 ** 20, 2 ** 23];

// For the whole file: closing, the original's WebSockets keep a timer for a second.
expectNoLeaks();

describe.each(cases(KINDS))("$name, ours as the $role", ({ kind, role }) => {
  let meeting: Meeting | undefined;
  afterEach(async () => {
    await meeting?.close();
    meeting = undefined;
  });
  const met = async (): Promise<Meeting> => {
    meeting = await meet(kind, role);
    return meeting;
  };

  it("knows who is there", async () => {
    const { ours, theirs } = await met();
    if (kind.transform === "shs") {
      expect(ours.remote?.bytes).toEqual(new Uint8Array(THEIRS.keys.publicKey));
      expect(theirs.remote).toEqual(OURS.keys.publicKey);
    } else {
      expect(ours.remote).toBeUndefined();
    }
    expect(ours.side).toBe(role);
    expect(ours.stack).toBe(nameOf(kind));
  });

  it.each(SIZES)("%i bytes go there and come back", async (size) => {
    const bytes = randomBytes(size);
    const { ours, theirs } = await met();
    if (role === "dialer") {
      const echoed = echoOf(theirs);
      const [back] = await Promise.all([readExactly(ours, size), send(ours, bytes, 70_000)]);
      expect(bytes.equals(back)).toBe(true);
      await ours.end();
      expect(await within("the echo's end", echoed)).toBeUndefined();
    } else {
      const echoed = echo(ours);
      const original = new OriginalStream(theirs);
      const [back] = await Promise.all([original.read(size), sendAll(original, bytes)]);
      expect(bytes.equals(back)).toBe(true);
      original.end();
      await within("the echo's end", echoed);
    }
  });

  it("300 writes of one byte", async () => {
    const bytes = randomBytes(300);
    const { ours, theirs } = await met();
    const original = new OriginalStream(theirs);
    const sending = async (): Promise<void> => {
      for (const byte of bytes) await original.send(Uint8Array.of(byte));
    };
    const [there, back] = await Promise.all([
      original.read(bytes.length),
      readExactly(ours, bytes.length),
      send(ours, bytes, 1),
      sending(),
    ]);
    expect(there).toEqual(bytes);
    expect(bytes.equals(back)).toBe(true);
  });

  it("ours ends first, the original next: both ends are clean", async () => {
    const { ours, theirs } = await met();
    const original = new OriginalStream(theirs);
    await send(ours, Buffer.from("last words"));
    await original.read(10);
    await ours.end();
    expect(await original.outcome()).toBeUndefined();
    original.end();
    expect(await readAll(ours)).toHaveLength(0);
    expect(await outcome(ours)).toBeUndefined();
  });

  it("the original ends first, ours next: both ends are clean", async () => {
    const { ours, theirs } = await met();
    const original = new OriginalStream(theirs);
    await original.send(Buffer.from("last words"));
    original.end();
    expect(await readAll(ours)).toHaveLength(10);
    await ours.end();
    expect(await original.outcome()).toBeUndefined();
    expect(await outcome(ours)).toBeUndefined();
  });
});

async function sendAll(original: OriginalStream, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 70_000) {
    await original.send(bytes.subarray(at, at + 70_000));
  }
}
