import { describe, expect, it } from "vitest";
import { type AnyPlugin, type HookName, hooksOf } from "../src/plugin.ts";

const CAMEL = ["startup", "newMessage", "nodeAdded", "nodeDeleted", "close", "disseminate"];
const GO = ["Startup", "NewMessage", "NodeAdded", "NodeDeleted", "Close"];

function withMethod(name: string, more: object = {}): AnyPlugin {
  return { [name]: () => {}, ...more };
}

describe("hooks of a plugin", () => {
  it.each(CAMEL)("are found as %s", (name) => {
    const hooks = hooksOf(withMethod(name));
    for (const other of CAMEL) {
      expect(typeof hooks[other as HookName]).toBe(other === name ? "function" : "undefined");
    }
  });

  it.each(GO)("are found in Go's spelling as %s", (name) => {
    const camel = name.slice(0, 1).toLowerCase() + name.slice(1);
    expect(hooksOf(withMethod(name))[camel as HookName]).toBeTypeOf("function");
  });

  it("are called with the plugin as this, wherever they were defined", () => {
    class Base {
      seen: unknown[] = [];
      newMessage(context: unknown): void {
        this.seen.push(context);
      }
    }
    class Counter extends Base {
      readonly nodeAdded = (context: unknown): void => {
        this.seen.push(context);
      };
    }
    const plugin = new Counter();
    const hooks = hooksOf(plugin as unknown as AnyPlugin);
    const [message, peer] = [{}, {}];
    Reflect.apply(hooks.newMessage as () => void, undefined, [message]);
    Reflect.apply(hooks.nodeAdded as () => void, undefined, [peer]);
    expect(plugin.seen).toEqual([message, peer]);
  });

  it("may be in both spellings, but not the same one twice", () => {
    expect(hooksOf({ Startup: () => {}, close: () => {} } as AnyPlugin).close).toBeDefined();
    expect(() => hooksOf({ Startup: () => {}, startup: () => {} } as AnyPlugin)).toThrow(
      "plugin has both startup and Startup; keep one",
    );
  });

  it("have the plugin's name, else its class's", () => {
    class Roster {
      close(): void {}
    }
    expect(hooksOf({ name: "roll call", close: () => {} }).name).toBe("roll call");
    expect(hooksOf(new Roster()).name).toBe("Roster");
    expect(hooksOf({ name: "", close: () => {} }).name).toBe("plugin");
    expect(hooksOf(Object.assign(Object.create(null), { close: () => {} })).name).toBe("plugin");
  });
});

describe("what is no plugin", () => {
  it.each([
    ["nothing", undefined],
    ["null", null],
    ["a number", 7],
    ["a function", () => {}],
  ])("%s is refused", (_what, plugin) => {
    expect(() => hooksOf(plugin as unknown as AnyPlugin)).toThrow(
      new TypeError("plugin must be an object"),
    );
  });

  it("an object without a hook is refused, with the hooks it could have", () => {
    expect(() => hooksOf({})).toThrow(
      "plugin plugin has no hook; it needs one of startup, newMessage, nodeAdded, nodeDeleted, close",
    );
    expect(() => hooksOf(withMethod("receive", { name: "old" }))).toThrow(
      /^plugin old has no hook/,
    );
  });

  it("a hook that is no function is refused", () => {
    expect(() => hooksOf({ newMessage: "later" } as unknown as AnyPlugin)).toThrow(
      new TypeError("plugin's newMessage must be a function"),
    );
  });
});

describe("a misspelt hook", () => {
  it.each([
    ["startUp", "startup"],
    ["StartUp", "startup"],
    ["STARTUP", "startup"],
    ["start_up", "startup"],
    ["onStartup", "startup"],
    ["starup", "startup"],
    ["satrtup", "startup"],
    ["startups", "startup"],
    ["newmessage", "newMessage"],
    ["NEWMESSAGE", "newMessage"],
    ["new_message", "newMessage"],
    ["newMesage", "newMessage"],
    ["newMessge", "newMessage"],
    ["newMessages", "newMessage"],
    ["newMassage", "newMessage"],
    ["newMesagge", "newMessage"],
    ["nweMessage", "newMessage"],
    ["onNewMessage", "newMessage"],
    ["nodeadded", "nodeAdded"],
    ["NodeAdd", "nodeAdded"],
    ["nodeAded", "nodeAdded"],
    ["noedAdded", "nodeAdded"],
    ["nodesAdded", "nodeAdded"],
    ["onNodeAdded", "nodeAdded"],
    ["nodeDelete", "nodeDeleted"],
    ["nodeDelted", "nodeDeleted"],
    ["nodeDeletde", "nodeDeleted"],
    ["NodedDeleted", "nodeDeleted"],
    ["Nodedeleted", "nodeDeleted"],
    ["CLOSE", "close"],
    ["colse", "close"],
    ["onClose", "close"],
    ["Disseminate", "disseminate"],
    ["disemminate", "disseminate"],
    ["dissiminate", "disseminate"],
  ])("%s is refused for %s", (misspelt, meant) => {
    const error = new TypeError(`plugin's ${misspelt} is no hook; did you mean ${meant}?`);
    expect(() => hooksOf(withMethod(misspelt, { [meant]: () => {} }))).toThrow(error);
    const inherited = Object.create({ [misspelt]: () => {} });
    expect(() => hooksOf(Object.assign(inherited, { [meant]: () => {} }))).toThrow(error);
  });

  it.each([
    "start",
    "started",
    "restart",
    "getMessage",
    "setMessage",
    "sendMessage",
    "viewMessage",
    "nextMessage",
    "needMessage",
    "newMessageId",
    "newMessenger",
    "message",
    "nodes",
    "addNode",
    "deleteNode",
    "nodeAddress",
    "nodeId",
    "closed",
    "closes",
    "closing",
    "clone",
    "lose",
    "closest",
    "dissemination",
    "discriminate",
    "ping",
    "report",
    "percentiles",
    "toString",
    "toJSON",
  ])("%s is an ordinary name", (name) => {
    expect(hooksOf(withMethod(name, { close: () => {} })).close).toBeDefined();
  });

  it("is looked for among methods only", () => {
    const plugin = {
      newmessage: 7,
      get nodeadded(): never {
        throw new Error("a getter must not be run");
      },
      close: () => {},
    };
    expect(hooksOf(plugin).close).toBeDefined();
  });
});
