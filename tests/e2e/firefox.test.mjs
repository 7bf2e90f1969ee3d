// Two different browsers are one network.

import { invite, join, ownPeerId, seePeer, tradeOnce } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

test("firefox: Chromium and Firefox connect directly and trade once", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  const bob = await join(await t.firefox(), relay.url);
  const [adaId, bobId] = [await ownPeerId(ada), await ownPeerId(bob)];
  await seePeer(bob, adaId, "webrtc");
  await seePeer(ada, bobId, "webrtc");
  await tradeOnce(ada, bob);
});

test("firefox: an invitation makes a group, and the node goes on in the only tab there is", async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.firefox(), relay.url);
  await invite(ada);
  await ada.seeWhere("group", "of one's own", ({ data }) => data.group !== "open");
  await ada.goTo("network");
  await ada.see("credit-lines");
  await ada.see("app", { state: "ready" });
});
