// Two different browsers are one network.

import { join, ownPeerId, seePeer, tradeOnce } from "./lib/journey.mjs";
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
