import { Identity } from "@testudo/core";
import { describe, expect, test } from "vitest";
import { run } from "../support/io.ts";

const key = Identity.generate().id.text;

describe("address parse", () => {
  test("prints routes, sections and arguments", async () => {
    const { code, out } = await run(["address", "parse", `net:::1:80~shs:${key};warp:a!:b~noauth`]);
    expect(code).toBe(0);
    expect(out.lines).toEqual([
      `route 1  net:::1:80~shs:${key}`,
      '  net "" "" "1" "80"',
      `  shs "${key}"`,
      "  can dial with net~shs",
      "route 2  warp:a!:b~noauth",
      '  warp "a:b"',
      "  noauth",
      expect.stringMatching(/^ {2}cannot dial: warp is no transport of this build; it has net, /),
    ]);
  });

  test("with JSON in one object, for addresses that we cannot dial too", async () => {
    const { code, out } = await run([
      "address",
      "parse",
      "net:h:1~shs;warp:h~xx;net:h:1~noise",
      "--json",
    ]);
    expect(code).toBe(0);
    const named = (name: string, ...args: string[]) => ({
      name,
      args,
      text: [name, ...args].join(":"),
    });
    const net = named("net", "h", "1");
    const problem = (code: string) => ({ code, message: expect.any(String) });
    expect(out.events).toEqual([
      {
        event: "address",
        address: "net:h:1~shs;warp:h~xx;net:h:1~noise",
        routes: [
          {
            text: "net:h:1~shs",
            sections: [net, named("shs")],
            stack: "net~shs",
            problem: problem("ADDRESS_MALFORMED"),
          },
          {
            text: "warp:h~xx",
            sections: [named("warp", "h"), named("xx")],
            problem: problem("ADDRESS_UNSUPPORTED"),
          },
          { text: "net:h:1~noise", sections: [net, named("noise")], stack: "net~noise" },
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
      `can dial net:a:1~shs:${key} with net~shs`,
      expect.stringMatching(/^cannot dial net:a:0~noise: .*port 0 is for listening/),
      expect.stringMatching(/^can dial net:a:1~noise with net~noise: no key in it/),
      expect.stringMatching(/^can dial net:a:1~noauth with net~noauth: nothing is encrypted/),
    ]);
  });

  test("knows kcp, and kcpgo without its password", async () => {
    const text = `kcp:a:1~noise:${key};kcpgo:a:1~noise:${key};kcpgo:a:1~noauth;kcpgo:a:1`;
    const { code, out } = await run(["address", "check", text]);
    expect(code).toBe(0);
    expect(out.lines).toEqual([
      `can dial kcp:a:1~noise:${key} with kcp~noise`,
      `can dial kcpgo:a:1~noise:${key} with kcpgo~noise: its options must be those of the listener`,
      expect.stringMatching(
        /^can dial kcpgo:a:1~noauth with kcpgo~noauth: .*: nobody proves a key/,
      ),
      expect.stringMatching(/^cannot dial kcpgo:a:1: kcpgo:a:1 names no transform/),
    ]);
    const parsed = await run(["address", "parse", text]);
    expect(parsed.out.lines).toContain("  can dial with kcpgo~noise");
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

  test("prints the seed of an invite only where it was typed", async () => {
    const seed = Buffer.alloc(32, 7).toString("base64");
    const typed = `net:a:1~shs:${key}:${seed}`;
    const good = await run(["address", "check", typed]);
    expect(good.out.lines).toEqual([`can dial ${typed} with net~shs`]);
    const bad = await run(["address", "check", `net:a:0~shs:${key}:${seed}`]);
    expect([bad.code, bad.err.text.includes(seed)]).toEqual([2, false]);
    expect(bad.out.lines).toEqual([
      expect.stringMatching(/^cannot dial [^ ]+: net:a:0 cannot be dialled: port 0/),
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
