/**
 * Answers: what a node says of itself to its neighbours on the link, and what it takes from what they say. A
 * machine: texts in, texts out.
 *
 * Nothing here is signed. A neighbour can lie about another's addresses; who dials one of them finds out,
 * because each names the key that must answer.
 */

import {
  equal,
  fromUtf8,
  NetworkError,
  PeerId,
  parseAddress,
  type Route,
  sectionKey,
  toHex,
  toUtf8,
} from "@testudo/core";
import { provider } from "@testudo/core/crypto";
import { scopeOfAddress, scopeOfHost } from "../record/host.ts";

/** Addresses in one answer, and the bytes of all of them: what fits into a packet that no router cuts. */
export const MAX_TEXTS = 8;
export const MAX_ANSWER_BYTES = 1_200;
/** The longest text that DNS can hold. */
const MAX_TEXT_BYTES = 255;

/** A node that was heard of, and one way to it. */
export interface Neighbour {
  readonly id: PeerId;
  readonly address: string;
}

/** Where the nodes of one network meet. The network id cannot be told from it. */
export function serviceName(networkId: Uint8Array): string {
  const context = toUtf8("testudo/mdns/1");
  const joined = new Uint8Array(context.length + networkId.length);
  joined.set(context);
  joined.set(networkId, context.length);
  const place = toHex(provider.hash("SHA256", joined).subarray(0, 10));
  return `${place}._testudo._udp.local`;
}

/** Of a node's addresses those that its neighbours can dial; `device`: they are all on this machine. */
export function answersOf(
  addresses: readonly string[],
  own: PeerId,
  { device }: { readonly device: boolean },
): string[] {
  const answers: string[] = [];
  let bytes = 0;
  for (const { text } of addresses.flatMap((address) => parseAddress(address).routes)) {
    const scope = scopeOfAddress(text);
    const length = toUtf8(text).length;
    const near = scope === "private" || (device && scope === "device");
    const fits = length <= MAX_TEXT_BYTES && bytes + length <= MAX_ANSWER_BYTES;
    if (!near || !fits || answers.length === MAX_TEXTS) continue;
    if (keyOf(text)?.equals(own) !== true) continue;
    answers.push(text);
    bytes += length;
  }
  return answers;
}

/** What is worth a dial in what came from the host `from`: ways to others, on this link, that name their key. */
export function neighboursIn(texts: readonly Uint8Array[], from: string, own: PeerId): Neighbour[] {
  const scope = scopeOfHost(from);
  // A packet of this link cannot come from elsewhere (RFC 6762, 11).
  if (scope === "public") return [];
  return texts.slice(0, MAX_TEXTS).flatMap((bytes) => {
    const address = bytes.length > MAX_TEXT_BYTES ? undefined : fromUtf8(bytes);
    if (address === undefined || address.includes(";")) return [];
    const id = keyOf(address);
    if (id === undefined || id.equals(own)) return [];
    const leadsTo = scopeOfAddress(address);
    const near = leadsTo === "private" || (leadsTo === "device" && scope === "device");
    return near ? [{ id, address }] : [];
  });
}

/** The one key that an address of one route names. */
function keyOf(address: string): PeerId | undefined {
  try {
    const [route, ...more] = parseAddress(address).routes;
    if (route === undefined || more.length > 0) return undefined;
    const [key, ...others] = keysIn(route);
    if (key === undefined || others.some((other) => !equal(other, key))) return undefined;
    return PeerId.from(key);
  } catch (error) {
    if (error instanceof NetworkError) return undefined;
    throw error;
  }
}

function keysIn(route: Route): Uint8Array[] {
  return route.sections.slice(1).flatMap((section) => sectionKey(section) ?? []);
}
