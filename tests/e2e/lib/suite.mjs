// The runner: registers journeys, runs them one after another, cleans up after each, and counts.
//
// Journeys run in sequence because they measure time and because each starts several browsers. Whatever a journey
// opens is registered with its context and closed in reverse order, also when it fails or runs out of time.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { launchChromium, launchFirefox } from "./browsers.mjs";
import { startRelay } from "./relay.mjs";
import { serveDirectory } from "./origin.mjs";

export { eventually, sleep } from "./eventually.mjs";

const run = promisify(execFile);

const TIMEOUT_MS = 90_000;
const CLEANUP_MS_MAX = 15_000;

const registered = [];

/** Registers a journey: `test(name, [options], run)`; `options.timeout` is in milliseconds. */
export function test(name, ...rest) {
  const run = rest.pop();
  const [options = {}] = rest;
  registered.push({ name, run, timeout: options.timeout ?? TIMEOUT_MS });
}

/** Runs every registered journey whose name contains `filter`; returns `{passed, failed, clocks}`. */
export async function runAll({ relay, site, knownAnswers, out, filter = "" }) {
  const clocks = [];
  let passed = 0;
  let failed = 0;
  for (const journey of registered.filter(({ name }) => name.includes(filter))) {
    const context = new Context({ relay, site, knownAnswers, clocks, out: path.join(out, slug(journey.name)) });
    const started = performance.now();
    const failure = await runOne(journey, context);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (failure === undefined) {
      passed += 1;
      console.log(`ok     ${journey.name} (${seconds} s)`);
    } else {
      failed += 1;
      console.log(`FAILED ${journey.name} (${seconds} s)\n${indent(failure.stack ?? String(failure))}`);
    }
  }
  return { passed, failed, clocks };
}

async function runOne(journey, context) {
  let failure;
  try {
    await withTimeout(journey.run(context), journey.timeout, `the journey took longer than ${journey.timeout} ms`);
    context.assertNoPageErrors();
  } catch (error) {
    failure = error;
    await withTimeout(context.keepEvidence(error), CLEANUP_MS_MAX, "evidence").catch((late) => console.log(`       (no evidence: ${late.message})`));
  }
  const unclean = await context.close();
  return failure ?? unclean;
}

/** What a journey gets: ways to start things that are closed after it, and clocks. */
class Context {
  #relayBinary;
  #site;
  #knownAnswers;
  #out;
  #clocks;
  #closers = [];
  #browsers = [];
  #relays = [];
  #tolerated = [];

  constructor({ relay, site, knownAnswers, out, clocks }) {
    this.#relayBinary = relay;
    this.#site = site;
    this.#knownAnswers = knownAnswers;
    this.#out = out;
    this.#clocks = clocks;
  }

  /** The directory with the built site. */
  get site() {
    return this.#site;
  }

  /** Registers something to close after the journey. */
  defer(close) {
    this.#closers.push(close);
  }

  /** Starts a relay on a free port with an empty data directory. */
  async relay(options = {}) {
    const relay = await startRelay({ binary: this.#relayBinary, site: this.#site, ...options });
    this.#relays.push(relay);
    this.defer(() => relay.close());
    return relay;
  }

  /** Makes secret known answers from the prose of files and folders; returns the folder, for the relay's `--known-answers`. */
  async knownAnswers(corpus, count) {
    const folder = await mkdtemp(path.join(os.tmpdir(), "knowledge-answers-"));
    this.defer(() => rm(folder, { recursive: true, force: true }));
    const models = path.join(this.#site, "models");
    await run(this.#knownAnswers, ["--models", models, "--out", folder, "--count", String(count), "--corpus", ...corpus]);
    return folder;
  }

  /** Starts a Chromium of its own, with an empty profile unless given one. */
  async chromium(options = {}) {
    return this.#keep(await launchChromium(options));
  }

  /** Starts a Firefox of its own. */
  async firefox(options = {}) {
    return this.#keep(await launchFirefox(options));
  }

  /** Serves a directory, or files given as `{path: text}`, on an origin that is not the relay's. */
  async origin(content, address) {
    const origin = await serveDirectory(content, address);
    this.defer(() => origin.close());
    return origin;
  }

  /** Notes a measured time and fails when it is above its promise. */
  clock(name, ms, msMax) {
    const rounded = Math.round(ms);
    this.#clocks.push({ name, ms: rounded, ms_max: msMax });
    console.log(`clock  ${name}: ${rounded} ms (promised: ${msMax} ms)`);
    if (ms > msMax) throw new Error(`${name} took ${rounded} ms, promised are ${msMax} ms`);
  }

  /** Notes numbers that are no clock. */
  note(name, numbers) {
    this.#clocks.push({ name, ...numbers });
    console.log(`note   ${name}: ${JSON.stringify(numbers)}`);
  }

  /** Lets uncaught errors of this kind pass, for those of a dependency that harm nothing. */
  tolerate(pattern) {
    this.#tolerated.push(pattern);
  }

  /** An uncaught error in a page is a failure even when the journey got through. */
  assertNoPageErrors() {
    const all = this.#browsers.flatMap((browser) => browser.pageErrors);
    const errors = all.filter((error) => !this.#tolerated.some((pattern) => pattern.test(error)));
    if (errors.length > 0) throw new Error(`uncaught errors in pages:\n${errors.join("\n")}`);
  }

  /** Keeps screenshots, console logs and the relay's log of a failed journey. */
  async keepEvidence(error) {
    await rm(this.#out, { recursive: true, force: true });
    await mkdir(this.#out, { recursive: true });
    await writeFile(path.join(this.#out, "error.txt"), error.stack ?? String(error));
    for (const [index, browser] of this.#browsers.entries()) await browser.keepEvidence(path.join(this.#out, `browser-${index + 1}`));
    for (const [index, relay] of this.#relays.entries()) await writeFile(path.join(this.#out, `relay-${index + 1}.log`), relay.log());
    console.log(`       evidence: ${this.#out}`);
  }

  async close() {
    let failure;
    for (const close of this.#closers.reverse()) {
      try {
        await withTimeout(close(), CLEANUP_MS_MAX, "cleaning up took too long");
      } catch (error) {
        failure ??= error;
      }
    }
    return failure;
  }

  #keep(browser) {
    this.#browsers.push(browser);
    this.defer(() => browser.close());
    return browser;
  }
}

/** Rejects with `message` unless the promise settles in time. */
export async function withTimeout(promise, ms, message) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(message)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function slug(name) {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 80);
}

function indent(text) {
  return text.replace(/^/gm, "       ");
}
