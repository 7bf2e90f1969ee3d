// A tab that nobody looks at for a quarter of an hour, which is when browsers slow it down the most.

import assert from "node:assert/strict";

import { sleep, test } from "../lib/suite.mjs";
import { arrive, follow, lendAndBeSeen, meet, settle, TEXTS } from "../lib/survival.mjs";

const HIDDEN_MS = 15 * 60_000;

test("endure: a tab hidden for a quarter of an hour still answers", { timeout: HIDDEN_MS + 300_000 }, async (t) => {
  const relay = await t.relay();
  const browser = await t.chromium({ throttled: true });
  const ada = await settle(t, relay, browser);
  const bob = await arrive(t, relay);
  await meet(ada, bob);
  await lendAndBeSeen(ada, bob);
  await Promise.all([follow(ada), follow(bob)]);

  const front = await browser.open("about:blank");
  await front.page.bringToFront();
  assert.equal(await ada.page.evaluate(() => document.visibilityState), "hidden");
  const hidden = Date.now();
  await sleep(HIDDEN_MS);

  const started = performance.now();
  const { provider } = await bob.call("request", "inference", { texts: TEXTS }, {});
  t.clock("hidden-tab-answers", performance.now() - started, 5_000);
  const adaId = await ada.peerId;
  assert.equal(provider, adaId);
  assert.equal(await ada.page.evaluate(() => document.visibilityState), "hidden");
  for (const [node, other] of [[ada, await bob.peerId], [bob, adaId]]) {
    const seen = await node.page.evaluate(() => window.trail);
    const later = seen.filter(({ at }) => at > hidden);
    assert.ok(later.every(({ reserved, direct }) => reserved && direct.includes(other)), `a connection was lost: ${JSON.stringify(later)}`);
  }
});
