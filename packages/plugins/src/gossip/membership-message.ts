/**
 * Membership messages: what two nodes say about who is whose neighbour, after HyParView (Leitao, Pereira,
 * Rodrigues, DSN 2007). Nodes are named by the text of their PeerId.
 *
 * Two things differ from the paper. JOIN is answered, so that both sides know where they stand; and the
 * answer to a SHUFFLE goes back the way the walk came, so that nobody can make others dial a victim and
 * nodes behind a NAT get their answer.
 */

export type MembershipMessage =
  /** I am new, or alone: take me in. Answered by `neighbor-reply`. */
  | { readonly kind: "join" }
  /** On a random walk: somebody joined. */
  | { readonly kind: "forward-join"; readonly peer: string; readonly ttl: number }
  /** Be my neighbour. `high`: I have none, so you should not refuse. */
  | { readonly kind: "neighbor"; readonly priority: "high" | "low" }
  | { readonly kind: "neighbor-reply"; readonly accepted: boolean }
  /** No longer neighbours. `leaving`: nor worth remembering. */
  | { readonly kind: "disconnect"; readonly leaving: boolean }
  /** On a random walk: some whom `origin` knows. */
  | {
      readonly kind: "shuffle";
      readonly origin: string;
      readonly ttl: number;
      readonly peers: readonly string[];
    }
  /** Back along the walk, to `origin`. */
  | { readonly kind: "shuffle-reply"; readonly origin: string; readonly peers: readonly string[] };

/** Names in one message; what is beyond is not read. */
export const MAX_SHUFFLED: number = 32;

/** Characters of a node's name. */
export const MAX_NAME: number = 128;

export function isName(name: unknown): name is string {
  return typeof name === "string" && name !== "" && name.length <= MAX_NAME;
}

/** What can be names at all, and no more than may be. */
export function namesOf(claimed: readonly string[]): readonly string[] {
  return Array.isArray(claimed) ? claimed.slice(0, MAX_SHUFFLED).filter(isName) : [];
}
