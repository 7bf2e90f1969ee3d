// Medians and 95 % intervals. Intervals come from the percentile bootstrap (Efron 1979) over rounds: what is paired in a
// round stays paired, so that a machine that is slow for a while is slow for both.

const RESAMPLES = 5_000;
const SEED = 0x9e3779b9;

export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const [below, above] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return below + (above - below) * (at - Math.floor(at));
}

export function median(values) {
  return quantile(values, 0.5);
}

/** `{value, low, high}` of a statistic over items. */
export function interval(items, statistic) {
  const random = mulberry32(SEED);
  const resample = () => items.map(() => items[Math.floor(random() * items.length)]);
  const estimates = Array.from({ length: RESAMPLES }, () => statistic(resample()));
  return { value: statistic(items), low: quantile(estimates, 0.025), high: quantile(estimates, 0.975) };
}

/** The interval of a ratio whose two sides were measured in the same rounds. */
export function pairedRatio(over, under) {
  const logs = over.map((value, round) => Math.log(value / under[round]));
  return interval(logs, (sample) => Math.exp(sample.reduce((sum, log) => sum + log, 0) / sample.length));
}

/** The interval of the median of differences within rounds. */
export function pairedDifference(one, other) {
  return interval(
    one.map((value, round) => value - other[round]),
    median,
  );
}

/** A small generator with a fixed seed: the same measurements give the same intervals. */
function mulberry32(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
