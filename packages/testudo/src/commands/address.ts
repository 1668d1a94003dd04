/**
 * `testudo address`: takes an address apart, and says which of its routes can be dialled and why not.
 * Nothing is dialled.
 */

import { networkError, parseAddress, type Route, type Stack } from "@testudo/core";
import type { Command, CommandContext } from "../command.ts";
import { UsageError } from "../failure.ts";
import { Protocols, type Spoken } from "../protocols.ts";

export const address: Command = {
  about:
    "parse prints the routes (;), sections (~) and arguments (:) of an address; check says which\nroutes this build can dial and with which stack, and what is wrong with the others. Nothing is dialled.",
  usage: ["address parse <address>", "address check <address>"],
  options: {},
  positionals: [2, 2],
  run,
};

/** Transports that encrypt by themselves. Of `kcpgo` nobody knows: its options say. */
const SEALED: ReadonlySet<string> = new Set(["wss", "onion"]);

async function run(context: CommandContext): Promise<undefined> {
  const [action, text = ""] = context.args.positionals;
  if (action === "parse") await parse(context, text);
  else if (action === "check") await check(context, text);
  else throw new UsageError("say testudo address parse or testudo address check");
}

async function parse({ out }: CommandContext, text: string): Promise<void> {
  const { routes } = parseAddress(text);
  const spoken = await speak(routes);
  const told = spoken.map(({ route, stack, problem }) => ({
    text: route.text,
    sections: route.sections,
    ...(stack === undefined ? {} : { stack: stack.name }),
    ...(problem === undefined ? {} : { problem: { code: problem.code, message: problem.message } }),
  }));
  await out.event("address", { address: text, routes: told });
  if (out.json) return;
  for (const [index, { route, stack, problem }] of spoken.entries()) {
    await out.event("route", {}, `route ${index + 1}  ${route.text}`);
    for (const { name, args } of route.sections) {
      const shown = args.map((argument) => JSON.stringify(argument)).join(" ");
      await out.event("section", {}, `  ${`${name} ${shown}`.trimEnd()}`);
    }
    const can = problem === undefined ? `can dial with ${stack?.name}` : "cannot dial: ";
    await out.event("stack", {}, `  ${can}${problem?.message ?? ""}`);
  }
}

async function check({ out }: CommandContext, text: string): Promise<void> {
  const routes = (await speak(parseAddress(text).routes)).map(verdict);
  await out.event("address", {
    address: text,
    dialable: routes.some(({ dialable }) => dialable),
    routes,
  });
  if (!out.json) {
    for (const { route, stack, dialable, problems, remarks } of routes) {
      const how = dialable ? `can dial ${route} with ${stack}` : `cannot dial ${route}`;
      const why = [...problems, ...remarks].map((line) => `: ${line}`).join("");
      await out.event("route", {}, `${how}${why}`);
    }
  }
  const [first] = routes;
  if (first !== undefined && routes.every(({ dialable }) => !dialable)) {
    const why = first.problems[0] ?? "";
    const message = routes.length === 1 ? why : `none of its ${routes.length} routes works: ${why}`;
    throw networkError(first.code ?? "ADDRESS_UNSUPPORTED", message, { address: first.route });
  }
}

function speak(routes: readonly Route[]): Promise<Spoken[]> {
  // Any crypt does where nothing is dialled.
  const protocols = new Protocols({ kcpgo: { crypt: "null" } });
  return Promise.all(routes.map((route) => protocols.speak(route, { side: "dialer" })));
}

function verdict({ route, stack, problem }: Spoken) {
  return {
    route: route.text,
    ...(stack === undefined ? {} : { stack: stack.name }),
    dialable: problem === undefined,
    ...(problem === undefined ? {} : { code: problem.code }),
    problems: problem === undefined ? [] : [problem.message],
    remarks: stack === undefined || problem !== undefined ? [] : remarksOn(route, stack),
  };
}

/** What a person should know of a route that can be dialled. */
function remarksOn(route: Route, stack: Stack): string[] {
  const { name } = stack.transport;
  return [
    ...(name === "kcpgo" ? ["its options must be those of the listener"] : []),
    ...(stack.authenticates ? remarksOnKey(route, stack) : [remarkOnOpen(route, name)]),
  ];
}

function remarksOnKey(route: Route, stack: Stack): string[] {
  const named = stack.expectedKey(route) !== undefined;
  return named ? [] : ["no key in it, so whoever answers is taken"];
}

function remarkOnOpen(route: Route, transport: string): string {
  if (transport === "kcpgo") return "nobody proves a key, and one password opens everything";
  const sealed = SEALED.has(route.sections[0]?.name ?? "");
  return sealed ? "nobody proves a key" : "nothing is encrypted and nobody proves who he is";
}
