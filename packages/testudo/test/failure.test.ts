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

test("a failure has what became of each attempt", () => {
  const cause = networkError("DIAL_TIMEOUT", "no answer", { address: "net:a:1" });
  const attempt = { address: "net:a:1", stage: "connect", afterMs: 3, tookMs: 4, cause } as const;
  const error = networkError("DIAL_TIMEOUT", "none", { address: "net:a:1", attempts: [attempt] });
  expect(failureOf(error).attempts).toEqual([
    {
      address: "net:a:1",
      stage: "connect",
      afterMs: 3,
      tookMs: 4,
      code: "DIAL_TIMEOUT",
      message: "no answer",
    },
  ]);
  expect(failureOf(networkError("DIAL_TIMEOUT", "none", { attempts: [] }))).toEqual({
    code: "DIAL_TIMEOUT",
    message: "none",
  });
});

test("an option of a library is called what it is here", () => {
  const { message } = failureOf(
    networkError("LISTEN_FAILED", "anybody would come in; allow it (allowPublicNoauth)"),
  );
  expect(message).toBe("anybody would come in; allow it (--allow-public-noauth)");
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
