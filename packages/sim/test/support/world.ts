/**
 * A world for tests, and nodes that write down what happens to them.
 */

import { defineMessage, type NetworkError, type Plugin, text } from "@testudo/core";
import { onTestFinished } from "vitest";
import type { NodeOptions, SimNode } from "../../src/node.ts";
import { World, type WorldOptions } from "../../src/world.ts";

export const Say = defineMessage({ name: "say", opcode: 1000, codec: text });

export function newWorld(options: Partial<WorldOptions> = {}): World {
  const world = new World({ seed: 1, ...options });
  onTestFinished(() => world.close());
  return world;
}

/** What a node saw: `+name` and `-name` of peers, and texts. */
export class Diary {
  readonly lines: string[] = [];
  readonly reasons: string[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  get plugin(): Plugin {
    return {
      nodeAdded: ({ peer }) => void this.lines.push(`+${this.#nameOf(peer.id.text)}`),
      nodeDeleted: ({ peer, reason }) => {
        this.lines.push(`-${this.#nameOf(peer.id.text)}`);
        this.reasons.push((reason as NetworkError).code);
      },
      newMessage: ({ message }) => {
        const said = message.as(Say);
        if (said !== undefined) this.lines.push(said);
      },
    };
  }

  #nameOf(id: string): string {
    return this.#world.nameOf(id) ?? id;
  }
}

/** A node with a diary. */
export function add(
  world: World,
  name: string,
  options: NodeOptions = {},
): SimNode & { diary: Diary } {
  const diary = new Diary(world);
  const node = world.add({ name, ...options, plugins: [diary.plugin, ...(options.plugins ?? [])] });
  return Object.assign(node, { diary });
}
