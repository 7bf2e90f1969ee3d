// Credit lines: among the members of a group the owner of a device says how much each may owe it.

import assert from "node:assert/strict";

import { addNotes, ask, invite, join, lend, ownPeerId, Refused, seePeer } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

/** Chooses how much a member may owe. */
async function allow(person, peer, choice) {
  await person.page.select(`[data-testid="credit-line"][data-peer="${peer}"] [data-testid="credit-choice"]`, choice);
  await person.see("credit-line", { peer, line: choice });
}

test("credit: a member at its limit is refused with the reason, then raised and served", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  await ada.goTo("network");
  assert.equal(await ada.find("credit-lines"), undefined, "in the open group other rules hold");
  const link = await invite(ada);
  const bob = await join(await t.chromium(), link);
  const [adaId, bobId] = [await ownPeerId(ada), await ownPeerId(bob)];
  await seePeer(bob, adaId);
  await lend(ada);
  await bob.goTo("market");
  await bob.see("offer", { peer: adaId, service: "inference" });
  await addNotes(bob);
  const { price } = await ask(bob);

  await ada.goTo("network");
  const row = await ada.see("credit-line", { peer: bobId, owed: price });
  assert.equal(row.data.line, "default");
  assert.match(row.text, /now: without limit/);
  await allow(ada, bobId, "limit");
  const amount = await ada.page.waitForSelector(`[data-testid="credit-line"][data-peer="${bobId}"] [data-testid="credit-amount"]`);
  assert.equal(await amount.evaluate((input) => input.value), "10");
  await amount.evaluate((input, credits) => {
    input.value = credits;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, String(price / 1000));
  await assert.rejects(ask(bob, "When is the library open?"), (error) => {
    assert.ok(error instanceof Refused);
    assert.equal(error.code, "credit_limit");
    assert.match(error.text, /credit line/i);
    assert.match(error.text, /let you owe more/);
    return true;
  });

  // Settings stick.
  await ada.reload();
  await ada.see("app", { state: "ready" });
  await ada.goTo("network");
  await ada.see("credit-line", { peer: bobId, line: "limit", owed: price });
  await seePeer(bob, adaId);
  await lend(ada);
  await bob.goTo("market");
  await bob.see("offer", { peer: adaId, service: "inference" });
  await assert.rejects(ask(bob, "What must be cleaned and oiled?"), { code: "credit_limit" });
  await ada.goTo("network");
  await allow(ada, bobId, "unlimited");
  const answer = await ask(bob, "What is banned in supermarkets?");
  assert.equal(answer.provider, adaId);
  await ada.see("credit-line", { peer: bobId, owed: price + answer.price });
});
