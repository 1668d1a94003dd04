/**
 * Calls between a process and the one that forked it, over Node's IPC channel: `{ id, method, argument }`
 * one way, `{ id, result | error }` back. Never used inside a measured loop.
 */

/** Far longer than any call takes; past this a process is taken for hung. */
const CALL_TIMEOUT_MS = 30_000;

/**
 * @param {NodeJS.Process | import("node:child_process").ChildProcess} end
 * @returns {(method: string, argument?: unknown) => Promise<any>}
 */
export function caller(end) {
  let last = 0;
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const pending = new Map();
  const failAll = (/** @type {string} */ why) => {
    for (const { reject } of pending.values()) reject(new Error(why));
    pending.clear();
  };
  end.on("message", (/** @type {any} */ message) => {
    const call = pending.get(message.id);
    if (call === undefined || message.method !== undefined) return;
    pending.delete(message.id);
    if (message.error === undefined) call.resolve(message.result);
    else call.reject(new Error(message.error));
  });
  end.on("exit", (/** @type {number | null} */ code) => failAll(`the process ended with ${code}`));
  return (method, argument) =>
    new Promise((resolve, reject) => {
      const id = ++last;
      const timer = setTimeout(() => {
        pending.delete(id);
        reject(new Error(`${method} took longer than ${CALL_TIMEOUT_MS} ms`));
      }, CALL_TIMEOUT_MS);
      const settle = (/** @type {() => void} */ how) => {
        clearTimeout(timer);
        how();
      };
      pending.set(id, {
        resolve: (value) => settle(() => resolve(value)),
        reject: (error) => settle(() => reject(error)),
      });
      end.send?.({ id, method, argument });
    });
}

/**
 * Serves the parent's calls.
 * @param {Record<string, (argument: any) => unknown>} methods
 */
export function serve(methods) {
  process.on("message", async (/** @type {any} */ { id, method, argument }) => {
    if (method === undefined) return;
    try {
      const handler = methods[method];
      if (handler === undefined) throw new Error(`no method ${method}`);
      process.send?.({ id, result: await handler(argument) });
    } catch (error) {
      process.send?.({
        id,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    }
  });
  process.on("disconnect", () => process.exit(0));
}
