/** Every plugin under the one suite, and one ported from Go as it would be written there. */

import type { GoPlugin, MessageContext, NetworkContext, PeerContext } from "@testudo/core";
import { gossip } from "@testudo/plugins/gossip";
import { kademlia } from "@testudo/plugins/kademlia";
import { keepalive } from "@testudo/plugins/keepalive";
import { latency } from "@testudo/plugins/latency";
import { pluginConformance } from "./plugin.ts";

class RollCall implements GoPlugin {
  readonly present = new Set<string>();
  messages = 0;

  Startup(_context: NetworkContext): void {
    this.present.clear();
  }
  NewMessage(_context: MessageContext): void {
    this.messages++;
  }
  NodeAdded({ peer }: PeerContext): void {
    this.present.add(peer.id.text);
  }
  NodeDeleted({ peer }: PeerContext): void {
    this.present.delete(peer.id.text);
  }
  Close(_context: NetworkContext): void {
    this.present.clear();
  }
}

pluginConformance("keepalive", () => keepalive());
pluginConformance("keepalive without redial", () => keepalive({ redial: false }));
pluginConformance("kademlia", () => kademlia());
pluginConformance("latency", () => latency());
pluginConformance("gossip", () => gossip());
pluginConformance("gossip by flood", () => gossip({ mode: "flood" }));
pluginConformance("gossip by delegation", () => gossip({ mode: "delegation" }));
pluginConformance("a plugin with Go's spelling", () => new RollCall());
