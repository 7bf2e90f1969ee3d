// Waiting, in real time.

/** Waits in real time. */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Polls until `probe` returns something other than `undefined`, `null` or `false`; errors are retried unless `isFinal`. */
export async function eventually(what, probe, ms = 20_000, isFinal = () => false) {
  const until = performance.now() + ms;
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) return value;
      last = undefined;
    } catch (error) {
      if (isFinal(error)) throw error;
      last = error;
    }
    if (performance.now() > until) throw new Error(`${what}: not within ${ms} ms${last ? ` (${last.message})` : ""}`);
    await sleep(50);
  }
}
