import { describe, expect, it } from "vitest";
import {
  AddressError,
  asError,
  asNetworkError,
  DialError,
  ERROR_CODES,
  HandshakeError,
  NetworkError,
  networkError,
  PluginError,
  ProtocolError,
  StreamError,
} from "../src/errors.ts";

const FAMILIES = [AddressError, DialError, HandshakeError, ProtocolError, StreamError, PluginError];

describe("networkError", () => {
  it.each(ERROR_CODES)("%s has one family and its name", (code) => {
    const error = networkError(code, "why");
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(NetworkError);
    expect(FAMILIES.filter((family) => error instanceof family)).toHaveLength(1);
    expect(error.name).toBe(error.constructor.name);
    expect(error.code).toBe(code);
    expect(error.message).toBe("why");
    expect(String(error)).toBe(`${error.name}: why`);
  });

  it.each([
    ["ADDRESS_MALFORMED", AddressError],
    ["DIAL_REFUSED", DialError],
    ["PEER_UNEXPECTED", HandshakeError],
    ["CHECKSUM_MISMATCH", ProtocolError],
    ["REQUEST_TIMEOUT", StreamError],
    ["OPCODE_TAKEN", PluginError],
  ] as const)("%s is a %o", (code, family) => {
    expect(networkError(code, "")).toBeInstanceOf(family);
  });

  it("has every family in use", () => {
    for (const family of FAMILIES) {
      expect(ERROR_CODES.some((code) => networkError(code, "") instanceof family)).toBe(true);
    }
  });

  it("carries only the details it was given", () => {
    const cause = new Error("below");
    const full = networkError("DIAL_REFUSED", "no", { cause, address: "net:a:1", peer: "KEY" });
    expect(full).toMatchObject({ cause, address: "net:a:1", peer: "KEY" });
    const bare = networkError("DIAL_REFUSED", "no");
    expect([bare.cause, bare.address, bare.peer]).toEqual([undefined, undefined, undefined]);
    expect("cause" in bare).toBe(false);
    expect(JSON.parse(JSON.stringify(bare))).toEqual({ name: "DialError", code: "DIAL_REFUSED" });
  });
});

describe("asError", () => {
  it("keeps an error", () => {
    const error = new TypeError("x");
    expect(asError(error)).toBe(error);
  });

  it.each([undefined, null, 0, "text", Symbol("s"), { a: 1 }, () => 1, 10n])(
    "makes an error of %o",
    (thrown) => {
      const error = asError(thrown);
      expect(error).toBeInstanceOf(Error);
      expect(error.message).toBe(String(thrown));
      expect(error.cause).toBe(thrown);
    },
  );

  it("makes an error of what has no text", () => {
    const bare: unknown = Object.create(null);
    const hostile = {
      toString(): string {
        throw new Error("no");
      },
    };
    for (const thrown of [bare, hostile]) {
      expect(asError(thrown).message).toMatch(/no text/);
      expect(asError(thrown).cause).toBe(thrown);
    }
  });
});

describe("asNetworkError", () => {
  it("keeps a network error, whatever code was offered", () => {
    const error = networkError("STREAM_IDLE", "x");
    expect(asNetworkError(error, "DIAL_REFUSED", "y")).toBe(error);
  });

  it("wraps anything else and keeps it as the cause, not the one of the details", () => {
    const below = new Error("ECONNREFUSED");
    const error = asNetworkError(below, "DIAL_REFUSED", "dial failed", {
      address: "net:a:1",
      cause: "other",
    });
    expect(error).toBeInstanceOf(DialError);
    expect(error.message).toBe("dial failed: ECONNREFUSED");
    expect(error.cause).toBe(below);
    expect(error.address).toBe("net:a:1");
    expect(asNetworkError("text", "TRUNCATED", "cut").message).toBe("cut: text");
  });
});
