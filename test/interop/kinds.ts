/** The protocols that both sides speak, and in which roles. A further one is one line here. */

export type TransportName = "net" | "ws" | "unix";
export type TransformName = "shs" | "noauth";

/** Which of the two ours is. */
export type Role = "dialer" | "listener";

export interface Kind {
  readonly transport: TransportName;
  readonly transform: TransformName;
}

const ALL: readonly Kind[] = [
  { transport: "net", transform: "shs" },
  { transport: "ws", transform: "shs" },
  { transport: "unix", transform: "shs" },
  { transport: "net", transform: "noauth" },
  { transport: "ws", transform: "noauth" },
  { transport: "unix", transform: "noauth" },
];

/** Where Windows has sockets in its file system, the two sides name them differently. */
export const KINDS: readonly Kind[] = ALL.filter(
  ({ transport }) => transport !== "unix" || process.platform !== "win32",
);

export const SHS_KINDS: readonly Kind[] = KINDS.filter(({ transform }) => transform === "shs");

/** Kinds in both of our roles, with names for the tests. */
export function cases(
  kinds: readonly Kind[],
): { readonly kind: Kind; readonly role: Role; readonly name: string }[] {
  const roles: readonly Role[] = ["dialer", "listener"];
  return kinds.flatMap((kind) => roles.map((role) => ({ kind, role, name: nameOf(kind) })));
}

export const nameOf = ({ transport, transform }: Kind): string => `${transport}~${transform}`;
