/**
 * What every command that runs a node shares: its options, and the node they describe.
 *
 * Only the transports and transforms that its addresses name are loaded.
 */

import {
  APPLICATION_START,
  fromBase64,
  Identity,
  isCoreOpcode,
  type Limits,
  type Logger,
  MAX_OPCODE,
  Network,
  type Peer,
  type Route,
  silent,
} from "@testudo/core";
import type { Arguments, OptionTable } from "./arguments.ts";
import type { CommandContext } from "./command.ts";
import { UsageError } from "./failure.ts";
import { aboutRoutes, loadStacks, type ProtocolOptions } from "./protocols.ts";

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

export const OPCODE_OPTION: OptionTable = {
  opcode: { value: "N", help: `of the messages sent (default ${APPLICATION_START})` },
};

const LEVELS = ["trace", "debug", "info", "warn", "error", "silent"];
const DEFAULT_NETWORK = "testudo";

/** The node that the options describe, before any stack is loaded. */
export interface NodeSettings {
  readonly identity: Identity;
  readonly networkId: string;
  readonly protocol: ProtocolOptions;
  readonly logger: Logger;
  readonly allowPublicNoauth: boolean;
}

/** Throws `UsageError` for options that make no sense, `CommandError` for a key file that cannot be used. */
export async function readSettings({ args, io, out }: CommandContext): Promise<NodeSettings> {
  const level = args.text("log-level") ?? "silent";
  if (!LEVELS.includes(level)) throw new UsageError(`--log-level is one of ${LEVELS.join(", ")}`);
  const appKeyText = args.text("app-key");
  const appKey = appKeyText === undefined ? undefined : fromBase64(appKeyText);
  if (appKeyText !== undefined && appKey?.length !== 32) {
    throw new UsageError("--app-key must be 32 bytes in base64");
  }
  const file = args.text("key");
  const identity =
    file === undefined
      ? Identity.generate()
      : await (await import("./key-file.ts")).readKeyFile(file, (warning) => out.note(warning));
  return {
    identity,
    networkId: args.text("network-id") ?? DEFAULT_NETWORK,
    protocol: appKey === undefined ? {} : { appKey },
    allowPublicNoauth: args.flag("allow-public-noauth"),
    logger: level === "silent" ? silent : (await import("./log.ts")).createLogger(level, io.stderr),
  };
}

/** The opcode to send with. Throws `UsageError` for one that belongs to the protocol. */
export function opcodeOf(args: Arguments): number {
  const bounds = { least: 0, most: MAX_OPCODE, fallback: APPLICATION_START };
  const opcode = args.whole("opcode", bounds);
  if (isCoreOpcode(opcode)) {
    throw new UsageError(
      `--opcode ${opcode} belongs to the protocol; applications start at ${APPLICATION_START}`,
    );
  }
  return opcode;
}

/** A network that speaks what the routes name, and nothing else. */
export async function createNode(
  context: CommandContext,
  routes: readonly Route[],
  limits: Partial<Limits> = {},
): Promise<Network> {
  const { protocol, ...settings } = await readSettings(context);
  return new Network({ ...settings, stacks: await loadStacks(routes, protocol), limits });
}

/** The peer at the first route that works. */
export async function reach(
  network: Network,
  routes: readonly Route[],
  signal: AbortSignal,
): Promise<Peer> {
  try {
    return await network.add(addressOf(routes), { signal });
  } catch (error) {
    throw signal.aborted ? signal.reason : aboutRoutes(error, routes);
  }
}

/** Listens on all routes; gives the address others can dial. */
export async function listenOn(network: Network, routes: readonly Route[]): Promise<string> {
  try {
    return await network.listen(addressOf(routes));
  } catch (error) {
    throw aboutRoutes(error, routes);
  }
}

/** The text of the routes as one address. */
function addressOf(routes: readonly Route[]): string {
  return routes.map((route) => route.text).join(";");
}
