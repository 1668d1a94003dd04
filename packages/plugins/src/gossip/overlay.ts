/**
 * Overlay: what gossip asks of the plugin that finds nodes. `kademlia()` fits.
 */

import type { PeerId } from "@testudo/core";

/** What finds nodes where no peer knows any: `kademlia()` fits. `network.add` must find them by their ids. */
export interface GossipOverlay {
  /** Nodes near a place. */
  lookup(
    target: Uint8Array,
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly { readonly id: PeerId }[]>;
  /**
   * Some that are known and answered, each subnet equally likely: whom to pick among strangers. Without it a node
   * picks among those that its neighbours name.
   */
  sample?(n: number): readonly { readonly id: PeerId }[];
}
