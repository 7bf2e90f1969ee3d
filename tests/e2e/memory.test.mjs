// What the page takes of a device's memory, read from the browser's processes.

import assert from "node:assert/strict";

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
