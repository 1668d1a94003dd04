/** One of ours and one of the original's, connected. */

import type { MultiStream } from "@testudo/core";
import type { PullStream } from "multiserver";
import { type Kind, nameOf, type Role } from "./kinds.ts";
import { dialWithOriginal, OriginalListener, type OriginalOptions } from "./original/multi.ts";
import { awaited, dialWithOurs, OurListener, type OurOptions, pairOf } from "./ours.ts";

export const APP_KEY: Buffer = Buffer.alloc(32, 7);
export const OURS: ReturnType<typeof pairOf> = pairOf();
export const THEIRS: ReturnType<typeof pairOf> = pairOf();

export interface Meeting {
  readonly ours: MultiStream;
  /** As the original gave it: nobody reads it yet. */
  readonly theirs: PullStream;
  close(): Promise<void>;
}

/** Ours in that role, the original in the other. */
export async function meet(
  kind: Kind,
  role: Role,
  our: Partial<OurOptions> = {},
  their: Partial<OriginalOptions> = {},
): Promise<Meeting> {
  const ourOptions: OurOptions = { identity: OURS.identity, appKey: APP_KEY, ...our };
  const theirOptions: OriginalOptions = { keys: THEIRS.keys, appKey: APP_KEY, ...their };
  if (role === "dialer") {
    const arrived = awaited<PullStream>(`a stream at the original, ${nameOf(kind)}`);
    const listener = await OriginalListener.open(kind, theirOptions, arrived.take);
    const ours = await dialWithOurs(listener.address, [kind], ourOptions);
    const close = async (): Promise<void> => {
      ours.abort(new Error("the test is over"));
      await listener.close();
    };
    return { ours, theirs: await arrived.value(), close };
  }
  const arrived = awaited<MultiStream>(`a stream at ours, ${nameOf(kind)}`);
  const listener = await OurListener.open([kind], ourOptions, arrived.take);
  const theirs = await dialWithOriginal(listener.address, [kind], theirOptions);
  return { ours: await arrived.value(), theirs, close: () => listener.close() };
}
