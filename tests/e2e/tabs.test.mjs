// One node per browser profile.

import assert from "node:assert/strict";

import { join, ownPeerId } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

test("tabs: a second tab says where the node runs and takes it over when asked", async (t) => {
  const relay = await t.relay();
  const browser = await t.chromium();
  const first = await join(browser, relay.url);
  const id = await ownPeerId(first);

  const second = await browser.open(relay.url);
  await second.see("app", { state: "other-tab" });
  assert.match((await second.see("other-tab")).text, /other tab|another tab/i);
  await second.click("use-here");
  await second.see("app", { state: "ready" });
  assert.equal(await ownPeerId(second), id);
  await first.page.bringToFront();
  await first.see("other-tab");
});

test("tabs: closing the node's tab lets the next one start at once", async (t) => {
  const relay = await t.relay();
  const browser = await t.chromium();
  const first = await join(browser, relay.url);
  const id = await ownPeerId(first);
  await first.page.close();
  const second = await join(browser, relay.url);
  assert.equal(await ownPeerId(second), id);
});
