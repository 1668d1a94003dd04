/**
 * Plugin: a record of optional hooks, and the contexts they are given.
 *
 * Hooks are spelled in camelCase; plugins ported from Go with `Startup/NewMessage/NodeAdded/NodeDeleted/
 * Close` work as they are. One function here maps them, nothing else knows.
 */

import type { Delivery } from "./delivery.ts";
import type { NetworkError } from "./errors.ts";
import type { PeerId } from "./identity.ts";
import type { InboundMessage, Message } from "./message.ts";
import type { Network } from "./network.ts";
import type { Peer } from "./peer.ts";

export interface NetworkContext {
  readonly network: Network;
  /**
   * Hands a message that this plugin received for others to all plugins that do not disseminate, as from
   * `origin`. `via` is the peer that carried it; default: the peer of this context.
   */
  deliver(message: Message, origin: PeerId, via?: Peer): void;
}

export interface PeerContext extends NetworkContext {
  readonly peer: Peer;
  /** Why it left; only in `nodeDeleted`. */
  readonly reason?: NetworkError;
}

export interface MessageContext extends PeerContext {
  readonly message: InboundMessage;
  /** Answers this message; a `request` of the other side resolves with it. */
  reply(message: Message): Promise<void>;
}

/** Each hook is optional, at least one is needed. `this` is the plugin. */
export interface Plugin {
  /** For people; default: the class's name. */
  readonly name?: string;
  /** Before anything else. The network's `listen` and `add` wait for it, so it cannot await them. */
  startup?(context: NetworkContext): void | Promise<void>;
  /** Each message of each peer, in the order sent. Not awaited; see `limits.maxInFlight`. */
  newMessage?(context: MessageContext): void | Promise<void>;
  nodeAdded?(context: PeerContext): void | Promise<void>;
  nodeDeleted?(context: PeerContext): void | Promise<void>;
  /** Last; messages sent here still travel. */
  close?(context: NetworkContext): void | Promise<void>;
  /** Asked before a plain `broadcast(msg)` goes to the neighbours: to carry it further, return its delivery. */
  disseminate?(message: Message): Delivery | undefined;
  /**
   * Asked by `network.add(<peer id>)` for a node that is no peer: an address whose every route names that key, or
   * nothing when this plugin knows none. Has `limits.hookTimeoutMs`; `signal` says when nobody waits any more.
   */
  findPeer?(id: PeerId, options: FindOptions): Promise<string | undefined>;
}

export interface FindOptions {
  readonly signal: AbortSignal;
}

export type PluginStatus = "starting" | "active" | "suspended" | "closed";

/** A plugin's health, as `networkState()` shows it. */
export interface PluginState {
  readonly name: string;
  readonly status: PluginStatus;
  readonly faults: number;
  readonly inFlight: number;
  /** The last fault's hook and text, or `null`. */
  readonly lastFault: string | null;
}

/** The Go-cased spelling of the same hooks. */
export interface GoPlugin {
  readonly name?: string;
  Startup?(context: NetworkContext): void | Promise<void>;
  NewMessage?(context: MessageContext): void | Promise<void>;
  NodeAdded?(context: PeerContext): void | Promise<void>;
  NodeDeleted?(context: PeerContext): void | Promise<void>;
  Close?(context: NetworkContext): void | Promise<void>;
}

export type AnyPlugin = Plugin | GoPlugin;

export type HookName = "startup" | "newMessage" | "nodeAdded" | "nodeDeleted" | "close";
type Hook<C> = (context: C) => unknown;

/** A plugin's hooks under their one name, bound to the plugin. */
export interface Hooks {
  readonly name: string;
  readonly startup: Hook<NetworkContext> | undefined;
  readonly newMessage: Hook<MessageContext> | undefined;
  readonly nodeAdded: Hook<PeerContext> | undefined;
  readonly nodeDeleted: Hook<PeerContext> | undefined;
  readonly close: Hook<NetworkContext> | undefined;
  readonly disseminate: ((message: Message) => Delivery | undefined) | undefined;
  readonly findPeer: Plugin["findPeer"] | undefined;
}

const HOOKS = [
  "startup",
  "newMessage",
  "nodeAdded",
  "nodeDeleted",
  "close",
  "disseminate",
  "findPeer",
] as const;
const GO_NAMES: Readonly<Record<string, string>> = {
  startup: "Startup",
  newMessage: "NewMessage",
  nodeAdded: "NodeAdded",
  nodeDeleted: "NodeDeleted",
  close: "Close",
};

/** Throws `TypeError` for a plugin without a hook, with a misspelt one, or with both spellings of one. */
export function hooksOf(plugin: AnyPlugin): Hooks {
  if (typeof plugin !== "object" || plugin === null)
    throw new TypeError("plugin must be an object");
  refuseMisspelt(plugin);
  const hook = <C, R>(name: string): ((context: C) => R) | undefined => {
    const goName = GO_NAMES[name];
    const camel: unknown = Reflect.get(plugin, name);
    const go: unknown = goName === undefined ? undefined : Reflect.get(plugin, goName);
    if (camel !== undefined && go !== undefined) {
      throw new TypeError(`plugin has both ${name} and ${goName}; keep one`);
    }
    const found = camel ?? go;
    if (found === undefined) return undefined;
    if (typeof found !== "function") throw new TypeError(`plugin's ${name} must be a function`);
    return found.bind(plugin) as (context: C) => R;
  };
  const hooks: Hooks = {
    name: nameOf(plugin),
    startup: hook("startup"),
    newMessage: hook("newMessage"),
    nodeAdded: hook("nodeAdded"),
    nodeDeleted: hook("nodeDeleted"),
    close: hook("close"),
    disseminate: hook("disseminate"),
    findPeer: hook("findPeer"),
  };
  if (HOOKS.every((name) => hooks[name] === undefined)) {
    throw new TypeError(`plugin ${hooks.name} has no hook; it needs one of ${HOOKS.join(", ")}`);
  }
  return hooks;
}

function nameOf(plugin: AnyPlugin): string {
  if (typeof plugin.name === "string" && plugin.name !== "") return plugin.name;
  const constructed = plugin.constructor?.name;
  return constructed === undefined || constructed === "Object" ? "plugin" : constructed;
}

/** A method that is nearly a hook would never be called: better refused than silent. */
function refuseMisspelt(plugin: object): void {
  const known = new Set<string>([...HOOKS, ...Object.values(GO_NAMES)]);
  for (const method of methodsOf(plugin)) {
    if (known.has(method)) continue;
    const meant = HOOKS.find((hook) => looksLike(method, hook));
    if (meant !== undefined) {
      throw new TypeError(`plugin's ${method} is no hook; did you mean ${meant}?`);
    }
  }
}

function methodsOf(plugin: object): string[] {
  const names = new Set<string>();
  for (
    let level: object | null = plugin;
    level !== null && level !== Object.prototype;
    level = Object.getPrototypeOf(level)
  ) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(level))) {
      if (name !== "constructor" && typeof property.value === "function") names.add(name);
    }
  }
  return [...names];
}

function looksLike(method: string, hook: string): boolean {
  const letters = (text: string): string => text.replace(/[^a-zA-Z]/g, "").toLowerCase();
  const given = letters(method);
  const wanted = letters(hook);
  if (given === wanted || given === `on${wanted}` || swapped(given, wanted)) return true;
  // "closed" and "clone" are ordinary names.
  if (wanted.length < 7) return false;
  const edits = distance(given, wanted);
  // So are "getMessage" and "nextMessage": two edits count only inside the word.
  const framed = given.slice(0, 3) === wanted.slice(0, 3) && given.at(-1) === wanted.at(-1);
  return edits === 1 || (edits === 2 && framed);
}

function swapped(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  const first = [...a].findIndex((letter, i) => letter !== b[i]);
  return (
    first >= 0 &&
    a[first] === b[first + 1] &&
    a[first + 1] === b[first] &&
    a.slice(first + 2) === b.slice(first + 2)
  );
}

/** Levenshtein's edit distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
