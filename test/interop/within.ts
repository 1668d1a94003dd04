/** A wait with an end: a test that hangs says what it waited for. */

const PATIENCE_MS = 8_000;

/** What `work` settles to; rejects, naming `what`, when that takes too long. */
export async function within<T>(
  what: string,
  work: Promise<T>,
  timeoutMs: number = PATIENCE_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not in ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
