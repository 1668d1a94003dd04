import { networkError } from "@testudo/core";
import { expect, test } from "vitest";
import { CommandError, exitCodeOf, failureOf, fileTrouble, UsageError } from "../src/failure.ts";

test("a failure has the code, the message and the address of what was thrown", () => {
  const details = { address: "net:a:1" };
  expect(failureOf(networkError("DIAL_REFUSED", "no", details))).toEqual({
    code: "DIAL_REFUSED",
    message: "no",
    address: "net:a:1",
  });
  expect(failureOf(new UsageError("what?"))).toEqual({ code: "USAGE", message: "what?" });
  expect(failureOf(new Error("odd"))).toEqual({ code: "FAILED", message: "odd" });
  expect(failureOf("text")).toEqual({ code: "FAILED", message: "text" });
  expect(failureOf(Object.assign(new Error("n"), { code: 7, address: 8 })).code).toBe("FAILED");
});

test("usage and bad addresses exit with 2, all else with 1", () => {
  expect(exitCodeOf(new UsageError("x"))).toBe(2);
  expect(exitCodeOf(networkError("ADDRESS_MALFORMED", "x"))).toBe(2);
  expect(exitCodeOf(networkError("ADDRESS_UNSUPPORTED", "x"))).toBe(2);
  expect(exitCodeOf(networkError("DIAL_REFUSED", "x"))).toBe(1);
  expect(exitCodeOf(new CommandError("INTERRUPTED", "x"))).toBe(1);
  expect(exitCodeOf("x")).toBe(1);
});

test("trouble with a file is told in words", () => {
  const trouble = (code: string): string =>
    fileTrouble(Object.assign(new Error(`${code}: open`), { code }));
  expect(trouble("ENOENT")).toBe("there is no such file");
  expect(trouble("EACCES")).toBe("the system does not allow it");
  expect(trouble("EISDIR")).toBe("it is a directory");
  expect(trouble("ENOSPC")).toBe("ENOSPC: open");
  expect(fileTrouble("odd")).toBe("odd");
});
