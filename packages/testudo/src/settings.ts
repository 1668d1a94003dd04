/**
 * Settings: the options that commands share, read into what a node and its protocols are made with.
 *
 * A value that makes no sense is a usage error that names its option.
 */

import { isIP } from "node:net";
import {
  type Choice,
  fromBase64,
  Identity,
  type Logger,
  SCOPES,
  type Scope,
  silent,
} from "@testudo/core";
import type { Arguments, OptionTable } from "./arguments.ts";
import type { CommandContext } from "./command.ts";
import { UsageError } from "./failure.ts";
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
    help: "the host that others dial in scope public, in place of the one it is bound to",
  },
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
  const protocols = new Protocols(protocolOptions(args));
  const file = args.text("key");
  const identity =
    file === undefined
      ? Identity.generate()
      : await (await import("./key-file.ts")).readKeyFile(file, (warning) => out.note(warning));
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
  const read = (option: "prefer" | "allow"): readonly string[] | undefined => {
    const names = args.list(option);
    const odd = names.find((name) => !isProtocol(name));
    if (odd === undefined) return names.length === 0 ? undefined : names;
    throw new UsageError(
      `--${option} takes stacks or protocols, such as net~noise or noise, not ${JSON.stringify(odd)}`,
    );
  };
  return { prefer: read("prefer"), allow: read("allow") };
}

function protocolOptions(args: Arguments): ProtocolOptions {
  const appKeyText = args.text("app-key");
  const appKey = appKeyText === undefined ? undefined : fromBase64(appKeyText);
  if (appKeyText !== undefined && appKey?.length !== 32) {
    throw new UsageError("--app-key must be 32 bytes in base64");
  }
  const scope = scopesOf(args.list("scope"));
  const external = args.list("external");
  const odd = external.find((host) => !isHost(host));
  if (odd !== undefined) {
    throw new UsageError(`--external takes hosts without a port, not ${JSON.stringify(odd)}`);
  }
  return {
    ...(appKey === undefined ? {} : { appKey }),
    ...(scope.length === 0 ? {} : { scope }),
    ...(external.length === 0 ? {} : { external }),
  };
}

function scopesOf(names: readonly string[]): readonly Scope[] {
  const odd = names.find((name) => !SCOPES.some((scope) => scope === name));
  if (odd !== undefined) {
    throw new UsageError(`--scope is of ${SCOPES.join(", ")}, not ${JSON.stringify(odd)}`);
  }
  return SCOPES.filter((scope) => names.includes(scope));
}

/** A name or an IP address; IPv6 may stand in brackets. */
function isHost(text: string): boolean {
  const bare = text.replace(/^\[(.*)\]$/, "$1");
  if (bare.includes(":")) return isIP(bare) === 6 && bare !== "::";
  return /^[^\s[\]\p{Cc}]+$/u.test(bare) && bare !== "0.0.0.0";
}
