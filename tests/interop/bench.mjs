// `node bench.mjs --relay BINARY --module DIR --out DIR --json FILE [--rounds N] [--minutes N] [--mib N] [--dials N]`
//
// A bare data channel, ours and js-libp2p between the same two tabs of two browser processes, rounds interleaved.
// Exits with 1 when the 95 % interval of something excludes its bound. Transfers go on for so many rounds, or until the
// minutes are up; no fewer than three, because an interval needs them.

import { writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { openNamespace } from "../e2e/lib/namespace.mjs";
import { test, runAll } from "../e2e/lib/suite.mjs";
import { startMeetingPoint } from "./lib/network.mjs";
import { Report } from "./lib/report.mjs";
import { buildSite } from "./lib/site.mjs";
import { interval, median, pairedDifference, pairedRatio, quantile } from "./lib/stats.mjs";
import { openTab } from "./lib/tab.mjs";

const { values } = parseArgs({
  options: {
    relay: { type: "string" },
    module: { type: "string" },
    out: { type: "string" },
    json: { type: "string" },
    rounds: { type: "string", default: "8" },
    minutes: { type: "string", default: "9" },
    mib: { type: "string", default: "64" },
    dials: { type: "string", default: "100" },
    first: { type: "string", default: "chromium" },
    second: { type: "string", default: "chromium" },
  },
});

const ROUNDS = Number(values.rounds);
const DIALS = Number(values.dials);
const BYTES = Number(values.mib) * 2 ** 20;
const DEADLINE_MS = performance.now() + Number(values.minutes) * 60_000;
/** What comes after the transfers. */
const RESERVED_MS = 45_000;
const ROUNDS_MIN = 3;
const PIECES_KIB = [1, 16, 64];
const TURN_ROUNDS = 9;
const TURNS_PER_ROUND = 50;
const TURN_METHODS = { "": "turns", Fresh: "fresh_turns", Request: "requests" };
const PAUSE_MS = 20;
/** Each way, as between two cities of a continent. */
const FAR_MS = 25;
const FAR_ROUNDS = 7;
const FAR_TURNS_PER_ROUND = 10;
const TRANSFER_MS_MAX = 600_000;
const STALLED_STREAMS = 250;
const BESIDE_BYTES = 4 * 2 ** 20;
const BESIDE_ROUNDS = 5;
const BESIDE_MANY_MS_MAX = 10_000;
const BUFFERED_BYTES_MAX = 16 * 2 ** 20;
const HOURS_MS = 6 * 3_600_000;

test("bench: transport", { timeout: HOURS_MS }, async (t) => {
  const relay = await startMeetingPoint(t);
  const origin = await t.origin(t.site);
  const launch = async (browser) => openTab(await t[browser](), `${origin.url}/`, ["bare", "ours", "js"]);
  const [a, b] = await Promise.all([launch(values.first), launch(values.second)]);
  const report = new Report({
    browsers: [values.first, values.second],
    bytes: BYTES,
    rounds: ROUNDS,
    cores: os.availableParallelism(),
    load_before: os.loadavg()[0],
  });

  await connectBare(a.bare, b.bare);
  const addresses = { ours: await b.ours.call("listen", relay), js: await b.js.call("listen", relay) };
  await measureDials(report, a, b, addresses);
  for (const kind of ["ours", "js"]) {
    await connect(a[kind], b[kind], addresses[kind]);
  }
  await measureTurns(report, a, b);
  await measureOpening(t, report);
  await measureTransfers(report, a, b);
  await measureBackPressure(report, a.ours, b.ours);

  report.print();
  if (values.json) await writeFile(values.json, report.json());
  if (report.excluded.length > 0) throw new Error(`an interval excludes its bound: ${report.excluded.join("; ")}`);
});

/** How many of js-libp2p's dials fail is measured before; here it needs a connection, be it with a second one. Ours has one. */
async function connect(from, to, address) {
  try {
    await from.call("dial", address);
  } catch (error) {
    if (from.kind !== "js") throw error;
    await Promise.all([from.call("close", to.id), to.call("close", from.id)]);
    await from.call("dial", address);
  }
  await from.call("direct", to.id);
}

async function connectBare(from, to) {
  const answer = await to.call("answer", await from.call("offer"));
  await from.call("connect", answer);
}

/** From `dial` to a usable connection, the relay being connected already. */
async function measureDials(report, a, b, addresses) {
  const times = { ours: [], js: [] };
  for (let index = 0; index < DIALS; index += 1) {
    for (const kind of alternate(["ours", "js"], index)) {
      const took = await a[kind].call("dial", addresses[kind]).catch(() => undefined);
      if (took !== undefined) times[kind].push(took);
      await Promise.all([a[kind].call("close", b[kind].id), b[kind].call("close", a[kind].id)]);
    }
  }
  for (const kind of ["ours", "js"]) {
    report.note(`dial, ${kind}: median ms`, median(times[kind]));
    report.note(`dial, ${kind}: p95 ms`, quantile(times[kind], 0.95));
    report.note(`dial, ${kind}: succeeded of ${DIALS}`, times[kind].length);
  }
  const rounds = Math.min(times.ours.length, times.js.length);
  report.atMost("dial: ours − js-libp2p, median ms", pairedDifference(times.ours.slice(0, rounds), times.js.slice(0, rounds)), 0);
  report.atMost("dial: ours, p95 ms", interval(times.ours, (sample) => quantile(sample, 0.95)), 1_000);
  report.exactlyAtLeast("dial: ours, share that succeeded", times.ours.length / DIALS, 0.99);
}

/**
 * 1 KiB there and back: on an open stream, on a stream of its own, and as a request, beside a bare channel that is open already.
 * With a pause before each it is what one takes. Without, a new stream shares two cores with the end of the one before it; a
 * request is held to the open channel all the same, a stream alone to a new bare channel each.
 */
async function measureTurns(report, a, b) {
  for (const [when, pauseMs] of [["one at a time", PAUSE_MS], ["back to back", 0]]) {
    const rounds = { bare: [], bareFresh: [], ours: [], oursFresh: [], oursRequest: [], js: [], jsFresh: [] };
    for (let round = 0; round < TURN_ROUNDS; round += 1) {
      for (const name of alternate(Object.keys(rounds), round)) {
        const [, kind, method] = /^(bare|ours|js)(.*)$/.exec(name);
        const peer = kind === "bare" ? [] : [b[kind].id];
        rounds[name].push(median(await a[kind].call(TURN_METHODS[method], ...peer, TURNS_PER_ROUND, pauseMs)));
      }
    }
    for (const [name, medians] of Object.entries(rounds)) report.note(`1 KiB ${when}, ${name}: median ms`, median(medians));
    const beside = { ours: "bare", oursRequest: "bare", oursFresh: pauseMs > 0 ? "bare" : "bareFresh" };
    for (const [name, other] of Object.entries(beside)) {
      report.atMost(`1 KiB ${when}: ${name} − ${other}, ms`, pairedDifference(rounds[name], rounds[other]), 2);
    }
  }
}

/**
 * What a new stream costs where the way is long: on one machine a round trip is shorter than what browsers do to open a
 * channel, and cannot be told from it.
 */
async function measureOpening(t, report) {
  const network = await openNamespace({ delayMs: FAR_MS });
  t.defer(() => network.close());
  const relay = await startMeetingPoint(t, { address: network.address });
  const origin = await t.origin(t.site, network.address);
  // Names that hide addresses are told by multicast, which does not get across.
  const args = ["--disable-features=WebRtcHideLocalIpsWithMdns"];
  const browsers = await Promise.all([t.chromium({ args }), t.chromium({ args, namespace: network })]);
  const [a, b] = await Promise.all(browsers.map((browser) => openTab(browser, `${origin.url}/`, ["ours"])));
  await connect(a.ours, b.ours, await b.ours.call("listen", relay));
  const rounds = { open: [], fresh: [] };
  for (let round = 0; round < FAR_ROUNDS; round += 1) {
    rounds.open.push(median(await a.ours.call("turns", b.ours.id, FAR_TURNS_PER_ROUND, 0)));
    rounds.fresh.push(median(await a.ours.call("fresh_turns", b.ours.id, FAR_TURNS_PER_ROUND, 0)));
  }
  for (const [name, medians] of Object.entries(rounds)) report.note(`${2 * FAR_MS} ms apart, ${name} stream: median ms`, median(medians));
  report.atMost(`${2 * FAR_MS} ms apart, opening a stream: extra ÷ round trip`, extraOver(rounds.fresh, rounds.open), 0.5);
}

function extraOver(fresh, open) {
  return interval(
    fresh.map((value, round) => (value - open[round]) / open[round]),
    median,
  );
}

/** One way, in pieces of several sizes. */
async function measureTransfers(report, a, b) {
  const rates = { bare: [] };
  for (const kind of ["ours", "js"]) for (const kib of PIECES_KIB) rates[`${kind} ${kib} KiB`] = [];
  const rate = (ms) => BYTES / 2 ** 20 / (ms / 1_000);
  let took = 0;
  for (let round = 0; round < ROUNDS && (round < ROUNDS_MIN || performance.now() + took + RESERVED_MS < DEADLINE_MS); round += 1) {
    const started = performance.now();
    const work = Object.keys(rates);
    for (const name of alternate(work, round)) {
      const [kind, kib] = name.split(" ");
      if (kind === "bare") {
        await b.bare.call("expect", BYTES);
        rates.bare.push(rate(await a.bare.callFor(TRANSFER_MS_MAX, "send", BYTES)));
      } else {
        rates[name].push(rate(await a[kind].callFor(TRANSFER_MS_MAX, "send", b[kind].id, BYTES, Number(kib) * 1024)));
      }
      console.log(`round ${round + 1}: ${name}: ${rates[name].at(-1).toFixed(2)} MiB/s`);
    }
    took = performance.now() - started;
  }
  report.note("one way: rounds", rates.bare.length);
  for (const [name, all] of Object.entries(rates)) report.note(`one way, ${name}: median MiB/s`, median(all));
  for (const kib of PIECES_KIB) {
    report.atLeast(`one way, ${kib} KiB: ours ÷ bare`, pairedRatio(rates[`ours ${kib} KiB`], rates.bare), 0.9);
    report.atLeast(`one way, ${kib} KiB: ours ÷ js-libp2p`, pairedRatio(rates[`ours ${kib} KiB`], rates[`js ${kib} KiB`]), 1);
  }
}

/** What the transport takes of writers whose readers do not read is what it holds; it holds nobody else. */
async function measureBackPressure(report, from, to) {
  const beside = (bytes) => from.callFor(TRANSFER_MS_MAX, "send", to.id, bytes, 16 * 1024);
  const timed = async () => {
    const times = [];
    for (let round = 0; round < BESIDE_ROUNDS; round += 1) times.push(await beside(BESIDE_BYTES));
    return times;
  };
  const alone = await timed();
  const one = await from.callFor(TRANSFER_MS_MAX, "stall", to.id, 1, 4 * BUFFERED_BYTES_MAX);
  report.exactlyAtMost("held for one stalled reader, bytes", one, BUFFERED_BYTES_MAX);
  report.atLeast("rate beside a stalled stream ÷ rate alone", pairedRatio(alone, await timed()), 0.8);

  const more = await from.callFor(TRANSFER_MS_MAX, "stall", to.id, STALLED_STREAMS, BUFFERED_BYTES_MAX);
  report.exactlyAtMost(`held for ${STALLED_STREAMS + 1} stalled readers, bytes`, one + more, BUFFERED_BYTES_MAX);
  report.exactlyAtMost(`1 MiB beside ${STALLED_STREAMS + 1} stalled streams, ms`, await beside(2 ** 20), BESIDE_MANY_MS_MAX);

  await to.call("release");
  const counted = await from.callFor(TRANSFER_MS_MAX, "finish");
  report.exactlyAtLeast("of it arrived once they read", counted / (one + more), 1);
}

/** Another order in every round, so that nothing always comes first. */
function alternate(items, round) {
  const at = round % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

const site = await buildSite({ module: values.module, dir: path.join(values.out, "site") });
const { failed } = await runAll({ ...values, site });
process.exit(failed === 0 ? 0 : 1);
