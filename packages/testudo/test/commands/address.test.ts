import { Identity } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { run } from "../support/io.ts";

const key = Identity.generate().id.text;

describe("address parse", () => {
  test("prints routes, sections and arguments", async () => {
    const { code, out } = await run(["address", "parse", `net:::1:80~shs:${key};ws:a!:b~noauth`]);
    expect(code).toBe(0);
    expect(out.lines).toEqual([
      `route 1  net:::1:80~shs:${key}`,
      '  net "" "" "1" "80"',
      `  shs "${key}"`,
      "route 2  ws:a!:b~noauth",
      '  ws "a:b"',
      "  noauth",
    ]);
  });

  test("with JSON in one object, for addresses that we cannot dial too", async () => {
    const { code, out } = await run(["address", "parse", "ws://h:1~shs", "--json"]);
    expect(code).toBe(0);
    expect(out.events).toEqual([
      {
        event: "address",
        address: "ws://h:1~shs",
        routes: [
          {
            text: "ws://h:1~shs",
            sections: [
              { name: "ws", args: ["//h", "1"], text: "ws://h:1" },
              { name: "shs", args: [], text: "shs" },
            ],
          },
        ],
      },
    ]);
  });

  test("what cannot be read exits with 2", async () => {
    const { code, out } = await run(["address", "parse", "net:a:1~", "--json"]);
    expect(code).toBe(2);
    expect(out.events).toMatchObject([
      { event: "error", code: "ADDRESS_MALFORMED", address: "net:a:1~" },
    ]);
  });
});

describe("address check", () => {
  test("says of every route whether it can be dialled, and why not", async () => {
    const text = `net:a:1~shs:${key};net:a:0~noise;net:a:1~noise;net:a:1~noauth`;
    const { code, out } = await run(["address", "check", text]);
    expect(code).toBe(0);
    expect(out.lines).toEqual([
      `can dial net:a:1~shs:${key}`,
      expect.stringMatching(/^cannot dial net:a:0~noise: port 0 is for listening/),
      expect.stringMatching(/^can dial net:a:1~noise: no key in it/),
      expect.stringMatching(/^can dial net:a:1~noauth: nothing is encrypted/),
    ]);
  });

  test("with JSON in one object", async () => {
    const { code, out } = await run(["address", "check", `net:a:1~noise:${key}`, "--json"]);
    expect(code).toBe(0);
    const route = `net:a:1~noise:${key}`;
    expect(out.events).toEqual([
      {
        event: "address",
        address: route,
        dialable: true,
        routes: [{ route, stack: "net~noise", dialable: true, problems: [], remarks: [] }],
      },
    ]);
  });

  test.each([
    ["net:a:0~noise", "ADDRESS_MALFORMED"],
    ["net:a:1", "ADDRESS_UNSUPPORTED"],
    ["warp:a:1~noise;warp:b:1~noise", "ADDRESS_UNSUPPORTED"],
    ["", "ADDRESS_MALFORMED"],
  ])("%j exits with 2", async (text, code) => {
    const checked = await run(["address", "check", text, "--json"]);
    expect(checked.code).toBe(2);
    expect(checked.out.events.at(-1)).toMatchObject({ event: "error", code });
  });
});

test("anything else is a usage error", async () => {
  expect((await run(["address", "frob", "net:a:1~noise"])).code).toBe(2);
});
