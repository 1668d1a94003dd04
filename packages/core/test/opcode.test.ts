import { describe, expect, it } from "vitest";
import {
  APPLICATION_START,
  checkOpcode,
  isAuditOpcode,
  isCoreOpcode,
  MAX_OPCODE,
  OPCODE_BLOCKS,
  OPCODES,
} from "../src/opcode.ts";

describe("opcodes", () => {
  it("have carrier's numbers", () => {
    const { welcome, confirm, stay, ...carrier } = OPCODES;
    expect(carrier).toEqual({
      unregistered: 0,
      bytes: 1,
      keepalive: 2,
      keepaliveResponse: 3,
      proxyResponse: 9,
      ping: 10,
      pong: 11,
      lookupNodeRequest: 12,
      lookupNodeResponse: 13,
      disconnect: 14,
      proxyRequest: 15,
      metricRequest: 16,
      metricResponse: 17,
      ackResponse: 18,
    });
    expect([welcome, confirm, stay]).toEqual([32, 33, 34]);
  });

  it("are distinct, and the blocks neither overlap nor reach the applications", () => {
    const numbers = Object.values(OPCODES);
    expect(new Set(numbers).size).toBe(numbers.length);
    const starts = Object.values(OPCODE_BLOCKS).sort((a, b) => a - b);
    for (const [i, start] of starts.entries()) {
      expect(start % 32).toBe(0);
      expect((starts[i + 1] ?? 256) - start).toBeGreaterThanOrEqual(32);
    }
    expect(APPLICATION_START).toBe(1_000);
  });

  it("core speaks 0, 1, 14 and the stream's block, and nothing else", () => {
    const spoken = Array.from({ length: 1_100 }, (_, i) => i).filter(isCoreOpcode);
    expect(spoken).toEqual([0, 1, 14, ...Array.from({ length: 32 }, (_, i) => 32 + i)]);
    expect(isCoreOpcode(MAX_OPCODE)).toBe(false);
  });

  it("only keepalives and pings are audits", () => {
    const audits = Array.from({ length: 1_100 }, (_, i) => i).filter(isAuditOpcode);
    expect(audits).toEqual([2, 3, 10, 11]);
  });

  it.each([2, 10, 18, 31, 64, 255, 256, 999, APPLICATION_START, MAX_OPCODE])(
    "takes %d",
    (opcode) => {
      expect(() => checkOpcode(opcode, "opcode")).not.toThrow();
    },
  );

  it.each([0, 1, 14, 32, 33, 63])("refuses %d, which core speaks itself", (opcode) => {
    expect(() => checkOpcode(opcode, "message.opcode")).toThrow(RangeError);
    expect(() => checkOpcode(opcode, "message.opcode")).toThrow(/message\.opcode.*1000/);
  });

  it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, MAX_OPCODE + 1, "7", undefined])(
    "refuses %o, naming the argument",
    (opcode) => {
      expect(() => checkOpcode(opcode as number, "message.opcode")).toThrow(RangeError);
      expect(() => checkOpcode(opcode as number, "message.opcode")).toThrow(/^message\.opcode/);
    },
  );
});
