/**
 * What an address means to the published multiserver and to us: every row of `test/vectors/addresses.json` is
 * the same, or refused for a reason that `differences.ts` names.
 */

import {
  AddressError,
  fromBase64,
  hostAndPort,
  Identity,
  MultiServer,
  parseAddress,
  type Section,
  type StackParts,
  sectionKey,
  toBase64,
} from "@testudo/core";
import { net } from "@testudo/transports/net";
import { noauth } from "@testudo/transports/noauth";
import { onion } from "@testudo/transports/onion";
import { shs } from "@testudo/transports/shs";
import { unix } from "@testudo/transports/unix";
import { ws } from "@testudo/transports/ws";
import type { Plugin } from "multiserver";
import compose from "multiserver/compose.js";
import originalNet from "multiserver/plugins/net.js";
import originalNoauth from "multiserver/plugins/noauth.js";
import originalOnion from "multiserver/plugins/onion.js";
import originalShs from "multiserver/plugins/shs.js";
import originalUnix from "multiserver/plugins/unix-socket.js";
import originalWs from "multiserver/plugins/ws.js";
import { describe, expect, it } from "vitest";
import { placeOf } from "../../packages/transports/src/ws/url.ts";
import { Page } from "../support/markdown.ts";
import { loadOwn } from "../support/vectors.ts";
import { DIFFERENCES, type Difference, differencesSection, PRINTED } from "./differences.ts";
import { pairOf } from "./ours.ts";

/** A section as the original reads it. */
type Read = Readonly<Record<string, unknown>>;

interface Row {
  readonly address: string;
  readonly select: {
    readonly suite?: string;
    readonly address?: string;
    readonly options?: readonly Read[];
    readonly throws?: string;
  };
  readonly suites: Readonly<Record<string, unknown>>;
  readonly plugins: Readonly<Record<string, Read>>;
}

interface Vectors {
  readonly selectOrder: readonly string[];
  readonly key: string;
  readonly count: number;
  readonly addresses: readonly Row[];
  readonly stringify: readonly { what: string; value?: unknown; throws?: string }[];
}

const vectors = loadOwn<Vectors>("addresses.json");

const NODE = new MultiServer([
  [net(), shs()],
  [ws(), shs()],
  [onion(), shs()],
  [unix(), shs()],
  [net(), noauth()],
  [ws(), noauth()],
  [unix(), noauth()],
]);
const BARE = new MultiServer([[net()], [ws()], [onion()], [unix()]]);
/** A section that only one transport's plugin reads, and that is the whole address. */
const TRANSPORTS = ["net", "ws", "onion", "unix"];

/** What would be dialled, in words of our own. */
interface Meaning {
  readonly suite: string;
  readonly address: string;
  readonly means: readonly unknown[];
}
/** What the original makes of an address. */
type Original = Meaning | "refused" | "throws";

/** The first alternative that the node speaks, as the original picks one. */
function ours(node: MultiServer, address: string): Meaning | AddressError {
  try {
    const parsed = node.parse(address);
    const first = parsed.find(({ problem }) => problem === undefined);
    if (first?.stack === undefined) {
      const problem = parsed[0]?.problem;
      if (problem instanceof AddressError) return problem;
      throw new Error(`${address} is neither spoken nor refused`);
    }
    const { stack: suite, address: text, sections } = first;
    return { suite, address: text, means: sections.map(meaningOfOurs) };
  } catch (error) {
    if (error instanceof AddressError) return error;
    throw error;
  }
}

function meaningOfOurs(section: Section): unknown {
  const { name, args } = section;
  if (name === "net" || name === "onion") return hostAndPort(section);
  if (name === "ws" || name === "wss") {
    const { secure, host, port, path } = placeOf(section, "dialer");
    return { secure, host, port, path };
  }
  if (name === "unix") return { path: args.join(":") };
  if (name === "noauth") return {};
  const key = sectionKey(section);
  const seed = args[1] === undefined ? undefined : fromBase64(args[1]);
  return { key: key && toBase64(key), seed: seed && toBase64(seed) };
}

function meaningOfTheirs(read: Read): unknown {
  const { name, host, port, protocol, hostname, path, key, seed } = read;
  if (protocol !== undefined) {
    const secure = protocol === "wss:";
    return { secure, host: hostname, port: Number(port ?? (secure ? 443 : 80)), path };
  }
  if (host !== undefined) return { host, port };
  if (name === "") return { path };
  if (key === undefined) return {};
  return { key: base64Of(key), seed: base64Of(seed) };
}

function base64Of(buffer: unknown): unknown {
  if (Buffer.isBuffer(buffer)) return buffer.toString("base64");
  return typeof buffer === "object" && buffer !== null && "base64" in buffer
    ? buffer.base64
    : undefined;
}

function theirs({ suite, address, options, throws }: Row["select"]): Original {
  if (throws !== undefined) return "throws";
  if (suite === undefined || address === undefined || options === undefined) return "refused";
  return { suite, address, means: options.map(meaningOfTheirs) };
}

/** What the original would dial, asked of the package itself. */
function asked(address: string): Row["select"] {
  for (const part of address.split(";")) {
    for (const suite of SUITES) {
      let options: unknown;
      try {
        options = suite.parse(part);
      } catch (error) {
        return { throws: String(error) };
      }
      if (Array.isArray(options)) return { suite: suite.name, address: part, options };
    }
  }
  return {};
}

const { keys } = pairOf();
const [theirShs, theirNoauth] = [
  originalShs({ keys, appKey: Buffer.alloc(32) }),
  originalNoauth({ keys }),
];
const suiteOf = (transport: Plugin, transform: Plugin) => compose([transport, transform]);
const [theirNet, theirWs, theirUnix] = [
  originalNet({}),
  originalWs(),
  originalUnix({ path: "/nowhere" }),
];
const SUITES = [
  suiteOf(theirNet, theirShs),
  suiteOf(theirWs, theirShs),
  suiteOf(originalOnion({}), theirShs),
  suiteOf(theirUnix, theirShs),
  suiteOf(theirNet, theirNoauth),
  suiteOf(theirWs, theirNoauth),
  suiteOf(theirUnix, theirNoauth),
];

const shown = (address: string): string => JSON.stringify(address).replaceAll(vectors.key, "KEY");
const explained = (rows: (difference: Difference) => readonly string[] | undefined) =>
  new Map(
    DIFFERENCES.flatMap((difference) => (rows(difference) ?? []).map((row) => [row, difference])),
  );

describe("addresses", () => {
  it("are those that the published package was asked about, with its answers", () => {
    // Its URL parser is an old one.
    process.noDeprecation = true;
    expect(vectors.addresses).toHaveLength(vectors.count);
    expect(SUITES.map(({ name }) => name)).toEqual(vectors.selectOrder);
    expect(NODE.protocols).toEqual(vectors.selectOrder);
    for (const { address, select } of vectors.addresses) {
      // JSON has no Infinity.
      const now = JSON.stringify(theirs(asked(address)), (_, value) =>
        value === Number.POSITIVE_INFINITY ? "Infinity" : value,
      );
      expect([address, now]).toEqual([address, JSON.stringify(theirs(select))]);
    }
    process.noDeprecation = false;
  });

  const known = explained(({ rows }) => rows);
  it.each(vectors.addresses.map((row) => [shown(row.address), row] as const))(
    "%s means the same, or differs for a reason",
    (_, row) => {
      hold(ours(NODE, row.address), theirs(row.select), known.get(row.address));
    },
  );

  const singles = vectors.addresses.flatMap((row) => {
    const [name] = TRANSPORTS.filter((each) => Array.isArray(row.suites[each]));
    const onlyPlugin = row.address.startsWith("onion:") ? row.plugins["onion"] : undefined;
    const read = name === undefined ? onlyPlugin : (row.suites[name] as readonly Read[])[0];
    return read === undefined ? [] : [{ row, name: name ?? "onion", read }];
  });
  const knownBare = explained(({ bare }) => bare);
  it.each(singles.map((single) => [shown(single.row.address), single] as const))(
    "%s alone means the same to a stack of the transport alone, or differs for a reason",
    (_, { row, name, read }) => {
      const { address } = row;
      const meaning = { suite: name, address, means: [meaningOfTheirs(read)] };
      hold(ours(BARE, address), meaning, knownBare.get(address));
    },
  );

  it("that differ for a reason are all among the rows", () => {
    const all = new Set(vectors.addresses.map(({ address }) => address));
    const bare = new Set(singles.map(({ row }) => row.address));
    expect([...known.keys()].filter((address) => !all.has(address))).toEqual([]);
    expect([...knownBare.keys()].filter((address) => !bare.has(address))).toEqual([]);
  });

  it.each(DIFFERENCES.map((difference) => [difference.what, difference] as const))(
    "the example for %s differs as it is said",
    (_, difference) => {
      const { example, says, bare } = difference;
      const alone = bare?.includes(example) === true;
      const meaning = ours(alone ? BARE : NODE, example);
      if (says === undefined) expect(meaning).not.toBeInstanceOf(AddressError);
      else hold(meaning, theirs(asked(example)), difference);
    },
  );

  it("are never dialled by a node for whom they are refused", async () => {
    for (const { example, says, bare } of DIFFERENCES) {
      if (says === undefined) continue;
      const node = bare?.includes(example) === true ? BARE : NODE;
      if (example.includes(";")) continue;
      await expect(node.client(example)).rejects.toMatchObject({
        name: "AddressError",
        message: expect.stringMatching(says),
      });
    }
  });

  it("have escapes that ours undoes: what is parsed can be written again", () => {
    for (const row of vectors.addresses) {
      if (ours(NODE, row.address) instanceof AddressError) continue;
      const { text } = parseAddress(row.address);
      expect(parseAddress(text).routes).toEqual(parseAddress(row.address).routes);
    }
  });
});

function hold(
  meaning: Meaning | AddressError,
  original: Original,
  difference: Difference | undefined,
): void {
  const seen = meaning instanceof AddressError ? "refused" : meaning;
  if (difference === undefined) {
    expect(seen).toEqual(original);
    return;
  }
  expect(seen).not.toEqual(original);
  if (difference.says === undefined) expect(meaning).not.toBeInstanceOf(AddressError);
  else expect(meaning).toMatchObject({ message: expect.stringMatching(difference.says) });
}

describe("what is printed", () => {
  const identity = Identity.generate();
  const of = (...stacks: StackParts[]): MultiServer => new MultiServer(stacks, { identity });
  const nodes: Readonly<Record<string, () => MultiServer>> = {
    "net {port:1, host:'h', scope:'public', external:'e.x'}": () =>
      of([net({ port: 1, host: "h", scope: "public", external: "e.x" })]),
    "net {port:1, host:'h', scope:['device','local','public'], external:['a.x','b.x']}": () =>
      of([
        net({
          port: 1,
          host: "h",
          scope: ["device", "local", "public"],
          external: ["a.x", "b.x"],
        }),
      ]),
    "net {port:1}": () => of([net({ port: 1 })]),
    "ws {port:80, host:'h', scope:['device','public'], external:'e.x'}": () =>
      of([ws({ port: 80, host: "h", scope: ["device", "public"], external: "e.x" })]),
    "ws {port:9, host:'h', scope:'device'}": () =>
      of([ws({ port: 9, host: "h", scope: "device" })]),
    "unix {path:'/tmp/a~b!c'}": () => of([unix({ path: "/tmp/a~b!c" })]),
    "multi [net device, ws device+public, unix]~shs": () =>
      of(
        [net({ port: 1, host: "h", scope: "device" }), shs()],
        [ws({ port: 2, host: "h", scope: ["device", "public"], external: "e.x" }), shs()],
        [unix({ path: "/tmp/u" }), noauth()],
      ),
  };
  const device = (...stack: StackParts): string => of(stack).stringify("device");
  const TLS = { key: "key", cert: "cert" };
  const others: Readonly<Record<string, () => unknown>> = {
    "net host '::1'": () => device(net({ port: 1, host: "::1", scope: "device" })),
    "net host 'fe80::1%wlan0'": () =>
      device(net({ port: 1, host: "fe80::1%wlan0", scope: "device" })),
    "ws key+cert port 443": () => device(ws({ port: 443, host: "h", scope: "device", tls: TLS })),
    "ws key+cert port 80": () => device(ws({ port: 80, host: "h", scope: "device", tls: TLS })),
    "net~shs with '~' and '!' in the host": () =>
      device(net({ port: 1, host: "a~b!c", scope: "device" }), shs()),
    "net~shs with ';' in the host (splits into two broken addresses)": () =>
      device(net({ port: 1, host: "a;b", scope: "device" }), shs()),
    "onion~shs": () => device(onion(), shs()),
    "shs alone": () => shs().section(identity).text,
    names: () => of([net(), shs()], [ws(), noauth()]).protocols.join(";"),
    "ms.parse by position": () =>
      of([net(), shs()], [ws(), noauth()])
        .parse(`ws://h:2~noauth;net:h:1~shs:${vectors.key}`)
        .map(({ stack }) => stack),
    "ms.parse with more addresses than suites": () =>
      of([net(), noauth()])
        .parse("net:h:1~noauth;net:h:2~noauth")
        .map(({ stack }) => stack),
  };
  const differing: Readonly<Record<string, unknown>> = {
    "ws {port:80, host:'h', scope:['device','public'], external:'e.x'} .stringify(local)": "",
    "unix {path:'/tmp/a~b!c'} .stringify(undefined)": "unix:/tmp/a!~b!!c/socket",
    "net~shs with ';' in the host (splits into two broken addresses)": `net:a!;b:1~shs:${vectors.key}`,
    "ms.parse by position": ["ws~noauth", "net~shs"],
    "ms.parse with more addresses than suites": ["net~noauth", "net~noauth"],
  };
  const known = new Set(PRINTED.flatMap(({ rows }) => rows));

  it.each(vectors.stringify.map((row) => [row.what.replaceAll(vectors.key, "KEY"), row] as const))(
    "%s: is the same, or differs for a reason",
    (_, { what, value, throws }) => {
      const [, options = "", scope = ""] = /^(.*) \.stringify\((\w+)\)$/.exec(what) ?? [];
      const print = (): unknown => {
        const node = nodes[options]?.();
        if (node === undefined) return others[what]?.();
        return Reflect.apply(node.stringify, node, scope === "undefined" ? [] : [scope]);
      };
      // Whose key it is makes no difference.
      const printed = (): unknown => {
        const text = print();
        return typeof text === "string" ? text.replaceAll(identity.id.text, vectors.key) : text;
      };
      // Nothing to print is null, undefined or empty over there.
      const original = throws ?? (value === null || value === "(undefined)" ? "" : value);
      if (!known.has(what)) {
        expect(printed()).toEqual(original);
      } else if (scope === "bogus") {
        expect(print).toThrow(TypeError);
      } else {
        expect(printed()).toEqual(differing[what]);
        expect(differing[what]).not.toEqual(original);
      }
    },
  );

  it("that differs for a reason is all among the rows", () => {
    const all = new Set(vectors.stringify.map(({ what }) => what));
    expect([...known].filter((what) => !all.has(what))).toEqual([]);
  });
});

describe("docs/addresses.md", () => {
  it("has the table of differences", () => {
    expect(new Page("docs/addresses.md").prose).toContain(differencesSection());
  });
});
