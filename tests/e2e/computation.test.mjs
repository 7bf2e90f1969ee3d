// The site's computation worker, as it is served: its modules give their known answers in every browser.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import { embed, embeddingPage } from "./lib/embed.mjs";
import { balance, join, lend, ownPeerId, seeBalancesCancel, seePeer } from "./lib/journey.mjs";
import { lieAboutRuns } from "./lib/liar.mjs";
import { eventually, test } from "./lib/suite.mjs";

/** A worker loads, a module is compiled, and a slow machine computes for seconds. */
const RUN_MS_MAX = 60_000;
/** A model is loaded and measured first, then the modules. */
const PREPARE_MS_MAX = 120_000;

/** Computes the sample of each module in a worker of the page, by the messages of `computation::protocol`. */
function samples(person) {
  return person.page.evaluate(async (msMax) => {
    // Of CBOR (RFC 8949) only what these messages need.
    const head = (major, value) => {
      const [info, length] = value < 24 ? [value, 0] : value < 2 ** 8 ? [24, 1] : value < 2 ** 16 ? [25, 2] : value < 2 ** 32 ? [26, 4] : [27, 8];
      const digits = Array.from({ length }, (_, place) => Math.floor(value / 256 ** (length - 1 - place)) % 256);
      return Uint8Array.of((major << 5) | info, ...digits);
    };
    const encode = (value) => {
      if (typeof value === "number") return [head(0, value)];
      if (value instanceof Uint8Array) return [head(2, value.length), value];
      return [head(4, value.length), ...value.flatMap(encode)];
    };
    const decode = (bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      let at = 0;
      const next = () => {
        const first = view.getUint8(at++);
        const [major, info] = [first >> 5, first & 31];
        const length = info < 24 ? 0 : 1 << (info - 24);
        const value = [() => info, () => view.getUint8(at), () => view.getUint16(at), , () => view.getUint32(at), , , , () => Number(view.getBigUint64(at))][length]();
        at += length;
        if (major === 0) return value;
        if (major === 4) return Array.from({ length: value }, next);
        const text = bytes.slice(at, (at += value));
        return major === 2 ? text : new TextDecoder().decode(text);
      };
      return next();
    };
    const fromHex = (hex) => Uint8Array.from(hex.match(/../g), (pair) => Number.parseInt(pair, 16));

    const script = new URL("/worker/computation_worker.js", location).href;
    const loader = new Blob([`import init from ${JSON.stringify(script)}; await init();`], { type: "text/javascript" });
    const worker = new Worker(URL.createObjectURL(loader), { type: "module" });
    const reply = () =>
      new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error("the worker says nothing")), msMax);
        worker.onmessage = ({ data }) => resolve(decode(data));
        worker.onerror = ({ message }) => reject(new Error(message));
      });
    const ask = (request) => {
      const parts = encode(request);
      worker.postMessage(new Uint8Array(parts.flatMap((part) => [...part])));
      return reply();
    };

    const READY = 4;
    const [said] = await reply();
    if (said !== READY) throw new Error(`it said ${said}`);
    const { modules } = await (await fetch("/modules/modules.json")).json();
    const results = [];
    for (const { name, bytes, sample, answer } of modules) {
      const module = new Uint8Array(await (await fetch(`/modules/${name}.wasm`)).arrayBuffer());
      const input = sample.text === undefined ? fromHex(sample.hex) : new TextEncoder().encode(sample.text);
      const prepared = await ask([0, [module]]);
      const [kind, [, [fuel, [ending, [output]]]]] = await ask([1, [7, input, answer.fuel]]);
      const hash = ending === 0 && [...new Uint8Array(await crypto.subtle.digest("SHA-256", output))].join();
      results.push({ name, isWhole: module.length === bytes, prepared: prepared[0], kind, fuel, ending, length: output.length, hash, answer });
    }
    worker.terminate();
    return results;
  }, RUN_MS_MAX);
}

function check(results) {
  assert.deepEqual(
    results.map(({ name }) => name),
    ["words", "shrink", "factors"],
  );
  for (const { name, isWhole, prepared, kind, fuel, ending, length, answer } of results) {
    assert.deepEqual({ isWhole, prepared, kind, ending }, { isWhole: true, prepared: 0, kind: 2, ending: 0 }, name);
    assert.deepEqual({ fuel, length }, { fuel: answer.fuel, length: answer.output_bytes }, name);
  }
}

test("computation: Chromium, Firefox and the interpreter agree on each module of the site", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  const bob = await join(await t.firefox(), relay.url);
  for (const { page } of [ada, bob]) {
    await eventually("a service worker in control", () => page.evaluate(() => navigator.serviceWorker.controller?.state === "activated"));
  }
  const inChromium = await samples(ada);
  check(inChromium);
  const inFirefox = await samples(bob);
  check(inFirefox);
  assert.deepEqual(inFirefox, inChromium, "the outputs are the same");

  // Firefox looks for a newer service worker whenever it likes, and says so when there is none to be had.
  await bob.page.close();
  // What was used once is part of this version of the page, and there without a network.
  await relay.stop();
  await ada.page.setOfflineMode(true);
  check(await samples(ada));
});

/** Starts a node on somebody else's page that lends, and waits until others see that it computes. */
async function computer(t, url, viewOptions) {
  const node = await embed(await t.chromium(), url, {}, viewOptions);
  await node.call("lend", {});
  const own = await node.peerId;
  await eventually("an engine that was measured", async () => {
    const { computer } = await node.call("status");
    if (computer.state === "failed") throw new Error(computer.reason);
    return computer.state === "ready";
  }, PREPARE_MS_MAX);
  return { node, own };
}

/** So many numbers from the first one on, for the module that takes numbers apart. */
function range(first, count) {
  const numbers = new DataView(new ArrayBuffer(16));
  numbers.setBigUint64(0, first, true);
  numbers.setBigUint64(8, BigInt(count), true);
  return Array.from(new Uint8Array(numbers.buffer));
}

/** Has a module of the site run on inputs, and gives the outcome with outputs as arrays. */
function compute(buyer, relay, name, inputs, { fuel, requirements = {} } = {}) {
  return buyer.page.evaluate(
    async (origin, name, inputs, fuel, requirements) => {
      const module = new Uint8Array(await (await fetch(`${origin}/modules/${name}.wasm`)).arrayBuffer());
      try {
        const payload = { module, inputs: inputs.map((input) => Uint8Array.from(input)), ...(fuel && { fuel }) };
        const outcome = await window.node.request("computation", payload, requirements);
        const runs = outcome.runs.map((run) => ({ ...run, output: run.output && Array.from(run.output) }));
        return { ...outcome, runs };
      } catch (error) {
        return { code: error.code, message: String(error.message) };
      }
    },
    relay.origin,
    name,
    inputs,
    fuel,
    requirements,
  );
}

const bytes = (text) => Array.from(new TextEncoder().encode(text));

test("computation: a module is bought, runs elsewhere, and only what it used is paid", { timeout: 300_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const ada = await computer(t, url);
  const bob = await embed(await t.chromium(), url);
  await eventually("a direct connection", async () => (await bob.call("peers")).find(({ id, transport }) => id === ada.own && transport === "webrtc"));

  const texts = ["one two two", "three three three one"];
  const outcome = await compute(bob, relay, "words", texts.map(bytes));
  assert.equal(outcome.code, undefined, outcome.message);
  assert.equal(outcome.provider, ada.own);
  const said = outcome.runs.map(({ output }) => new TextDecoder().decode(Uint8Array.from(output)));
  assert.match(said[0], /word\t2\ttwo/);
  assert.match(said[1], /word\t3\tthree/);
  assert.equal(outcome.verification.method, "unchecked", "there is nobody else to compare with");
  assert.equal(outcome.receipt.partial, true);
  const whole = (outcome.factors.baseCost * outcome.factors.qualityMultiplier * outcome.factors.marketDemand * outcome.factors.reputationFactor) / 1e18;
  assert.ok(outcome.price < whole / 10, `${outcome.price} of ${whole} millicredits for ${outcome.receipt.units} units`);
  for (const [node, delta] of [[bob, -outcome.price], [ada.node, outcome.price]]) {
    await eventually("a balance moved by the price", async () => (await node.call("balance")).settled === delta);
  }

  // A run that never ends is ended by its fuel, and paid for what it used; the next one is served.
  const endless = await compute(bob, relay, "factors", [range(10n ** 18n, 1_000)], { fuel: 1e6 });
  assert.match(endless.runs[0].failure, /more work than was paid for/);
  const again = await compute(bob, relay, "words", [bytes("again again")]);
  assert.equal(again.code, undefined, again.message);
  // What is no module is refused by the worker that was to run it, in the same words everywhere.
  const nonsense = await bob.page.evaluate(async () => (await window.node.request("computation", { module: new Uint8Array([1, 2, 3]), inputs: [new Uint8Array(1)] })).runs);
  assert.match(nonsense[0].failure, /the module was refused/);
  for (const payload of [{}, { module: "x", inputs: [] }, { module: [], inputs: [], more: 1 }]) {
    await assert.rejects(bob.call("request", "computation", payload, {}), { isError: true, code: "invalid_input" });
  }
});

test("computation: a liar is contradicted by a second one, and a provider that goes is replaced", { timeout: 300_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const liar = await computer(t, url, { before: lieAboutRuns });
  const ada = await computer(t, url);
  const carol = await computer(t, url);
  const bob = await embed(await t.chromium(), url);
  for (const { own } of [liar, ada, carol]) {
    await eventually("a direct connection", async () => (await bob.call("peers")).find(({ id, transport }) => id === own && transport === "webrtc"));
  }
  // Modules go over direct connections, and while the circuit stands messages may take either.
  await eventually("circuits being closed", async () => (await bob.call("status")).connections.every(({ transport }) => transport !== "relayed"));
  await liar.node.page.evaluate(() => (window.lies = 0));
  for (let round = 0; round < 3; round += 1) {
    const outcome = await compute(bob, relay, "words", [bytes("one two two"), bytes("three")]);
    assert.equal(outcome.code, undefined, outcome.message);
    assert.notEqual(outcome.provider, liar.own);
    assert.equal(outcome.verification.method, "two_agree");
    assert.match(new TextDecoder().decode(Uint8Array.from(outcome.runs[0].output)), /word\t2\ttwo/);
  }
  assert.equal((await liar.node.call("balance")).settled, 0);
  const earned = async () => (await ada.node.call("balance")).settled + (await carol.node.call("balance")).settled;
  await eventually("balances that cancel out", async () => (await bob.call("balance")).settled === -(await earned()));

  // Work that takes all the fuel it is given, which is seconds; whoever has it is gone in the middle of it.
  await bob.page.evaluate(() => {
    window.steps = [];
    window.node.on("trade", ({ step }) => window.steps.push(step));
  });
  const long = compute(bob, relay, "factors", [range(10n ** 18n, 100_000), range(10n ** 17n, 100_000)], { fuel: 2 ** 34, requirements: { deadlineMs: 120_000 } });
  const first = await eventually("work being given away", () => bob.page.evaluate(() => window.steps.some(({ step }) => step === "sent") && window.steps.find(({ step }) => step === "chosen").provider));
  await [ada, carol].find(({ own }) => own === first).node.page.close();
  const outcome = await long;
  assert.equal(outcome.code, undefined, outcome.message);
  assert.notEqual(outcome.provider, first);
  assert.match(outcome.runs[0].failure, /more work than was paid for/);
});

test("computation: a person has a program run on text and on files, and stops one that is long", { timeout: 300_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  const adaId = await ownPeerId(ada);
  await lend(ada);
  const bob = await join(await t.chromium(), relay.url);
  await seePeer(bob, adaId);
  await bob.goTo("market");
  await bob.seeWhere("offer", "of computation", ({ data }) => data.peer === adaId && data.service === "computation", PREPARE_MS_MAX);
  await bob.page.locator('[data-testid="compute"] summary').click();

  await bob.seeWhere("compute-program", "with the site's programs", ({ text }) => /Word statistics/.test(text));
  await bob.write("compute-input", "one two two");
  await bob.click("compute-run");
  await bob.see("compute-progress", { over: true }, RUN_MS_MAX);
  const [typed] = await bob.all("compute-result");
  assert.equal(typed.data.right, "true", typed.text);
  assert.match(typed.text, /word\t2\ttwo/);

  const folder = await mkdtemp(path.join(os.tmpdir(), "knowledge-inputs-"));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const files = await Promise.all(
    Array.from({ length: 20 }, async (_, place) => {
      const file = path.join(folder, `text-${place}.txt`);
      await writeFile(file, `number${place} `.repeat(place + 1));
      return file;
    }),
  );
  await (await bob.page.$('[data-testid="compute-files"]')).uploadFile(...files);
  await bob.page.waitForFunction(() => document.querySelector('[data-testid="compute-input"]').disabled);
  await bob.click("compute-run");
  await eventually("a result for each file", async () => (await bob.all("compute-result")).length === files.length, RUN_MS_MAX);
  await bob.see("compute-progress", { over: true });
  for (const { text, data } of await bob.all("compute-result")) {
    const [, place] = /^text-(\d+)\.txt/.exec(text);
    assert.equal(data.right, "true", text);
    assert.match(text, new RegExp(`word\\t${Number(place) + 1}\\tnumber${place}(?!\\d)`));
  }

  // Numbers whose factors take a laptop half a minute: stopped, it costs at most what was done of it.
  await bob.choose("compute-program", "2");
  await bob.write("compute-input", range(10n ** 18n, 100_000).map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  await bob.choose("compute-fuel", String(2 ** 36));
  await bob.click("compute-run");
  await bob.see("compute-progress", { over: false });
  await eventually("work under way", async () => /Working on/.test((await ada.see("lend-state")).text), 20_000);
  await bob.click("compute-cancel");
  await bob.see("compute-progress", { over: true });
  await seeBalancesCancel(ada, bob);
  assert.ok((await balance(bob)) < 0, "what was computed was paid");
});
