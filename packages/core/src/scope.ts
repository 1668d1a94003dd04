/**
 * Scope: from how far away somebody means to reach a node, so that it can say under which address.
 *
 * A scope picks what a listener advertises (multiserver's scopes); it never filters who may connect. `local`
 * and `private` mean the same addresses, but are two labels: who offers one does not offer the other.
 */

/** `device`: this machine. `local`, `private`: the same private network. `public`: anywhere. */
export type Scope = "device" | "local" | "private" | "public";

/** From near to far. */
export const SCOPES: readonly Scope[] = ["device", "local", "private", "public"];

/** One scope or several, checked, each once. Throws `TypeError` naming `what`. */
export function readScopes(given: Scope | readonly Scope[], what: string): readonly Scope[] {
  const asked: readonly unknown[] = Array.isArray(given) ? given : [given];
  for (const scope of asked) {
    if (!SCOPES.some((known) => known === scope)) {
      const shown = typeof scope === "string" ? JSON.stringify(scope) : typeof scope;
      throw new TypeError(`${what} must be of ${SCOPES.join(", ")}, not ${shown}`);
    }
  }
  if (asked.length === 0) throw new TypeError(`${what} must name at least one scope`);
  return SCOPES.filter((scope) => asked.includes(scope));
}
