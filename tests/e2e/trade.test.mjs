// The main road: two browsers meet, one lends, the other asks, and both remember.

import assert from "node:assert/strict";

import { addNotes, ask, balance, join, lend, NOTES, ownPeerId, receipts, reputation, seeBalance, seeBalancesCancel, seePeer } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

const STEPS = ["providers", "proposals", "agreement", "activity", "verification", "receipt"];
const FACTORS = ["base_cost", "quality_multiplier", "market_demand", "reputation_factor"];

test("trade: two browsers see each other and are connected directly over WebRTC", async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  await ada.goTo("network");
  assert.match((await ada.see("diagnosis", { reason: "alone" })).text, /nobody else|alone|share/i);
  const bob = await join(await t.chromium(), relay.url);
  const [adaId, bobId] = [await ownPeerId(ada), await ownPeerId(bob)];
  assert.notEqual(adaId, bobId);
  await seePeer(ada, bobId, "webrtc");
  await seePeer(bob, adaId, "webrtc");
  await bob.see("presence", { peers: 1 });
  const relayRow = (await bob.all("peer")).find(({ data }) => data.role === "relay");
  assert.equal(relayRow.data.transport, "websocket");
  assert.equal((await bob.find("group")).data.group, "open");
  assert.match((await bob.find("group")).text, /everyone/i);
});

test("trade: one lends, the other asks; balances, reputation and receipts agree and survive", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const [lender, asker] = [await t.chromium(), await t.chromium()];
  const ada = await join(lender, relay.url);
  const bob = await join(asker, relay.url);
  const [adaId, bobId] = [await ownPeerId(ada), await ownPeerId(bob)];
  await seePeer(bob, adaId);

  await lend(ada);
  await ada.see("tier");
  assert.equal((await ada.all("measurement")).length, 5);

  await bob.goTo("market");
  const offer = await bob.see("offer", { peer: adaId, service: "inference" });
  assert.ok(Number(offer.data.millicredits) > 0, "an offer has a price");
  const factors = await bob.all("offer-factor", `[data-testid="offer"][data-peer="${adaId}"][data-service="inference"]`);
  assert.deepEqual(factors.map(({ data }) => data.factor).sort(), [...FACTORS].sort());

  await addNotes(bob);
  const answer = await ask(bob);
  assert.deepEqual(answer.steps, STEPS);
  assert.match(answer.results[0].text, NOTES.answer);
  assert.ok(answer.results[0].score > (answer.results[1]?.score ?? 0), "the best comes first");
  assert.equal(answer.provider, adaId);
  assert.equal(answer.verdict, "spot-checked");
  assert.deepEqual([...answer.factors].sort(), [...FACTORS].sort());
  assert.ok(answer.price > 0);
  assert.equal(bob.page.workers().length, 0, "who asks loads no model");

  await seeBalance(bob, -answer.price);
  await seeBalance(ada, answer.price);
  const paid = (await receipts(bob)).find(({ id }) => id === answer.receipt);
  const earned = (await receipts(ada)).find(({ id }) => id === answer.receipt);
  assert.deepEqual(paid, { id: answer.receipt, millicredits: -answer.price, peer: adaId, status: "complete" });
  assert.deepEqual(earned, { id: answer.receipt, millicredits: answer.price, peer: bobId, status: "complete" });
  const trusted = await reputation(bob, adaId);
  assert.ok(trusted.low < trusted.score && trusted.score < trusted.high, "a score is a range");
  await bob.click("why");
  await bob.see("why-receipt", { receipt: answer.receipt });
  assert.match((await bob.see("vouchers")).text, /you paid it/);
  assert.equal(Number((await bob.see("voucher", { peer: bobId })).data.part), 1, "nobody else paid so far");

  await Promise.all([ada.reload(), bob.reload()]);
  await Promise.all([ada.see("app", { state: "ready" }), bob.see("app", { state: "ready" })]);
  await Promise.all([seeBalance(bob, -answer.price), seeBalance(ada, answer.price)]);
  assert.deepEqual(await reputation(bob, adaId), trusted);

  await Promise.all([lender.kill(), asker.kill()]);
  const ada2 = await join(await t.chromium({ profile: lender.profile }), relay.url);
  const bob2 = await join(await t.chromium({ profile: asker.profile }), relay.url);
  assert.equal(await ownPeerId(ada2), adaId);
  assert.equal(await ownPeerId(bob2), bobId);
  await seeBalance(bob2, -answer.price);
  await seeBalance(ada2, answer.price);
  assert.equal((await receipts(bob2)).filter(({ id }) => id === answer.receipt).length, 1);
  await ada2.goTo("node");
  await ada2.see("sold", { count: 1 });
});

test("trade: with a second provider two agree", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const [ada, eve, bob] = [await join(await t.chromium(), relay.url), await join(await t.chromium(), relay.url), await join(await t.chromium(), relay.url)];
  await lend(ada);
  await lend(eve);
  await bob.goTo("market");
  for (const lender of [ada, eve]) await bob.see("offer", { peer: await ownPeerId(lender), service: "inference" });
  await addNotes(bob);
  const answer = await ask(bob);
  assert.equal(answer.verdict, "two-agree");
  // The second provider is paid while the answer is shown already; until its half is back, only its side is settled.
  await seeBalancesCancel(ada, eve, bob);
});

test("trade: nobody to ask is said plainly and costs nothing", async (t) => {
  const relay = await t.relay();
  const bob = await join(await t.chromium(), relay.url);
  await addNotes(bob);
  await assert.rejects(ask(bob), (error) => {
    assert.equal(error.code, "no_provider");
    assert.ok(error.text.length > 20, `too short to help: ${error.text}`);
    return true;
  });
  assert.equal(await balance(bob), 0);
  await bob.see("passage-count", { count: NOTES.passages.length });
});
