// A trade that is computed by the project's own kernels on WebGPU.

import assert from "node:assert/strict";

import { embed, embeddingPage } from "./lib/embed.mjs";
import { addNotes, ask, join, lend, NOTES, ownPeerId, seePeer } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

test("webgpu: a provider sells a trade computed by the project's own kernels", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium({ webgpu: true }), relay.url);
  const bob = await join(await t.chromium(), relay.url);
  const adaId = await ownPeerId(ada);
  await seePeer(bob, adaId);

  await ada.goTo("node");
  await ada.choose("backend", "webgpu");
  await lend(ada);
  await ada.see("backend-active", { backend: "webgpu" }, 120_000);

  await bob.goTo("market");
  await bob.see("offer", { peer: adaId });
  await addNotes(bob, NOTES);
  const answer = await ask(bob, NOTES.question, 120_000);
  assert.match(answer.results[0].text, NOTES.answer);
  assert.equal(answer.backend, "webgpu");
  assert.equal(answer.verdict, "spot-checked");
});

/** The longest that a person may wait for the page to react. */
const REACTION_MS_MAX = 200;

/** In the page: notes each wait of its main thread, and each change of what computes. */
function watch() {
  window.waits = [];
  window.backends = [];
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    window.waits.push(now - last);
    last = now;
    const backend = document.querySelector('[data-testid="backend-active"]')?.dataset.backend;
    if (window.backends.at(-1)?.backend !== backend) window.backends.push({ backend, at: Date.now() });
  }, 10);
}

test("webgpu: a GPU that hangs costs one job; the page reacts meanwhile, and the processor serves on", { timeout: 300_000 }, async (t) => {
  const relay = await t.relay();
  const lender = await t.chromium({ webgpu: true });
  const ada = await join(lender, relay.url);
  const adaId = await ownPeerId(ada);
  await ada.choose("backend", "webgpu");
  await lend(ada);
  await ada.see("backend-active", { backend: "webgpu" }, 120_000);
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const bob = await embed(await t.chromium(), url);
  await eventually("an offer", async () => (await bob.call("offers")).find(({ provider }) => provider === adaId), 60_000);
  const request = () => bob.call("request", "inference", { texts: [NOTES.question] }, {});
  assert.equal((await request()).backend, "webgpu");

  await ada.page.evaluate(watch);
  await lender.sleep("gpu-process");
  try {
    await assert.rejects(request(), ({ code }) => code === "deadline" || code === "engine");
    const served = await eventually("an answer from the processor", async () => ((await request()).backend === "cpu" ? Date.now() : undefined), 60_000);
    const { waits, backends } = await ada.page.evaluate(() => ({ waits: window.waits, backends: window.backends }));
    const gone = backends.find(({ backend }) => backend !== "webgpu");
    assert.ok(gone, `the worker that hung was ended: ${JSON.stringify(backends)}`);
    t.clock("next answer after a hung GPU", served - gone.at, 5_000);
    t.clock("reaction beside a hung GPU", Math.max(...waits), REACTION_MS_MAX);
  } finally {
    await lender.wake("gpu-process");
  }
});
