/**
 * Leaks: what a suite leaves behind that keeps the process alive. Sockets, servers, timers, child processes.
 *
 *     describe("…", () => { expectNoLeaks(); it(…); });
 *
 * Counts come from the event loop itself, before and after. Handles close a turn or two after they are told
 * to, so the count after is given time to come down; it fails only when it never does.
 */

import { afterAll, beforeAll } from "vitest";

/** Of the runner, or gone by themselves: they say nothing about the code under test. */
const IGNORED: ReadonlySet<string> = new Set([
  "Immediate",
  "TTYWRAP",
  "MessagePort",
  "FSReqCallback",
]);

const PATIENCE_MS = 4_000;
const STEP_MS = 20;

/** Fails the surrounding `describe` when more is open after its tests than before them. */
export function expectNoLeaks(): void {
  let check: (() => Promise<void>) | undefined;
  beforeAll(() => {
    check = watchLeaks();
  });
  afterAll(async () => {
    await check?.();
  });
}

/** Counts now; the function it gives rejects, naming what is left, when more is open than now. */
export function watchLeaks(): () => Promise<void> {
  const before = openResources();
  // The runner has a passing timer or two of its own when a suite begins, which must not hide one of ours.
  before.delete("Timeout");
  return async () => {
    let left = surplus(before);
    for (let waited = 0; left.length > 0 && waited < PATIENCE_MS; waited += STEP_MS) {
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
      left = surplus(before);
    }
    if (left.length > 0) throw new Error(`left open: ${left.join(", ")}`);
  };
}

function openResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (!IGNORED.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

function surplus(before: ReadonlyMap<string, number>): string[] {
  const left: string[] = [];
  for (const [kind, count] of openResources()) {
    const more = count - (before.get(kind) ?? 0);
    if (more > 0) left.push(`${more} ${kind}`);
  }
  return left;
}
