import { networkError } from "@testudo/core";
import { expect, test } from "vitest";
import { createLogger } from "../src/log.ts";
import { Written } from "./support/io.ts";

test("logs JSON lines of its level and above, errors with their code", () => {
  const written = new Written();
  const logger = createLogger("info", written.stream);
  logger.debug({}, "too fine");
  const error = networkError("DIAL_REFUSED", "nobody there");
  logger.warn({ error }, "a dial failed");
  const [line, ...more] = written.lines.map((text) => JSON.parse(text));
  expect(more).toEqual([]);
  expect(line).toMatchObject({
    level: 40,
    msg: "a dial failed",
    error: { code: "DIAL_REFUSED", message: "nobody there" },
  });
});
