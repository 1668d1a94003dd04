/**
 * Settings: the options that commands share, read into what a node and its protocols are made with.
 *
 * A value that makes no sense is a usage error that names its option.
 */

import { isIP } from "node:net";
import {
  asError,
  type Choice,
  fromBase64,
  hostAndPort,
  Identity,
  type Logger,
  SCOPES,
  type Scope,
  section,
  silent,
} from "@testudo/core";
import type { Arguments, OptionTable } from "./arguments.ts";
import type { CommandContext } from "./command.ts";
import { CommandError, fileTrouble, UsageError } from "./failure.ts";
import { KCP_OPTIONS, readKcp } from "./kcp-settings.ts";
import { isProtocol, type ProtocolOptions, Protocols } from "./protocols.ts";

/** Of every command that runs a node. */
export const NODE_OPTIONS: OptionTable = {
  key: { value: "F", help: "identity file of testudo key new (default: a fresh identity)" },
  "network-id": {
    value: "S",
    help: "nodes of other networks are not talked to (default testudo)",
  },
  "allow-public-noauth": {
    help: "let others than this machine in without a proof, when listening",
  },
  "app-key": {
    value: "B64",
    help: "of shs only: 32 bytes in base64 (default: the network id)",
  },
  ...KCP_OPTIONS,
};

/** Of commands that dial. */
export const DIAL_OPTIONS: OptionTable = {
  prefer: {
    value: "P",
    multiple: true,
    help: "try alternatives with this stack or protocol first: net~noise, or noise",
  },
  allow: {
    value: "P",
    multiple: true,
    help: "dial no alternatives but those with this stack or protocol",
  },
  proxy: {
    value: "P",
    multiple: true,
    help: "of onion: Tor's SOCKS port, HOST:PORT or unix:PATH (default 127.0.0.1:9050, then :9150)",
  },
  "tls-ca": { value: "FILE", help: "of wss: trust this certificate (PEM), and no others" },
};

/** Of commands that listen. */
export const LISTEN_OPTIONS: OptionTable = {
  scope: {
    value: "S",
    multiple: true,
    help: "who is told an address: device, local, private, public (default: who can reach the host)",
  },
  external: {
    value: "HOST",
    multiple: true,
    help: "what others dial in scope public in place of the bound host; for ws also a whole URL",
  },
  "tls-cert": { value: "FILE", help: "of wss: the certificate (PEM) to listen with" },
  "tls-key": { value: "FILE", help: "of wss: its key (PEM)" },
};

const LEVELS = ["trace", "debug", "info", "warn", "error", "silent"];
const DEFAULT_NETWORK = "testudo";

/** The node that the options describe. */
export interface NodeSettings {
  readonly identity: Identity;
  readonly networkId: string;
  readonly logger: Logger;
  readonly allowPublicNoauth: boolean;
  readonly choice: Choice;
  readonly protocols: Protocols;
}

/** Throws `UsageError` for options that make no sense, `CommandError` for a file that cannot be used. */
export async function readSettings({ args, io, out }: CommandContext): Promise<NodeSettings> {
  const level = args.text("log-level") ?? "silent";
  if (!LEVELS.includes(level)) throw new UsageError(`--log-level is one of ${LEVELS.join(", ")}`);
  const choice = choiceOf(args);
  const warn = (warning: string): void => out.note(warning);
  const protocols = new Protocols({
    ...protocolOptions(args),
    ...(await readTls(args)),
    ...(await readKcp(args, warn)),
  });
  const file = args.text("key");
  const identity =
    file === undefined
      ? Identity.generate()
      : await (await import("./key-file.ts")).readKeyFile(file, warn);
  return {
    identity,
    networkId: args.text("network-id") ?? DEFAULT_NETWORK,
    logger: level === "silent" ? silent : (await import("./log.ts")).createLogger(level, io.stderr),
    allowPublicNoauth: args.flag("allow-public-noauth"),
    choice,
    protocols,
  };
}

function choiceOf(args: Arguments): Choice {
  const names = (option: string): readonly string[] | undefined => {
    const given = checked(args, option, isProtocol, "a stack or a protocol, as net~noise or noise");
    return given.length === 0 ? undefined : given;
  };
  return { prefer: names("prefer"), allow: names("allow") };
}

function protocolOptions(args: Arguments): ProtocolOptions {
  const appKeyText = args.text("app-key");
  const appKey = appKeyText === undefined ? undefined : fromBase64(appKeyText);
  if (appKeyText !== undefined && appKey?.length !== 32) {
    throw new UsageError("--app-key must be 32 bytes in base64");
  }
  const scope = scopesOf(args.list("scope"));
  const external = checked(args, "external", isExternal, "a host without a port, or a ws URL");
  const proxy = checked(args, "proxy", isProxy, "HOST:PORT or unix:PATH");
  return {
    ...(appKey === undefined ? {} : { appKey }),
    ...(scope.length === 0 ? {} : { scope }),
    ...(external.length === 0 ? {} : { external }),
    ...(proxy.length === 0 ? {} : { proxy }),
  };
}

async function readTls(args: Arguments): Promise<ProtocolOptions> {
  const read = async (option: string): Promise<string | undefined> => {
    const file = args.text(option);
    if (file === undefined) return undefined;
    try {
      return await (await import("node:fs/promises")).readFile(file, "utf8");
    } catch (error) {
      const why = `--${option}: cannot read ${file}: ${fileTrouble(error)}`;
      throw new CommandError("FILE_UNREADABLE", why, { cause: error });
    }
  };
  const [cert, key, ca] = [await read("tls-cert"), await read("tls-key"), await read("tls-ca")];
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("--tls-cert and --tls-key belong together");
  }
  await checkTls("--tls-cert and --tls-key", { cert, key });
  await checkTls("--tls-ca", { ca });
  return {
    ...(cert === undefined || key === undefined ? {} : { certificate: { cert, key } }),
    ...(ca === undefined ? {} : { ca }),
  };
}

/** Throws `UsageError` for what is no PEM, and for a key of another certificate. */
async function checkTls(
  options: string,
  given: { readonly [name in "cert" | "key" | "ca"]?: string | undefined },
): Promise<void> {
  if (Object.values(given).every((text) => text === undefined)) return;
  const [{ X509Certificate }, { createSecureContext }] = await Promise.all([
    import("node:crypto"),
    import("node:tls"),
  ]);
  try {
    for (const text of [given.cert, given.ca]) if (text !== undefined) new X509Certificate(text);
    createSecureContext(given);
  } catch (error) {
    const why = `no certificate in PEM, or not with its key: ${asError(error).message}`;
    throw new UsageError(`${options}: ${why}`, { cause: error });
  }
}

/** The items of an option, each of which must be what `what` says. */
function checked(
  args: Arguments,
  option: string,
  isRight: (item: string) => boolean,
  what: string,
): readonly string[] {
  const items = args.list(option);
  const odd = items.find((item) => !isRight(item));
  if (odd === undefined) return items;
  throw new UsageError(`--${option} takes ${what}, not ${JSON.stringify(odd)}`);
}

function scopesOf(names: readonly string[]): readonly Scope[] {
  const odd = names.find((name) => !SCOPES.some((scope) => scope === name));
  if (odd !== undefined) {
    throw new UsageError(`--scope takes ${SCOPES.join(", ")}, not ${JSON.stringify(odd)}`);
  }
  return SCOPES.filter((scope) => names.includes(scope));
}

/** A name or an IP address; IPv6 may stand in brackets. */
function isExternal(text: string): boolean {
  if (/^wss?:\/\//i.test(text)) return URL.canParse(text);
  const bare = text.replace(/^\[(.*)\]$/, "$1");
  if (bare.includes(":")) return isIP(bare) === 6 && bare !== "::";
  return /^[^\s[\]\p{Cc}]+$/u.test(bare) && bare !== "0.0.0.0";
}

function isProxy(text: string): boolean {
  if (text.startsWith("unix:")) return text.length > "unix:".length;
  try {
    return hostAndPort(section("net", ...text.split(":"))).port !== 0;
  } catch {
    return false;
  }
}
