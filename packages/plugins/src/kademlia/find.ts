/**
 * Find: an address of one node, by a lookup that ends with the node's own answer.
 *
 * Whoever is named is asked himself at once, so that an old record that somebody plays back does not end the
 * search. Where nodes did not answer, and nobody knew the one looked for, it is looked for once more, all around
 * its place: when many nodes fail at once, their neighbours' tables need a moment.
 */

import { deferred, type PeerId } from "@testudo/core";
import type { NodeContact } from "./contacts.ts";
import { nodeIdOf } from "./node-id.ts";
import type { Overlay } from "./overlay.ts";

interface Found {
  readonly contact: NodeContact | undefined;
  /** Somebody who was asked did not answer. */
  readonly missed: boolean;
}

/**
 * Somewhere that leads to this node; without its answer, the newest record that was heard of. `undefined`: nobody
 * knows it. Rejects with the signal's reason, or when the overlay closes.
 */
export async function find(
  overlay: Overlay,
  id: PeerId,
  signal?: AbortSignal,
): Promise<NodeContact | undefined> {
  const first = await search(overlay, id, false, signal);
  if (first.contact !== undefined || !first.missed) return first.contact;
  await overlay.pause(overlay.options.queryTimeoutMs, signal);
  return (await search(overlay, id, true, signal)).contact;
}

async function search(
  overlay: Overlay,
  id: PeerId,
  confirm: boolean,
  signal: AbortSignal | undefined,
): Promise<Found> {
  const target = nodeIdOf(id.bytes);
  const reached = deferred<NodeContact>();
  const met = new Error("it was met");
  const end = new AbortController();
  const asking: AbortController[] = [];
  let newest: NodeContact | undefined;
  let missed = false;
  const hear = (contact: NodeContact | undefined): void => {
    if (contact?.id !== id.text || contact.record.seq <= (newest?.record.seq ?? -1)) return;
    newest = contact;
    overlay
      .ask(contact, target, undefined, (ask) => asking.push(ask))
      .then(
        () => {
          reached.resolve(contact);
          end.abort(met);
        },
        // The search goes on; the failure is counted already.
        () => {},
      );
  };
  const giveUp = (): void => end.abort(signal?.reason);
  if (signal?.aborted === true) throw signal.reason;
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    await overlay.lookup(target, {
      confirm,
      signal: end.signal,
      heard: (_, from, contacts) => {
        hear(from);
        for (const contact of contacts) hear(contact);
      },
      missed: () => {
        missed = true;
      },
    });
  } catch (error) {
    if (error !== met) throw error;
    return { contact: await reached.promise, missed };
  } finally {
    signal?.removeEventListener("abort", giveUp);
    for (const ask of asking) ask.abort(met);
  }
  return { contact: newest ?? overlay.table.get(id.text), missed };
}
