// Answers that were computed once and are sold again, between separate browsers.

import assert from "node:assert/strict";

import { embed, embeddingPage } from "./lib/embed.mjs";
import { addNotes, ask, join, lend, NOTES, ownPeerId, seeBalancesCancel, seePeer } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

/** A model is loaded and measured first. */
const PREPARE_MS_MAX = 120_000;
/** Offers are filed and looked for every few seconds. */
const OFFER_MS_MAX = 60_000;

const TEXTS = ["How do plants make their food?"];

/** A node on somebody else's page that lends a small model. */
async function lender(t, url) {
  const node = await embed(await t.chromium(), url);
  await node.call("lend", { storageBytes: 50e6 });
  return { node, id: await node.peerId };
}

const offers = (node, service, provider) => eventually(`an offer of ${service}`, async () => (await node.call("offers")).find((offer) => offer.service === service && offer.provider === provider), PREPARE_MS_MAX);

/** Buys vectors; what is refused is its code. */
function buy(node, service, payload) {
  return node.page.evaluate(
    async (service, payload) => {
      try {
        const outcome = await window.node.request(service, payload);
        return { ...outcome, embeddings: outcome.embeddings.map((vector) => Array.from(vector)) };
      } catch ({ code, message }) {
        return { code, message };
      }
    },
    service,
    payload,
  );
}

const lookUp = (node, model, texts) => buy(node, "cache_query", { model, texts });

test("cache: the same text again is not computed, costs less, and says who computed it", { timeout: 300_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const ada = await lender(t, url);
  const bob = await embed(await t.chromium(), url);
  await offers(bob, "inference", ada.id);
  const computed = await buy(bob, "inference", { texts: TEXTS });
  assert.equal(computed.code, undefined, computed.message);
  assert.equal(computed.provider, ada.id);

  const carol = await embed(await t.firefox(), url);
  await offers(carol, "cache_query", ada.id);
  const earned = async () => (await ada.node.call("balance")).settled;
  const kept = await lookUp(carol, computed.model, TEXTS);
  assert.equal(kept.code, undefined, kept.message);
  assert.equal(kept.provider, ada.id);
  assert.equal(kept.verification.method, "kept");
  assert.equal(kept.verification.signer, ada.id);
  assert.equal(kept.verification.signers, 1);
  assert.ok(Math.abs(Date.now() - kept.verification.computedAt) < 300_000);
  assert.equal(kept.receipt.service, "cache_query");
  assert.ok(kept.price > 0 && kept.price < computed.price, `${kept.price} of ${computed.price} millicredits`);
  assert.deepEqual(kept.embeddings, computed.embeddings);
  await eventually("the price being earned", async () => (await earned()) === -(await carol.call("balance")).settled - (await bob.call("balance")).settled);

  const asked = performance.now();
  assert.equal((await lookUp(carol, computed.model, ["a text that nobody asked about"])).code, "not_held");
  assert.ok(performance.now() - asked < 5_000, "it is said at once");
  assert.equal((await buy(carol, "cache_query", { texts: TEXTS })).code, "invalid_input");

  // It is still there when its maker's page was loaded anew.
  await ada.node.page.reload();
  await eventually("the module being loaded", () => ada.node.page.evaluate(() => "KnowledgeNode" in window));
  await ada.node.start({});
  const later = await eventually("an answer after the reload", async () => {
    const outcome = await lookUp(carol, computed.model, TEXTS);
    return outcome.code === undefined && outcome;
  }, PREPARE_MS_MAX);
  assert.equal(later.verification.computedAt, kept.verification.computedAt);

  // Who bought it and lends sells it when its maker is gone.
  await bob.call("lend", { storageBytes: 50e6 });
  const bobId = await bob.peerId;
  await offers(carol, "cache_query", bobId);
  await ada.node.page.close();
  const dave = await embed(await t.chromium(), url);
  await offers(dave, "cache_query", bobId);
  const again = await eventually("an answer of the one that is left", async () => {
    const outcome = await lookUp(dave, computed.model, TEXTS);
    return outcome.code === undefined && outcome;
  }, OFFER_MS_MAX);
  assert.equal(again.provider, bobId);
  assert.equal(again.verification.signer, ada.id, "the word is still its maker's");
});

test("cache: a person who asks what was asked before is told where the answer comes from", { timeout: 300_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  const adaId = await ownPeerId(ada);
  await lend(ada);
  const [bob, carol] = [await join(await t.chromium(), relay.url), await join(await t.chromium(), relay.url)];
  for (const person of [bob, carol]) {
    await seePeer(person, adaId);
    await addNotes(person);
    await ask(person, "When is the library open?");
  }
  await ask(bob);
  await carol.goTo("market");
  await carol.seeWhere("offer", "of kept answers", ({ data }) => data.service === "cache_query" && data.peer === adaId, OFFER_MS_MAX);
  const answer = await ask(carol);
  assert.equal(answer.verdict, "kept");
  assert.match(answer.results[0].text, NOTES.answer);
  assert.equal(answer.provider, adaId);
  await seeBalancesCancel(ada, bob, carol);
});
