/**
 * Where an address, or what is printed of one, means something else here than to multiserver 3.8.2, and why.
 * docs/addresses.md has this table; `addresses.test.ts` holds both sides to it, row by row.
 */

const KEY = "7/JDI0Otds2ZHd20cgeCfyKlWXZ1HFSuIIUbelLV8WY=";

export interface Difference {
  readonly what: string;
  /** One of the rows, or an address of its own. */
  readonly example: string;
  /** What the original does. */
  readonly theirs: string;
  readonly ours: string;
  /** Our refusal; absent where we take the address. */
  readonly says?: RegExp;
  /** The rows it explains, dialled by a node whose stacks all have a transform. */
  readonly rows?: readonly string[];
  /** The rows it explains, dialled by a node of bare transports. */
  readonly bare?: readonly string[];
}

export const DIFFERENCES: readonly Difference[] = [
  {
    what: "no transform, and the stacks have one",
    example: "net:example.com:8008",
    theirs: "dials, then waits for the other side to begin, as that side does",
    ours: "refused; only a stack of the transport alone speaks it",
    says: /no stack speaks/,
    rows: [
      "net:example.com:8008",
      "net:localhost:8008",
      "net:fe80::1065:74a4:4016:6266%wlan0:8008",
      "net:::ffff:127.0.0.1:55555",
      "net:::8008",
      "net:fe80!:!:1:8008",
      "net:example.com:0",
      "net:example.com:65536",
      "net:example.com:0x10",
      "net:example.com: 80",
      "net:example.com:80.5",
      "net:example.com:Infinity",
      "ws://example.com",
      "wss://example.com:443",
      "wss:example.com",
      "ws://::1:8989",
      "ws://user:pw@example.com:80",
      "onion:3234j5sv346bpih2.onion:2349",
      "unix:/tmp/x/socket",
      "net:a!~b:1",
      "net:a!!b:1",
      "net:a!b:1",
      "net:h!:1:2",
      "net:h ost:1",
      "net:hö:1",
      "net:h|x:1",
      "net:h}x:1",
      'net:"q":1',
      "net:h/x:1",
      "net:h@x:1",
    ],
  },
  {
    what: "no key, or one that cannot be read",
    example: "net:h:1~shs:",
    theirs: "dials in plain text when it has `net~noauth` too",
    ours: "refused",
    says: /shs dials a key|needs a base64 key/,
    rows: ["net:h:1~shs:", "net::3333~shs:"],
  },
  {
    what: "an invite whose seed cannot be read",
    example: `net:h:1~shs:${KEY}:AAAA`,
    theirs: "dials in plain text when it has `net~noauth` too",
    ours: "refused",
    says: /the seed in shs:KEY:SEED must be 32 bytes/,
    rows: [`net:h:1~shs:${KEY}:AAAA`, `net:h:1~shs:${KEY}:`],
  },
  {
    what: "a transform that the node does not have",
    example: "net:h:1~shs2:abcd",
    theirs: "dials in plain text when it has `net~noauth` too",
    ours: "refused",
    says: /no stack speaks/,
    rows: ["net:h:1~shs2:abcd"],
  },
  {
    what: "a name in capitals",
    example: `net:h:1~SHS:${KEY}`,
    theirs: "a transform is dialled in plain text, `WS` is taken, others are unknown",
    ours: "refused",
    says: /is not a section name/,
    rows: [`net:h:1~SHS:${KEY}`, "WS://EXAMPLE.com"],
    bare: ["WS://EXAMPLE.com"],
  },
  {
    what: "an empty section",
    example: "net:h:1~",
    theirs: "dials in plain text when it has `net~noauth` too",
    ours: "refused",
    says: /a section is empty/,
    rows: ["net:h:1~"],
  },
  {
    what: "`shs` without an argument",
    example: "net:h:1~shs",
    theirs: "throws a `TypeError`",
    ours: "refused",
    says: /shs dials a key/,
    rows: ["net:h:1~shs"],
  },
  {
    what: "more sections than the stack has",
    example: `net:h:1~gzip~shs:${KEY}`,
    theirs: "throws a `TypeError`",
    ours: "refused",
    says: /no stack speaks/,
    rows: [`net:h:1~gzip~shs:${KEY}`],
  },
  {
    what: "a key behind `noauth`",
    example: `net:127.0.0.1:8008~noauth:${KEY}`,
    theirs: "takes it, and checks nothing",
    ours: "refused: a key that nobody checks must not look checked",
    says: /noauth takes no arguments/,
    rows: [`net:127.0.0.1:8008~noauth:${KEY}`],
  },
  {
    what: "`!;`",
    example: "unix:/tmp/a!;b/socket~noauth",
    theirs: "splits there all the same, and dials the first half",
    ours: "a `;` in the argument",
    rows: ["unix:/tmp/a!;b/socket~noauth", "net:a!;b:1~noauth"],
  },
  {
    what: "one alternative that is no address",
    example: `n:h:1;net:h:1~shs:${KEY}`,
    theirs: "skips it",
    ours: "the whole is refused; an alternative of an unknown protocol is skipped",
    says: /is not a section name/,
  },
  {
    what: "control characters",
    example: "net:h\n:1",
    theirs: "takes them",
    ours: "refused",
    says: /control characters are not allowed/,
    rows: ["net:h\n:1"],
    bare: ["net:h\n:1"],
  },
  {
    what: "a port that is no decimal number from 1 to 65535",
    example: "net:example.com:0x10",
    theirs: "takes what `Number()` takes; 0 and 65536 fail, or throw, when they are dialled",
    ours: "refused",
    says: /port from 0 to 65535|port 0 is for listening/,
    bare: [
      "net:example.com:0",
      "net:example.com:65536",
      "net:example.com:0x10",
      "net:example.com: 80",
      "net:example.com:80.5",
      "net:example.com:Infinity",
    ],
  },
  {
    what: "a host with colons that is no IPv6 address",
    example: "net:::8008",
    theirs: "looks up a host of that name",
    ours: "refused",
    says: /is no host/,
    bare: ["net:::8008", "net:h!:1:2"],
  },
  {
    what: "`ws` without `//`",
    example: "wss:example.com",
    theirs: "dials `localhost`",
    ours: "refused",
    says: /there is no \/\/ in front of the host/,
    bare: ["wss:example.com"],
  },
  {
    what: "IPv6 without brackets in `ws`",
    example: "ws://::1:8989",
    theirs: "dials `localhost`, path `/::1`",
    ours: "refused",
    says: /IPv6 stands in brackets/,
    bare: ["ws://::1:8989"],
  },
  {
    what: "a user and a password in `ws`",
    example: "ws://user:pw@example.com:80",
    theirs: "sends them",
    ours: "refused: what is printed and passed on holds no password",
    says: /do not belong into an address/,
    bare: ["ws://user:pw@example.com:80"],
  },
];

/** The same for what is printed: by what the data calls a row. */
export interface PrintedDifference {
  readonly what: string;
  readonly theirs: string;
  readonly ours: string;
  readonly rows: readonly string[];
}

export const PRINTED: readonly PrintedDifference[] = [
  {
    what: "a scope that is none",
    theirs: "prints nothing",
    ours: "a `TypeError`",
    rows: [
      "net {port:1, host:'h', scope:['device','local','public'], external:['a.x','b.x']} .stringify(bogus)",
      "net {port:1} .stringify(bogus)",
      "ws {port:9, host:'h', scope:'device'} .stringify(bogus)",
      "unix {path:'/tmp/a~b!c'} .stringify(bogus)",
    ],
  },
  {
    what: "a scope that a list of scopes does not have",
    theirs: "`ws` prints an address all the same",
    ours: "nothing",
    rows: ["ws {port:80, host:'h', scope:['device','public'], external:'e.x'} .stringify(local)"],
  },
  {
    what: "no scope asked for",
    theirs: "`unix` alone prints nothing, the others mean `device`",
    ours: "`device`",
    rows: ["unix {path:'/tmp/a~b!c'} .stringify(undefined)"],
  },
  {
    what: "`;` in a host or a path",
    theirs: "two broken addresses",
    ours: "`!;`",
    rows: ["net~shs with ';' in the host (splits into two broken addresses)"],
  },
  {
    what: "`parse` of several alternatives",
    theirs: "the first by the first suite, the second by the second; throws when there are more",
    ours: "each by the stack that speaks it, or why none does",
    rows: ["ms.parse by position", "ms.parse with more addresses than suites"],
  },
];

/** The section of docs/addresses.md. */
export function differencesSection(): string {
  const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
    const all = [head, ...rows];
    const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
    const line = (cells: readonly string[]): string =>
      `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
    const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
    return [line(head), rule, ...rows.map(line)].join("\n");
  };
  return [
    "## Differences from multiserver",
    "",
    "What multiserver 3.8.2 dials, Testudo dials in the same way, and what it prints, Testudo prints, but for this. An",
    "address that would be dialled in a weaker form than it is written, or to another place, is refused.",
    "",
    table(
      ["address", "example", "multiserver", "Testudo"],
      DIFFERENCES.map(({ what, example, theirs, ours }) => [
        what,
        `\`${example.replace("\n", "\\n").replace(KEY, "KEY")}\``,
        theirs,
        ours,
      ]),
    ),
    "",
    table(
      ["printed", "multiserver", "Testudo"],
      PRINTED.map(({ what, theirs, ours }) => [what, theirs, ours]),
    ),
    "",
  ].join("\n");
}
