/**
 * Discovery: the plugins `kademlia` and `gossip` as one, loaded when its network starts.
 *
 * A network that is made without them loads nothing of them. Their hooks are handed on one by one, gossip's
 * before kademlia's: what gossip delivers to the others is not shown to this plugin again.
 */

import type { Plugin } from "@testudo/core";
import type { GossipOptions } from "@testudo/plugins/gossip";
import type { KademliaOptions } from "@testudo/plugins/kademlia";

export interface DiscoveryOptions extends KademliaOptions {
  /** Of the plugin gossip; `false`: messages with `reach: "network"` go no further than our own peers. Default: on. */
  readonly gossip?: GossipOptions | false;
}

export function discovery(options: DiscoveryOptions): Plugin {
  const { gossip: spread = {}, ...found } = options;
  let parts: readonly Plugin[] = [];
  return {
    name: "discovery",
    async startup(context) {
      const { kademlia } = await import("@testudo/plugins/kademlia");
      const overlay = kademlia(found);
      const gossip =
        spread === false
          ? undefined
          : (await import("@testudo/plugins/gossip")).gossip({ overlay, ...spread });
      await overlay.startup(context);
      gossip?.startup(context);
      parts = gossip === undefined ? [overlay] : [gossip, overlay];
    },
    newMessage: (context) => all(parts.map((part) => part.newMessage?.(context))),
    nodeAdded: (context) => all(parts.map((part) => part.nodeAdded?.(context))),
    nodeDeleted: (context) => all(parts.map((part) => part.nodeDeleted?.(context))),
    close: (context) => all(parts.map((part) => part.close?.(context))),
    async findPeer(id, asked) {
      for (const part of parts) {
        const address = await part.findPeer?.(id, asked);
        if (address !== undefined) return address;
      }
      return undefined;
    },
    disseminate(message) {
      for (const part of parts) {
        const delivery = part.disseminate?.(message);
        if (delivery !== undefined) return delivery;
      }
      return undefined;
    },
  };
}

/** Nothing to wait for where no hook has anything. */
function all(results: readonly (void | Promise<void>)[]): void | Promise<void> {
  const waiting = results.filter((result) => result !== undefined);
  return waiting.length === 0 ? undefined : Promise.all(waiting).then(() => {});
}
