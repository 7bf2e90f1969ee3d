// What was measured, what was promised, and which promises the measurement excludes.

export class Report {
  #rows = [];
  #about;

  constructor(about) {
    this.#about = about;
    this.excluded = [];
  }

  /** A measurement without a promise. */
  note(name, value) {
    this.#rows.push({ name, value });
  }

  /** At least the bound: broken when even the upper end of the interval is below it. */
  atLeast(name, { value, low, high }, bound) {
    this.#promise({ name, value, low, high, bound: `≥ ${bound}` }, high < bound);
  }

  /** At most the bound: broken when even the lower end of the interval is above it. */
  atMost(name, { value, low, high }, bound) {
    this.#promise({ name, value, low, high, bound: `≤ ${bound}` }, low > bound);
  }

  /** A count, which has no interval. */
  exactlyAtLeast(name, value, bound) {
    this.#promise({ name, value, bound: `≥ ${bound}` }, value < bound);
  }

  /** A count, which has no interval. */
  exactlyAtMost(name, value, bound) {
    this.#promise({ name, value, bound: `≤ ${bound}` }, value > bound);
  }

  print() {
    const width = Math.max(...this.#rows.map(({ name }) => name.length));
    for (const { name, value, low, high, bound, excluded } of this.#rows) {
      const between = low === undefined ? "" : `[${round(low)}, ${round(high)}]`;
      const verdict = bound === undefined ? "" : `${bound} ${excluded ? "EXCLUDED" : "ok"}`;
      console.log(`${name.padEnd(width)}  ${String(round(value)).padStart(12)}  ${between.padEnd(22)} ${verdict}`.trimEnd());
    }
  }

  json() {
    return `${JSON.stringify({ ...this.#about, excluded: this.excluded, rows: this.#rows }, null, 2)}\n`;
  }

  #promise(row, excluded) {
    this.#rows.push({ ...row, excluded });
    if (excluded) this.excluded.push(row.name);
  }
}

function round(value) {
  return Number(value.toPrecision(4));
}
