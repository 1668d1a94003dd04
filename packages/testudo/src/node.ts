/**
 * Node: what every command that runs a network does with it.
 *
 * It speaks what the addresses of the command name, and nothing else.
 */

import {
  APPLICATION_START,
  isCoreOpcode,
  type Limits,
  MAX_OPCODE,
  Network,
  NetworkError,
  type Peer,
} from "@testudo/core";
import type { Arguments, OptionTable } from "./arguments.ts";
import { UsageError } from "./failure.ts";
import { noneOf, type Usable } from "./protocols.ts";
import type { NodeSettings } from "./settings.ts";

export const OPCODE_OPTION: OptionTable = {
  opcode: { value: "N", help: `of the messages sent (default ${APPLICATION_START})` },
};

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

/** A network with the stacks that were asked for so far. */
export async function createNode(
  settings: NodeSettings,
  limits: Partial<Limits> = {},
): Promise<Network> {
  const { protocols, choice, ...rest } = settings;
  return new Network({ ...rest, ...choice, stacks: await protocols.stacks(), limits });
}

/** The peer at the first alternative that works. */
export async function reach(network: Network, usable: Usable, signal: AbortSignal): Promise<Peer> {
  try {
    return await network.add(usable.text, { signal });
  } catch (error) {
    throw signal.aborted ? signal.reason : withProblems(error, usable);
  }
}

/** What a dial failed with, with the alternatives that were not even tried. */
export function withProblems(error: unknown, { problems }: Usable): unknown {
  const dialled = error instanceof NetworkError && error.attempts !== undefined;
  return dialled && problems.length > 0 ? noneOf(problems, error) : error;
}
