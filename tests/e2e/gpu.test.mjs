// What happens when a GPU process hangs in the middle of a job.

import assert from "node:assert/strict";

import { embed, embeddingPage } from "./lib/embed.mjs";
import { join, lend, NOTES, ownPeerId } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

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
    const { backend, state } = document.querySelector('[data-testid="backend-active"]')?.dataset ?? {};
    const computes = state === "awake" ? backend : "nothing";
    if (window.backends.at(-1)?.computes !== computes) window.backends.push({ computes, at: Date.now() });
  }, 10);
}

test("gpu: a GPU that hangs costs one job; the page reacts meanwhile, and the processor serves on", { timeout: 300_000 }, async (t) => {
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
    // Its asker may look for somebody else a while longer before it says so.
    const failed = assert.rejects(request(), ({ code }) => code === "deadline" || code === "engine");
    const gone = await eventually("the worker that hung being ended", async () => (await ada.page.evaluate(() => window.backends)).find(({ computes }) => computes !== "webgpu"), 60_000);
    const next = await request();
    t.clock("next answer after a hung GPU", Date.now() - gone.at, 5_000);
    assert.equal(next.backend, "cpu");
    await failed;
    const waits = await ada.page.evaluate(() => window.waits);
    t.clock("reaction beside a hung GPU", Math.max(...waits), REACTION_MS_MAX);
  } finally {
    await lender.wake("gpu-process");
  }
});
