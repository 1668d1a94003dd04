import { describe, expect, it, vi } from "vitest";
import { harmless, type Logger, silent } from "../src/logger.ts";

const LEVELS: readonly (keyof Logger)[] = ["trace", "debug", "info", "warn", "error"];

describe("harmless", () => {
  it("passes every level on, and keeps `this`", () => {
    const logger = {
      seen: [] as string[],
      ...silent,
    };
    for (const level of LEVELS) {
      logger[level] = function (this: typeof logger, _fields: object, message: string) {
        this.seen.push(message);
      };
    }
    const guarded = harmless(logger);
    for (const level of LEVELS) guarded[level]({}, level);
    expect(logger.seen).toEqual(LEVELS);
  });

  it("lets no failure of the logger out", () => {
    const broken = vi.fn(() => {
      throw new Error("disk full");
    });
    const guarded = harmless({ ...silent, error: broken });
    expect(() => guarded.error({}, "x")).not.toThrow();
    expect(broken).toHaveBeenCalledOnce();
  });
});
