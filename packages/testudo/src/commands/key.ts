/**
 * `testudo key`: makes an identity file, or shows whose it is. The secret is never printed.
 */

import { Identity } from "@testudo/core";
import type { Command, CommandContext } from "../command.ts";
import { UsageError } from "../failure.ts";
import { DEFAULT_KEY_FILE, readKeyFile, writeKeyFile } from "../key-file.ts";

export const key: Command = {
  about: "Makes an identity file (mode 0600, never overwritten), or shows the id in one.",
  usage: ["key new [--file F]", "key show [--file F]"],
  options: { file: { value: "F", help: `the file (default ./${DEFAULT_KEY_FILE})` } },
  positionals: [1, 1],
  run,
};

async function run({ args, out }: CommandContext): Promise<undefined> {
  const [action] = args.positionals;
  const file = args.text("file") ?? DEFAULT_KEY_FILE;
  let identity: Identity;
  if (action === "new") {
    identity = Identity.generate();
    await writeKeyFile(file, identity);
  } else if (action === "show") {
    identity = await readKeyFile(file, (text) => out.note(text));
  } else {
    throw new UsageError("say testudo key new or testudo key show");
  }
  await out.event("key", { id: identity.id.text, file }, identity.id.text);
}
