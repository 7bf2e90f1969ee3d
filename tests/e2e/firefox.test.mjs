// Two different browsers are one network.

import assert from "node:assert/strict";

import { addNotes, ask, join, lend, NOTES, ownPeerId, seeBalance, seePeer } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

test("firefox: Chromium and Firefox connect directly and trade once", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  const bob = await join(await t.firefox(), relay.url);
  const [adaId, bobId] = [await ownPeerId(ada), await ownPeerId(bob)];
  await seePeer(bob, adaId, "webrtc");
  await seePeer(ada, bobId, "webrtc");

  await lend(ada);
  await bob.goTo("market");
  await bob.see("offer", { peer: adaId });
  await addNotes(bob);
  const answer = await ask(bob);
  assert.match(answer.results[0].text, NOTES.answer);
  assert.equal(answer.provider, adaId);
  await seeBalance(ada, answer.price);
  await seeBalance(bob, -answer.price);
});
