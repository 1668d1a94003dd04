/**
 * Texts under fire: goodbyes, addresses, and the text forms of bytes. How to ask for more inputs, for others,
 * or for one alone: fuzz.ts.
 */

import {
  formatAddress,
  fromBase64,
  fromHex,
  hostAndPort,
  Identity,
  parseAddress,
  section,
  sectionKey,
  toBase64,
  toHex,
} from "@testudo/core";
import { describe, it } from "vitest";
import { decodeGoodbye, encodeGoodbye } from "../../packages/core/src/goodbye.ts";
import { codeOf, fuzz, mustBe, mustEqual, mutate, PATIENCE_MS } from "./fuzz.ts";

const author = Identity.fromSecret(new Uint8Array(32).fill(1));

it(
  "goodbyes: a known code and a short text, or BODY_MALFORMED",
  async () => {
    const valid = [
      encodeGoodbye({ code: "STREAM_CLOSED", text: "" }),
      encodeGoodbye({ code: "TOO_MANY_PEERS", text: "full" }),
      encodeGoodbye({ code: "FRAME_TOO_LARGE", text: "🐢".repeat(64) }),
      encodeGoodbye({ code: "REQUEST_TIMEOUT", text: "ü".repeat(300) }),
    ];
    await fuzz("goodbyes", {
      make: (random) =>
        random.rarely(8) ? random.bytes(random.length(300)) : mutate(random, random.pick(valid)),
      check(input) {
        let again: Uint8Array | undefined;
        const code = codeOf(() => {
          again = encodeGoodbye(decodeGoodbye(input));
        });
        mustBe(code, [undefined, "BODY_MALFORMED"]);
        if (again === undefined) return;
        mustEqual(encodeGoodbye(decodeGoodbye(again)), again, "encoded again");
      },
    });
  },
  PATIENCE_MS,
);

describe("addresses", () => {
  const key = author.id.text;
  const valid = [
    `net:example.org:9000~noise:${key}`,
    `net:::1:80~shs:${key}:${key};ws://h.example~noise`,
    "unix:/tmp/a!:b!~c!;d!!~noauth",
    `net:[fe80::1]:0~gzip~noise:${key};net:127.0.0.1:65535~noauth;memory:a`,
    "onion:abcdef.onion:80~shs",
  ];
  const alphabet = [
    ..."!!!:::~~~;;;aZ09-[]/.=+_ \u0000\u007f\u0085\ud800\u{1f422}ü",
    "net",
    "noise",
    key,
    "65536",
  ];

  it(
    "any text: routes that format to themselves, or ADDRESS_MALFORMED",
    async () => {
      await fuzz("addresses", {
        make(random) {
          const kind = random.below(4);
          if (kind === 0)
            return Array.from({ length: random.length(60) }, () => random.pick(alphabet)).join("");
          const characters = [...random.pick(valid)];
          for (let left = random.below(5); left > 0; left--) {
            const at = random.below(characters.length + 1);
            if (random.rarely(3)) characters.splice(at, 1 + random.below(4));
            else characters.splice(at, random.below(2), random.pick(alphabet));
          }
          return characters.join("").repeat(random.rarely(500) ? 300 : 1);
        },
        check(input) {
          let address: ReturnType<typeof parseAddress> | undefined;
          const code = codeOf(() => {
            address = parseAddress(input);
          });
          mustBe(code, [undefined, "ADDRESS_MALFORMED"]);
          if (address === undefined) return;
          mustBe(formatAddress(address.routes), [address.text]);
          // Nothing but blank alternatives is dropped.
          mustBe(address.text.replaceAll(";", ""), [input.replaceAll(";", "")]);
          for (const route of address.routes) {
            mustBe(route.sections.map((part) => part.text).join("~"), [route.text]);
            for (const part of route.sections) {
              const made = section(part.name, ...part.args);
              const again = parseAddress(made.text).routes[0]?.sections[0];
              mustBe([again?.name, ...(again?.args ?? [])].join("\n"), [
                [part.name, ...part.args].join("\n"),
              ]);
              for (const reader of [sectionKey, hostAndPort]) {
                mustBe(
                  codeOf(() => void reader(part)),
                  [undefined, "ADDRESS_MALFORMED"],
                );
              }
            }
          }
        },
      });
    },
    PATIENCE_MS,
  );
});

describe("text forms of bytes", () => {
  it(
    "base64: never throws; what it takes is what the platform takes, and comes back",
    async () => {
      const alphabet = [..."ABYZabyz0189+/-_==\n é"];
      await fuzz("base64", {
        make(random) {
          if (random.rarely(3))
            return Array.from({ length: random.length(90) }, () => random.pick(alphabet)).join("");
          const characters = [...toBase64(random.bytes(random.length(60)))];
          for (let left = random.below(3); left > 0; left--)
            characters.splice(
              random.below(characters.length + 1),
              random.below(2),
              random.pick(alphabet),
            );
          return characters.join("");
        },
        check(input) {
          const decoded = fromBase64(input);
          if (decoded === undefined) return;
          mustEqual(decoded, Buffer.from(input, "base64"), "read otherwise by the platform");
          mustEqual(fromBase64(toBase64(decoded)), decoded, "there and back");
        },
      });
    },
    PATIENCE_MS,
  );

  it(
    "hex: never throws; what it takes comes back",
    async () => {
      const alphabet = [..."0123456789abcdefABCDEF xg\n"];
      await fuzz("hex", {
        make: (random) =>
          Array.from({ length: random.length(80) }, () =>
            random.pick(random.rarely(30) ? alphabet : alphabet.slice(0, 22)),
          ).join(""),
        check(input) {
          const decoded = fromHex(input);
          const valid = /^([0-9a-fA-F]{2})*$/.test(input) && !input.includes("\n");
          mustBe(decoded && toHex(decoded), [valid ? input.toLowerCase() : undefined]);
        },
      });
    },
    PATIENCE_MS,
  );
});
