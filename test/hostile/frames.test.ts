/**
 * An admitted peer that breaks the protocol, over real sockets and every transform: it alone is closed, with
 * the code that says why on both ends, and everybody else goes on.
 */

import { concat, type ErrorCode, toUtf8, writeU32 } from "@testudo/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OPCODES } from "../../packages/core/src/opcode.ts";
import { expectNoLeaks } from "../support/leaks.ts";
import { CONFIRM, frame, WELCOME } from "./adversary.ts";
import { Random, turn } from "./fuzz.ts";
import { Answer, Ask, TRANSFORMS, Victim } from "./victim.ts";

const MAX_MESSAGE_BYTES = 100_000;

function withLength(length: number): Uint8Array {
  const bytes = frame(1_000, new Uint8Array(20));
  writeU32(bytes, 0, length);
  return bytes;
}

function withChange(at: number): Uint8Array {
  const bytes = frame(1_000, new Uint8Array(20));
  bytes[at] = (bytes[at] as number) ^ 1;
  return bytes;
}

/** What a peer may say, and the end it meets. */
const breaches: readonly [string, Uint8Array, ErrorCode][] = [
  ["a length of 2^32 - 1", withLength(0xffff_ffff), "FRAME_TOO_LARGE"],
  ["a length one above the bound", withLength(MAX_MESSAGE_BYTES + 13 + 96 + 1), "FRAME_TOO_LARGE"],
  ["a length below the header", withLength(12), "FRAME_MALFORMED"],
  ["a length of nothing", withLength(0), "FRAME_MALFORMED"],
  ["opcode 0", frame(0, toUtf8("x")), "FRAME_MALFORMED"],
  ["an unknown flag", frame(1_000, toUtf8("x"), 1, 4), "FRAME_MALFORMED"],
  ["every flag", frame(1_000, toUtf8("x"), 1, 255), "FRAME_MALFORMED"],
  ["a signed frame without a signature", frame(1_000, new Uint8Array(95), 1, 2), "FRAME_MALFORMED"],
  ["a changed opcode", withChange(4), "CHECKSUM_MISMATCH"],
  ["a changed nonce", withChange(8), "CHECKSUM_MISMATCH"],
  ["a changed flag", withChange(12), "CHECKSUM_MISMATCH"],
  ["a changed checksum", withChange(13), "CHECKSUM_MISMATCH"],
  ["a changed body", withChange(20), "CHECKSUM_MISMATCH"],
  ["a second confirm", CONFIRM, "FRAME_MALFORMED"],
  ["a welcome", WELCOME, "FRAME_MALFORMED"],
  ["two welcomes", concat(WELCOME, WELCOME), "FRAME_MALFORMED"],
  ["core's opcode 34", frame(34, toUtf8("x")), "FRAME_MALFORMED"],
  ["core's opcode 63", frame(63, toUtf8("x")), "FRAME_MALFORMED"],
  ["a channel frame of nothing", frame(OPCODES.bytes, new Uint8Array(0)), "FRAME_MALFORMED"],
  ["a channel frame of noise", frame(OPCODES.bytes, new Random(1).bytes(50)), "FRAME_MALFORMED"],
  [
    "data for a channel that never was",
    frame(OPCODES.bytes, Uint8Array.of(2, 0, 0, 0, 0, 1)),
    "FRAME_MALFORMED",
  ],
  ["a goodbye of one byte", frame(OPCODES.disconnect, Uint8Array.of(1)), "BODY_MALFORMED"],
  [
    "a goodbye that is no text",
    frame(OPCODES.disconnect, Uint8Array.of(0, 0, 0xff)),
    "BODY_MALFORMED",
  ],
  ["a goodbye too long", frame(OPCODES.disconnect, new Uint8Array(259).fill(97)), "BODY_MALFORMED"],
  ["a body that its type cannot read", frame(Ask.opcode, Uint8Array.of(0xff)), "BODY_MALFORMED"],
];

for (const make of TRANSFORMS) {
  const { name, authenticates } = make();
  describe(`over net~${name}, a peer that says`, () => {
    expectNoLeaks();
    let victim: Victim;
    beforeAll(async () => {
      victim = await Victim.start(make, { maxMessageBytes: MAX_MESSAGE_BYTES });
    });
    afterAll(async () => {
      await victim.close();
    });

    it.each(breaches)("%s", async (_, bytes, code) => {
      const before = victim.added.length;
      const adversary = await victim.adversary();
      adversary.say(CONFIRM, bytes);
      expect(await victim.departureOf(before)).toBe(code);
      expect(await adversary.leave()).toBe(code);
      expect(victim.network.peers.size).toBe(1);
    });

    it("anything of that after a good message: the message arrives", async () => {
      for (const [, bytes, code] of breaches) {
        const before = victim.added.length;
        const adversary = await victim.adversary();
        const heard = victim.heard.length;
        adversary.say(
          CONFIRM,
          frame(Ask.opcode, toUtf8("before")),
          bytes,
          frame(Ask.opcode, toUtf8("behind")),
        );
        expect(await victim.departureOf(before)).toBe(code);
        await adversary.leave();
        expect(victim.heard.slice(heard).map(({ line }) => line)).toEqual(["before"]);
      }
    });

    it("half a frame and ends: TRUNCATED, whatever part", async () => {
      const whole = frame(Ask.opcode, toUtf8("never whole"));
      for (let length = 1; length < whole.length; length++) {
        const before = victim.added.length;
        const adversary = await victim.adversary();
        adversary.say(CONFIRM, whole.subarray(0, length));
        const goodbye = adversary.leave();
        expect(await victim.departureOf(before), `${length} bytes`).toBe("TRUNCATED");
        await goodbye;
      }
      expect(victim.heard.map(({ line }) => line)).not.toContain("never whole");
    });

    it.runIf(authenticates)("anything instead of a confirm: never a peer", async () => {
      const before = victim.added.length;
      const random = new Random(3);
      const instead = [
        ...breaches.map(([, bytes]) => bytes),
        frame(1_000, toUtf8("x")),
        random.bytes(200),
      ];
      for (const bytes of instead.filter((each) => each !== CONFIRM)) {
        const adversary = await victim.adversary();
        adversary.say(bytes);
        expect(await adversary.leave()).toMatch(/^(FRAME_|CHECKSUM_|BODY_)/);
      }
      expect(victim.added.length).toBe(before);
    });

    it.runIf(authenticates)(
      "bytes beside the session: FRAME_MALFORMED, and not one of them opened",
      async () => {
        const random = new Random(4);
        for (let i = 0; i < 20; i++) {
          const before = victim.added.length;
          const heard = victim.heard.length;
          const adversary = await victim.adversary();
          adversary.say(CONFIRM);
          await victim.until(() => victim.added.length > before);
          // A length that is a box, for noise, so that the tag decides.
          adversary.raw(
            Uint8Array.of(100, 0),
            random.bytes(100),
            frame(Ask.opcode, toUtf8("beside")),
          );
          expect(await victim.departureOf(before)).toBe("FRAME_MALFORMED");
          await adversary.leave();
          expect(victim.heard.length).toBe(heard);
        }
      },
    );

    it("a reply that cannot be read, or is none: the one who asked is told", async () => {
      const replies: readonly [number, Uint8Array][] = [
        [Answer.opcode, Uint8Array.of(0xff)],
        [1_000, toUtf8("another opcode")],
      ];
      for (const [opcode, body] of replies) {
        const before = victim.added.length;
        const adversary = await victim.adversary();
        adversary.say(CONFIRM);
        await victim.until(() => victim.added.length > before);
        const asked = victim.added[before]?.request(Ask.of("well?"), Answer);
        const { nonce } = await adversary.hears(Ask.opcode);
        const reply = frame(opcode, body, nonce, 1);
        adversary.say(reply, reply);
        await expect(asked).rejects.toMatchObject({ code: "BODY_MALFORMED" });
        await adversary.leave();
        await victim.departureOf(before);
      }
      await victim.mustServe();
    });

    it("all of it at once, from ten peers, while the others talk", async () => {
      const random = new Random(5);
      const crowd = Array.from({ length: 10 }, async () => {
        for (let i = 0; i < 5; i++) {
          const adversary = await victim.adversary();
          adversary.say(CONFIRM, random.pick(breaches)[1], random.bytes(random.length(500)));
          await adversary.leave();
        }
      });
      const talk = (async () => {
        for (let i = 0; i < 5; i++) await victim.mustServe();
      })();
      await Promise.all([...crowd, talk]);
      await victim.mustServe();
      for (let i = 0; i < 100 && victim.network.peers.size > 1; i++) await turn();
      expect(victim.network.peers.size).toBe(1);
      expect(victim.deleted.length).toBe(victim.added.length - 1);
    });
  });
}
