import type { Command } from "../command.ts";
export const bench: Command = {
  about: "",
  usage: [],
  options: {},
  positionals: [0, 0],
  run: async () => undefined,
};
