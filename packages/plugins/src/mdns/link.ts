/**
 * Link: what the plugin needs of multicast DNS. On Node it is `multicast.ts`; a test, or another platform, brings its own.
 */

export interface Multicast {
  /** Asks everybody on the link for the answers under a name. */
  ask(name: string): void;
  /** Tells everybody on the link this node's answers under a name. */
  tell(name: string, texts: readonly string[]): void;
  /** Resolves when no socket and no timer is left. */
  close(): Promise<void>;
}

/** Called by the link; none of them throws. Names come in lower case. */
export interface MulticastEvents {
  asked(name: string): void;
  /** `from` is the host that the packet came from. */
  told(name: string, texts: readonly Uint8Array[], from: string): void;
  /** Something did not work, or could not be read; the link goes on. */
  warned(error: Error): void;
}

export interface MulticastOptions {
  readonly interface: string | undefined;
  readonly port: number;
  /** Asked before a packet is decoded; false drops it. */
  readonly admit: () => boolean;
}

export type OpenMulticast = (
  events: MulticastEvents,
  options: MulticastOptions,
) => Promise<Multicast>;
