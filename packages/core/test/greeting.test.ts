import { describe, expect, it } from "vitest";
import { EMPTY } from "../src/bytes.ts";
import type { Frame } from "../src/frame.ts";
import { confirmationOf, confirmByte, greetingByte, isStay } from "../src/greeting.ts";
import { OPCODES } from "../src/opcode.ts";

function frame(opcode: number, ...payload: number[]): Frame {
  return { opcode, nonce: 0, flags: 0, checksum: 0, payload: Uint8Array.from(payload) };
}

describe("a confirm", () => {
  it("has the bytes of docs/protocol.md, and is read as it was meant", () => {
    const bytes = [true, false].flatMap((passing) =>
      [true, false].map((fresh) => {
        const confirmation = { fresh, moves: false, passing };
        expect(confirmationOf(confirmByte(confirmation))).toEqual(confirmation);
        return confirmByte(confirmation);
      }),
    );
    expect(bytes).toEqual([5, 4, 1, 0]);
    expect(confirmByte({ fresh: false, moves: true, passing: true })).toBe(2);
    expect(confirmationOf(2)).toEqual({ fresh: true, moves: true, passing: false });
  });

  it.each([
    [OPCODES.welcome, [0, 1, 2, 3]],
    [OPCODES.confirm, [0, 1, 2, 4, 5]],
  ] as const)("or a welcome (%d) is known by its opcode and its byte", (opcode, known) => {
    const taken = Array.from({ length: 256 }, (_, byte) => byte).filter(
      (byte) => greetingByte(frame(opcode, byte), opcode) === byte,
    );
    expect(taken).toEqual(known);
    expect(greetingByte(frame(1_000, 1), opcode)).toBeUndefined();
    expect(greetingByte(frame(opcode), opcode)).toBeUndefined();
    expect(greetingByte(frame(opcode, 1, 1), opcode)).toBeUndefined();
    expect(greetingByte({ ...frame(opcode, 1), nonce: 1 }, opcode)).toBeUndefined();
    expect(greetingByte({ ...frame(opcode, 1), flags: 1 }, opcode)).toBeUndefined();
  });
});

describe("a stay", () => {
  it("is empty", () => {
    const stay = { ...frame(OPCODES.stay), payload: EMPTY };
    expect(isStay(stay)).toBe(true);
    expect(isStay(frame(OPCODES.confirm))).toBe(false);
    expect(isStay(frame(OPCODES.stay, 0))).toBe(false);
    expect(isStay({ ...stay, nonce: 1 })).toBe(false);
    expect(isStay({ ...stay, flags: 1 })).toBe(false);
  });
});
