/**
 * A plugin: a notice board. What one node posts, its peers read, and whoever comes later is told.
 *
 *     npx tsx --conditions=@testudo/source examples/05-write-a-plugin.ts
 */

import { deferred, defineMessage, Network, type Plugin, text } from "@testudo/core";
import { memory } from "@testudo/transports/memory";
import { noise } from "@testudo/transports/noise";

const Note = defineMessage({ name: "note", opcode: 1007, codec: text });

/** `read` is called with each note that arrives. */
function board(read: (note: string) => void): Plugin & { post(note: string): void } {
  const notes = new Set<string>();
  let network: Network | undefined;
  return {
    name: "board",
    startup(context) {
      network = context.network;
    },
    async nodeAdded({ peer }) {
      for (const note of notes) await peer.send(Note.of(note));
    },
    newMessage({ message }) {
      const note = message.as(Note);
      // Every memory has a bound: peers decide how much they send.
      if (note === undefined || notes.has(note) || notes.size === 100) return;
      notes.add(note);
      read(note);
    },
    post(note) {
      notes.add(note);
      network?.broadcast(Note.of(note));
    },
  };
}

const alice = new Network({ stacks: [[memory(), noise()]] });
const bob = new Network({ stacks: [[memory(), noise()]] });
const hers = await alice.registerPlugin(board((note) => console.log("alice reads:", note)));
hers.post("tea at four");

const first = deferred<string>();
const his = await bob.registerPlugin(board(first.resolve));
await bob.add(await alice.listen("memory:alice~noise"));
console.log("bob reads:", await first.promise);

his.post("I shall come");
await bob.close();
await alice.close();
