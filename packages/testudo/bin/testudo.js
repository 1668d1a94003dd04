#!/usr/bin/env node
// The `testudo` command. This file is committed as it is, since npm links commands before anything is built.

import { existsSync } from "node:fs";

const built = new URL("../dist/main.js", import.meta.url);

if (existsSync(built)) {
  const { start } = await import(built.href);
  await start();
} else {
  process.stderr.write("testudo: not built yet; run `npm run build` in the repository first\n");
  process.exitCode = 1;
}
