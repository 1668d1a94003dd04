/**
 * `testudo address`: takes an address apart, and says which of its routes can be dialled and why not.
 * Nothing is dialled.
 */

import { networkError, parseAddress, type Route } from "@testudo/core";
import type { Command, CommandContext } from "../command.ts";
import { UsageError } from "../failure.ts";
import { problemOf } from "../protocols.ts";

export const address: Command = {
  about:
    "parse prints the routes (;), sections (~) and arguments (:) of an address; check says which\nroutes this build can dial and what is wrong with the others. Nothing is dialled.",
  usage: ["address parse <address>", "address check <address>"],
  options: {},
  positionals: [2, 2],
  run,
};

async function run(context: CommandContext): Promise<undefined> {
  const [action, text = ""] = context.args.positionals;
  if (action === "parse") await parse(context, text);
  else if (action === "check") await check(context, text);
  else throw new UsageError("say testudo address parse or testudo address check");
}

async function parse({ out }: CommandContext, text: string): Promise<void> {
  const { routes } = parseAddress(text);
  await out.event("address", { address: text, routes });
  if (out.json) return;
  for (const [index, route] of routes.entries()) {
    await out.event("route", {}, `route ${index + 1}  ${route.text}`);
    for (const { name, args } of route.sections) {
      const shown = args.map((argument) => JSON.stringify(argument)).join(" ");
      await out.event("section", {}, `  ${`${name} ${shown}`.trimEnd()}`);
    }
  }
}

async function check({ out }: CommandContext, text: string): Promise<void> {
  const routes = parseAddress(text).routes.map(verdict);
  await out.event("address", {
    address: text,
    dialable: routes.some(({ dialable }) => dialable),
    routes,
  });
  if (!out.json) {
    for (const { route, dialable, problems, remarks } of routes) {
      const why = [...problems, ...remarks].map((line) => `: ${line}`).join("");
      await out.event("route", {}, `${dialable ? "can dial" : "cannot dial"} ${route}${why}`);
    }
  }
  const [first] = routes;
  if (first !== undefined && routes.every(({ dialable }) => !dialable)) {
    const why = first.problems[0] ?? "";
    const message = routes.length === 1 ? why : `none of its ${routes.length} routes works: ${why}`;
    throw networkError(first.code ?? "ADDRESS_UNSUPPORTED", message, { address: first.route });
  }
}

function verdict(route: Route) {
  const problem = problemOf(route, { side: "dialer" });
  const last = route.sections.at(-1);
  const remarks: string[] = [];
  if (last?.name === "noauth") remarks.push("nothing is encrypted and nobody proves who he is");
  else if (problem === undefined && last?.args[0] === undefined) {
    remarks.push("no key in it, so whoever answers is taken");
  }
  return {
    route: route.text,
    stack: route.sections.map(({ name }) => name).join("~"),
    dialable: problem === undefined,
    ...(problem === undefined ? {} : { code: problem.code }),
    problems: problem === undefined ? [] : [problem.message],
    remarks,
  };
}
