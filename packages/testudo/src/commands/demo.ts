import type { Command } from "../command.ts";
export const demo: Command = {
  about: "",
  usage: [],
  options: {},
  positionals: [0, 0],
  run: async () => undefined,
};
