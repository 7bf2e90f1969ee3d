/** Lets what the last turn left behind be cleared away, so that the next is measured alone. None at all for zero. */
export async function pause(ms) {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
