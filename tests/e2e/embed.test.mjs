// The node on pages that are not ours: the ES module, its class, its errors.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { embed, embeddingPage } from "./lib/embed.mjs";
import { join, lend, ownPeerId } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

const PREPARE_MS_MAX = 90_000;

async function elsewhere(t, relay) {
  return (await t.origin({ "/index.html": embeddingPage(relay.origin) })).url;
}

test("embed: two nodes of another origin meet over WebRTC and trade an inference", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const url = await elsewhere(t, relay);
  const ada = await embed(await t.chromium(), url);
  const bob = await embed(await t.chromium(), url);
  const [adaId, bobId] = [await ada.peerId, await bob.peerId];
  assert.match(adaId, /^12D3KooW/);
  for (const [node, other] of [[ada, bobId], [bob, adaId]]) {
    await eventually("a direct connection", async () => (await node.call("peers")).find(({ id, transport }) => id === other && transport === "webrtc"));
  }

  await ada.call("lend", {});
  await eventually("an offer", async () => (await bob.call("offers")).find(({ provider }) => provider === adaId), PREPARE_MS_MAX);
  await bob.listen("trade");
  const texts = ["How do plants make their food?", "Photosynthesis turns sunlight into sugar.", "A bicycle chain should be oiled."];
  const result = await bob.call("request", "inference", { texts }, {});

  assert.equal(result.provider, adaId);
  assert.equal(result.embeddings.length, texts.length);
  for (const { type, values } of result.embeddings) {
    assert.equal(type, "Float32Array");
    assert.equal(values.length, 384);
    assert.ok(Math.abs(Math.hypot(...values) - 1) < 1e-3, "a unit vector");
  }
  const [question, right, wrong] = result.embeddings.map(({ values }) => values);
  assert.ok(cosine(question, right) > cosine(question, wrong) + 0.2, "meaning is near meaning");
  assert.ok(result.price > 0);
  assert.ok((await bob.heard()).length > 0, "steps are told as events");

  for (const [node, delta] of [[bob, -result.price], [ada, result.price]]) {
    const receipt = await eventually("the receipt on both sides", async () => (await node.call("receipts")).find(({ id }) => id === result.receipt.id));
    assert.equal(receipt.delta, delta);
    await eventually("a balance moved by the price", async () => (await node.call("balance")).settled === delta);
  }
  const trusted = await bob.call("reputation", adaId);
  assert.ok(trusted.lower < trusted.score && trusted.score < trusted.upper);
  assert.ok((await ada.call("capabilities")) !== null);

  await ada.call("stop");
  await assert.rejects(ada.call("request", "inference", { texts }, {}), { isError: true, code: "stopped" });
});

test("embed: the README's page, word for word, shows an answer", { timeout: 180_000 }, async (t) => {
  const relay = await t.relay();
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const example = /```html\n(.*?)```/s.exec(readme)?.[1];
  assert.ok(example?.includes("http://localhost:8080/"), "the README has the example");
  assert.ok(example.trim().split("\n").length <= 15, "in fifteen lines");
  const ada = await join(await t.chromium(), relay.url);
  const adaId = await ownPeerId(ada);
  await lend(ada);
  const { url } = await t.origin({ "/index.html": example.replace("http://localhost:8080", relay.origin) });
  const reader = await (await t.chromium()).open(url);
  const text = await eventually("an answer", () => reader.page.$eval("#out", (out) => out.textContent !== "starting…" && out.textContent), 30_000);
  assert.match(text, new RegExp(`^384 numbers from ${adaId} for \\d+ millicredits$`));
});

test("embed: a group keeps embedding pages apart", { timeout: 180_000 }, async (t) => {
  const relay = await t.relay();
  const url = await elsewhere(t, relay);
  const ada = await embed(await t.chromium(), url);
  const group = await ada.page.evaluate(() => window.KnowledgeNode.newGroup());
  const bob = await embed(await t.chromium(), url, { group });
  const carol = await embed(await t.chromium(), url, { group });
  const carolId = await carol.peerId;
  await eventually("members meeting", async () => (await bob.call("peers")).find(({ id, transport }) => id === carolId && transport === "webrtc"));
  await ada.call("lend", {});
  await eventually("the offer of one's own", async () => (await ada.call("offers")).length === 1, PREPARE_MS_MAX);
  assert.deepEqual(await bob.call("offers"), []);
  assert.deepEqual((await bob.call("peers")).filter(({ role, id }) => role === "node" && id !== carolId), []);
  await assert.rejects(bob.call("request", "inference", { texts: ["hello"] }, {}), { isError: true, code: "no_provider" });
});

test("embed: wrong input is an Error with a stable code and words, and the node goes on", async (t) => {
  const relay = await t.relay();
  const url = await elsewhere(t, relay);
  const node = await embed(await t.chromium(), url);
  const refusals = [
    ["invalid_address", "dial", "not a multiaddr"],
    ["unknown_service", "request", "alchemy", {}, {}],
    ["invalid_input", "request", "inference", { texts: [] }, {}],
    ["invalid_input", "request", "inference", { texts: Array(10_000).fill("x") }, {}],
    ["invalid_input", "request", "inference", { texts: ["x".repeat(5_000_000)] }, {}],
    ["invalid_input", "request", "inference", { words: 1 }, {}],
    ["invalid_input", "request", "inference", { texts: ["hello"] }, { priceMax: -1 }],
    ["invalid_input", "reputation", "nobody"],
    ["invalid_input", "lend", { computeShare: 7 }],
    ["invalid_input", "receiptsWith", "nobody"],
    ["invalid_input", "setCreditLine", { limit: -1 }],
    ["invalid_input", "setCreditLine", { limit: "endless" }],
    ["invalid_input", "setCreditLine", { member: "nobody", limit: 1 }],
    ["weak_passphrase", "exportBackup", "short"],
    ["no_provider", "request", "inference", { texts: ["hello"] }, {}],
  ];
  for (const [code, ...call] of refusals) {
    const error = await node.call(...call).then(() => assert.fail(`${call[0]} took ${JSON.stringify(call).slice(0, 60)}`), (refusal) => refusal);
    assert.equal(error.isError, true, `${call[0]}: not an Error`);
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.length > 15, error.message);
  }
  assert.equal((await node.call("balance")).settled, 0);
});

test("embed: wrong start options are refused before anything starts", async (t) => {
  const relay = await t.relay();
  const url = await elsewhere(t, relay);
  const browser = await t.chromium();
  for (const [code, options] of [["invalid_invite", { group: "no invite" }], ["invalid_options", { transports: "none" }], ["invalid_options", { relay: "no origin" }]]) {
    await assert.rejects(embed(browser, url, options), { isError: true, code });
  }
});

function cosine(one, other) {
  return one.reduce((sum, value, index) => sum + value * other[index], 0);
}
