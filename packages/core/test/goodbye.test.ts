import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, toUtf8 } from "../src/bytes.ts";
import { ERROR_CODES, type ErrorCode } from "../src/errors.ts";
import {
  decodeGoodbye,
  encodeGoodbye,
  MAX_GOODBYE_TEXT,
  saidByPeer,
  saidByUs,
} from "../src/goodbye.ts";

/** The numbers of docs/protocol.md: they are on the wire, so they never change. */
const NUMBERS: readonly ErrorCode[] = [
  "STREAM_CLOSED",
  "NETWORK_CLOSED",
  "PEER_REFUSED",
  "TOO_MANY_PEERS",
  "PEER_UNEXPECTED",
  "FRAME_TOO_LARGE",
  "FRAME_MALFORMED",
  "CHECKSUM_MISMATCH",
  "BODY_MALFORMED",
  "TRUNCATED",
  "STREAM_IDLE",
  "SEND_BUFFER_FULL",
  "SELF_DIAL",
  "HANDSHAKE_TIMEOUT",
  "HANDSHAKE_FAILED",
];

describe("a goodbye", () => {
  it("has its code's number in front, low byte first", () => {
    for (const [number, code] of NUMBERS.entries()) {
      const body = encodeGoodbye({ code, text: "é" });
      expect([...body]).toEqual([number, 0, 0xc3, 0xa9]);
      expect(decodeGoodbye(body)).toEqual({ code, text: "é" });
    }
  });

  it("with a code that has no number says that the stream was closed", () => {
    for (const code of ERROR_CODES.filter((each) => !NUMBERS.includes(each))) {
      expect(decodeGoodbye(encodeGoodbye({ code, text: "t" }))).toEqual({
        code: "STREAM_CLOSED",
        text: "t",
      });
    }
  });

  it("with a number from the future is read as a closed stream", () => {
    expect(decodeGoodbye(Uint8Array.of(0xff, 0xff, 0x68, 0x69))).toEqual({
      code: "STREAM_CLOSED",
      text: "hi",
    });
  });

  it("cuts its text between letters, as late as it can", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 200, maxLength: 400 }), (text) => {
        const body = encodeGoodbye({ code: "STREAM_IDLE", text });
        const kept = decodeGoodbye(body).text;
        expect(text.startsWith(kept)).toBe(true);
        expect(body.length - 2).toBeLessThanOrEqual(MAX_GOODBYE_TEXT);
        const all = toUtf8(text).length;
        // A letter has four bytes at most.
        if (all > MAX_GOODBYE_TEXT) expect(body.length - 2).toBeGreaterThan(MAX_GOODBYE_TEXT - 4);
        else expect(kept).toBe(text);
      }),
    );
  });

  it("that cannot be read is malformed", () => {
    const bad = [
      new Uint8Array(0),
      Uint8Array.of(1),
      Uint8Array.of(1, 0, 0xff),
      concat(Uint8Array.of(0, 0), new Uint8Array(MAX_GOODBYE_TEXT + 1).fill(0x61)),
    ];
    for (const body of bad) {
      expect(() => decodeGoodbye(body)).toThrow(
        expect.objectContaining({ name: "ProtocolError", code: "BODY_MALFORMED" }),
      );
    }
    expect(
      decodeGoodbye(concat(Uint8Array.of(0, 0), new Uint8Array(256).fill(0x61))).text,
    ).toHaveLength(256);
  });

  it("becomes a reason that says whose it was", () => {
    const goodbye = { code: "STREAM_IDLE", text: "asleep" } as const;
    expect(saidByPeer(goodbye)).toMatchObject({
      code: "STREAM_IDLE",
      message: "closed by the peer: asleep",
    });
    expect(saidByPeer({ ...goodbye, text: "" }).message).toMatch(/no reason/);
    expect(saidByUs(goodbye, { peer: "p", address: "a" })).toMatchObject({
      code: "STREAM_IDLE",
      message: "closed by this node: asleep",
      peer: "p",
      address: "a",
    });
  });
});
