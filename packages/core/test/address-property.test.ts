/** Addresses as properties: whatever is built can be read again, and whatever is read keeps its meaning. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Address,
  formatAddress,
  hostAndPort,
  makeRoute,
  parseAddress,
  section,
  sectionKey,
} from "../src/address.ts";
import { AddressError } from "../src/errors.ts";
import { meaning } from "./support/address.ts";

describe("parse and format", () => {
  const names = fc.stringMatching(/^[a-z][a-z0-9-]{1,8}$/);
  const character = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("!", ":", ";", "~", "[", "]", "/", "=", " ") },
    { weight: 3, arbitrary: fc.string({ minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.constantFrom("\ud800", "\udc00") },
  );
  const argument = fc
    .string({ unit: character, maxLength: 8 })
    .filter((text) => !/\p{Cc}/u.test(text));
  const sections = fc
    .tuple(names, fc.array(argument, { maxLength: 4 }))
    .map(([name, args]) => section(name, ...args));
  const routes = fc.array(sections, { minLength: 1, maxLength: 4 }).map((list) => makeRoute(list));

  it("are inverses for everything built with section()", () => {
    fc.assert(
      fc.property(fc.array(routes, { minLength: 1, maxLength: 4 }), (built) => {
        const text = formatAddress(built);
        const parsed = parseAddress(text);
        expect(parsed.routes).toEqual(built);
        expect(parsed.text).toBe(text);
        expect(formatAddress(parsed.routes)).toBe(parsed.text);
        expect(parseAddress(parsed.text)).toEqual(parsed);
        // Nothing but blank alternatives is dropped.
        expect(parsed.text.replaceAll(";", "")).toBe(text.replaceAll(";", ""));
      }),
      { numRuns: 500 },
    );
  });

  const hostile = fc.oneof(
    fc.string({ unit: fc.constantFrom(..."net:ws;~!!AB[]=/.0 \n"), maxLength: 60 }),
    fc.string({ unit: "binary", maxLength: 60 }),
    fc
      .array(sections, { maxLength: 3 })
      .chain((list) =>
        fc.string({ unit: character, maxLength: 3 }).map((tail) => makeRoute(list).text + tail),
      ),
  );

  it("give AddressError for hostile text or something that means the same again", () => {
    let [read, refused] = [0, 0];
    fc.assert(
      fc.property(hostile, (text) => {
        let parsed: Address;
        try {
          parsed = parseAddress(text);
        } catch (error) {
          expect(error).toBeInstanceOf(AddressError);
          refused++;
          return;
        }
        read++;
        expect(formatAddress(parsed.routes)).toBe(parsed.text);
        expect(parseAddress(parsed.text)).toEqual(parsed);
        // Nothing but blank alternatives is dropped.
        expect(parsed.text.replaceAll(";", "")).toBe(text.replaceAll(";", ""));
        const rebuilt = parsed.routes.map((route) =>
          makeRoute(route.sections.map(({ name, args }) => section(name, ...args))),
        );
        expect(meaning(parseAddress(formatAddress(rebuilt)))).toEqual(meaning(parsed));
        for (const each of parsed.routes.flatMap((route) => route.sections)) {
          for (const interpret of [hostAndPort, sectionKey]) {
            try {
              interpret(each);
            } catch (error) {
              expect(error).toBeInstanceOf(AddressError);
            }
          }
        }
      }),
      { numRuns: 3_000 },
    );
    expect(Math.min(read, refused)).toBeGreaterThan(100);
  });
});
