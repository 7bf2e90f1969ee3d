// What the page takes of a device's memory, read from the browser's processes.

import assert from "node:assert/strict";

import { embed, embeddingPage } from "./lib/embed.mjs";
import { addNotes, ask, join, lend, ownPeerId, seePeer, SMALL_DISK_BYTES } from "./lib/journey.mjs";
import { eventually, sleep, test } from "./lib/suite.mjs";

/** The tiers' own promises: asking on a small device, and MiniLM in floats on a usual one. */
const ASKING_BYTES_MAX = 200e6;
const FLOATS_BYTES_MAX = 1000e6;
/** What MiniLM with weights of one byte may add to a page that only joined. */
const BYTES_ADDED_MAX = 150e6;
/** What garbage collectors need to notice that there is something to do. */
const SETTLE_MS = 5_000;

/** Bytes of a browser's page, which is its largest, and of its GPU process. */
async function used(browser) {
  const [[page], [gpu]] = await Promise.all(["renderer", "gpu-process"].map((kind) => browser.memory(kind)));
  return page + gpu;
}

test("memory: asking and lending keep to what their tiers promise", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const { models } = await (await fetch(`${relay.origin}/models/index.json`)).json();
  const [asking, lending] = [await t.chromium(), await t.chromium()];
  const bob = await join(asking, relay.url);
  const ada = await join(lending, relay.url);
  await ada.goTo("node");
  await sleep(SETTLE_MS);
  const empty = await used(lending);
  await lend(ada);
  await seePeer(bob, await ownPeerId(ada));
  await addNotes(bob);
  await ask(bob);
  await ask(bob, "When is the library open?");
  await sleep(SETTLE_MS);
  const [[asked], downloaded] = [await asking.memory("renderer"), await used(lending)];
  const kept = await ada.page.evaluate(async () => (await navigator.storage.estimate()).usage);
  // What it takes on every later visit, when the model is on the device.
  await ada.reload();
  await ada.see("app", { state: "ready" });
  await ada.goTo("node");
  await ada.see("backend-active", {}, 60_000);
  await ask(bob, "Until when is the library open?");
  await sleep(SETTLE_MS);
  // Garbage is collected when the browser finds the time: the least of a minute counts, or the first that is within the bound.
  let lent = await used(lending);
  for (let turn = 0; turn < 12 && lent - empty > BYTES_ADDED_MAX; turn += 1) {
    await sleep(SETTLE_MS);
    lent = Math.min(lent, await used(lending));
  }
  const floats = models.find(({ precision }) => precision === "f32");
  await ada.page.locator(`[data-testid="model-load"][data-model="${floats.onnx.blake3}"]`).setTimeout(30_000).click();
  await eventually("both models", async () => (await ada.all("backend-active")).length === 2, 120_000);
  await sleep(SETTLE_MS);
  const [both] = await lending.memory("renderer");
  t.note("memory", {
    asking_bytes: asked,
    lending_bytes_added: lent - empty,
    lending_bytes_added_after_download: downloaded - empty,
    lending_disk_bytes: kept,
    floats_bytes: both,
  });
  assert.ok(asked > 0 && asked <= ASKING_BYTES_MAX, `asking takes ${asked} bytes`);
  assert.ok(lent > empty && lent - empty <= BYTES_ADDED_MAX, `lending on a small device adds ${lent - empty} bytes to ${empty}`);
  assert.ok(kept > 0 && kept <= SMALL_DISK_BYTES, `it keeps ${kept} bytes`);
  assert.ok(both > 0 && both <= FLOATS_BYTES_MAX, `with MiniLM in floats besides it takes ${both} bytes`);
});

/** What a browser may still hold of a model that sleeps. */
const ASLEEP_BYTES_MAX = 30e6;

test("memory: a model that nobody asks leaves the memory, and is back when somebody does", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const state = async (node) => (await node.call("status")).models.map(({ state }) => state).find(({ state }) => state === "loaded");
  // What is not there has no place in the status.
  const isAwake = (loaded) => loaded !== undefined && !loaded.wakeMs;
  const lend = async (node) => {
    await node.call("lend", { storageBytes: SMALL_DISK_BYTES });
    await eventually("a model in memory", async () => isAwake(await state(node)), 90_000);
  };
  // What a download leaves behind is the browser's to clear up: this is about a later visit.
  const first = await t.chromium();
  const visit = await embed(first, url);
  await lend(visit);
  await visit.call("lend", { enabled: false });
  await visit.call("stop");
  await first.quit();
  const lending = await t.chromium({ profile: first.profile });
  // Two minutes where nobody says otherwise.
  const ada = await embed(lending, url, { idleMs: 10_000 });
  const bob = await embed(await t.chromium(), url);
  const adaId = await ada.peerId;
  await sleep(SETTLE_MS);
  const empty = await used(lending);
  await lend(ada);
  const awake = await used(lending);
  const { wakeMs: wake_ms } = await eventually("a model out of memory", async () => (((await state(ada))?.wakeMs ?? 0) > 0 ? state(ada) : undefined), 60_000);
  const asleep = await eventually(
    "its memory given back",
    async () => {
      const bytes = await used(lending);
      return bytes - empty <= ASLEEP_BYTES_MAX ? bytes : undefined;
    },
    60_000,
  );
  await eventually("an offer", async () => (await bob.call("offers")).find(({ provider }) => provider === adaId));
  const started = performance.now();
  const result = await bob.call("request", "inference", { texts: ["How do plants make their food?"] }, {});
  const answered_ms = performance.now() - started;
  assert.equal(result.provider, adaId);
  assert.ok(isAwake(await state(ada)), "it is back in memory");
  t.note("asleep", { awake_bytes_added: awake - empty, asleep_bytes_added: asleep - empty, wake_ms, answered_ms });
});
