/**
 * The log of the command line: pino, JSON lines on stderr. Loaded only when `--log-level` asks for it.
 */

import type { Writable } from "node:stream";
import type { Logger } from "@testudo/core";
import { pino, stdSerializers } from "pino";

export function createLogger(level: string, stderr: Writable): Logger {
  return pino({ level, serializers: { error: stdSerializers.err } }, stderr);
}
