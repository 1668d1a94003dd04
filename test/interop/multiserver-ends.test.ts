/** How streams between ours and the published multiserver end: in one direction, in both, or cut. */

import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { expectNoLeaks } from "../support/leaks.ts";
import { turns } from "../support/traffic.ts";
import { cases, KINDS, SHS_KINDS } from "./kinds.ts";
import { type Meeting, meet } from "./meeting.ts";
import { echoOf, OriginalStream } from "./original/stream.ts";
import { echo, outcome, readAll, send } from "./ours.ts";
import { within } from "./within.ts";

const BYTES = randomBytes(400_000);
const NOAUTH_KINDS = KINDS.filter(({ transform }) => transform === "noauth");
const WS_KINDS = KINDS.filter(({ transport }) => transport === "ws");
const SOCKET_KINDS = KINDS.filter(({ transport }) => transport !== "ws");
const isWs = ({ kind }: { kind: (typeof KINDS)[number] }): boolean => kind.transport === "ws";

let meeting: Meeting | undefined;
afterEach(async () => {
  await meeting?.close();
  meeting = undefined;
});
async function met(...how: Parameters<typeof meet>): Promise<Meeting> {
  meeting = await meet(...how);
  return meeting;
}

expectNoLeaks();

describe("one direction ends before the other", () => {
  it.each(cases(SHS_KINDS))(
    "$name: ours, the $role, ends, and all of the original's echo arrives",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      const echoed = echoOf(theirs);
      const back = readAll(ours);
      await send(ours, BYTES, 50_000);
      await ours.end();
      expect(BYTES.equals(await back)).toBe(true);
      expect(await within("the echo's end", echoed)).toBeUndefined();
      expect(await outcome(ours)).toBeUndefined();
    },
  );

  it.each(cases(SHS_KINDS))(
    "$name: ours, the $role, ends, and what the original says much later arrives",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      expect(ours.halfClose).toBe(true);
      const original = new OriginalStream(theirs);
      await ours.end();
      await original.readAll();
      await turns(20);
      const back = readAll(ours);
      await original.send(BYTES);
      original.end();
      expect(BYTES.equals(await back)).toBe(true);
      expect(await outcome(ours)).toBeUndefined();
    },
  );

  it.each(cases(NOAUTH_KINDS).filter((each) => !isWs(each) && each.role === "dialer"))(
    "$name: ours, the dialer, ends, and an original that allows half-open sockets answers",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role, {}, { allowHalfOpen: true });
      const original = new OriginalStream(theirs);
      await ours.end();
      await original.readAll();
      await turns(20);
      const back = readAll(ours);
      await original.send(BYTES);
      original.end();
      expect(BYTES.equals(await back)).toBe(true);
      expect(await outcome(ours)).toBeUndefined();
    },
  );

  it.each(cases(NOAUTH_KINDS).filter((each) => !isWs(each)))(
    "$name: ours, the $role, ends, and an original as it comes hangs up: without a goodbye that is an end like any other",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      const original = new OriginalStream(theirs);
      await ours.end();
      await original.readAll();
      await original.refusal();
      await expect(original.send(BYTES)).rejects.toThrow();
      expect(await readAll(ours)).toHaveLength(0);
      expect(await outcome(ours)).toBeUndefined();
    },
  );

  it.each(cases(SOCKET_KINDS))(
    "$name: the original ends, and all of our echo arrives, ours being the $role",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      const echoed = echo(ours);
      const original = new OriginalStream(theirs);
      await original.send(BYTES);
      original.end();
      expect(BYTES.equals(await original.readAll())).toBe(true);
      await within("our echo's end", echoed);
      expect(await outcome(ours)).toBeUndefined();
    },
  );

  it.each(cases(SOCKET_KINDS))(
    "$name: the original ends, and what we say much later arrives, ours being the $role",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      const original = new OriginalStream(theirs);
      original.end();
      expect(await readAll(ours)).toHaveLength(0);
      await turns(20);
      await send(ours, BYTES, 50_000);
      await ours.end();
      expect(BYTES.equals(await original.readAll())).toBe(true);
      expect(await outcome(ours)).toBeUndefined();
    },
  );

  it.each(cases(WS_KINDS))(
    "$name: the original ends, which closes its WebSocket both ways: all of it arrives, our late answer cannot, ours being the $role",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      const original = new OriginalStream(theirs);
      await original.send(BYTES);
      original.end();
      expect(BYTES.equals(await readAll(ours))).toBe(true);
      // The goodbye comes a moment before the close, which is the only end there is without one.
      await turns(20);
      await send(ours, BYTES, 50_000);
      await within("our end", ours.end());
      const told = await original.outcome();
      if (kind.transform === "shs") expect(told?.message).toMatch(/unexpected hangup|stream ended/);
      else expect(await original.readAll()).toHaveLength(0);
      expect(await outcome(ours)).toBeUndefined();
    },
  );
});

describe("a cut without a goodbye", () => {
  it.each(cases(SHS_KINDS))(
    "$name: is an error at ours, the $role, behind what had come",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      const original = new OriginalStream(theirs);
      await original.send(Buffer.from("all of this"));
      original.abort(new Error("the application failed"));
      let got = "";
      const reading = async (): Promise<void> => {
        for await (const chunk of ours) got += Buffer.from(chunk).toString();
      };
      await expect(within("the end", reading())).rejects.toMatchObject({ code: "TRUNCATED" });
      expect(got).toBe("all of this");
      expect(await outcome(ours)).toMatchObject({ code: "TRUNCATED" });
    },
  );

  it.each(cases(SHS_KINDS))(
    "$name: is an error at the original when ours, the $role, aborts",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      const original = new OriginalStream(theirs);
      ours.abort(new Error("the application failed"));
      expect(await original.outcome()).toBeInstanceOf(Error);
    },
  );

  it.each(cases(NOAUTH_KINDS))(
    "$name: is an end like any other at ours, the $role, unless the socket itself tells (unix)",
    async ({ kind, role }) => {
      const { ours, theirs } = await met(kind, role);
      const original = new OriginalStream(theirs);
      await original.send(Buffer.from("all of this"));
      original.abort(new Error("the application failed"));
      const read = readAll(ours);
      if (kind.transport === "unix" && process.platform === "linux") {
        await expect(read).rejects.toMatchObject({ code: "TRUNCATED" });
      } else {
        expect(Buffer.from(await read).toString()).toBe("all of this");
      }
    },
  );
});
