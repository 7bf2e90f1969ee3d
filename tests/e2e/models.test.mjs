// Models travel: from the relay and from devices that have them, in chunks that are checked, kept and asked for once.

import assert from "node:assert/strict";

import { join, lend, ownPeerId, seePeer } from "./lib/journey.mjs";
import { eventually, sleep, test } from "./lib/suite.mjs";

const LOAD_MS_MAX = 120_000;

/** The relay's models. */
async function models(relay) {
  const { models } = await (await fetch(`${relay.origin}/models/index.json`)).json();
  return models.map(({ tier, precision, onnx }) => ({ tier, precision, id: onnx.blake3, bytes: onnx.bytes }));
}

/** MiniLM, with weights of the given precision. */
async function model(relay, wanted) {
  return (await models(relay)).find(({ tier, precision }) => tier === "standard" && precision === wanted);
}

/** Begins to load it; whoever is on another page goes to the device's own. */
async function load(person, id) {
  await person.goTo("node");
  await person.page.locator(`[data-testid="model-load"][data-model="${id}"]`).setTimeout(30_000).click();
}

function isFile(url) {
  return /\/models\/[0-9a-f]{64}/.test(new URL(url).pathname);
}

/** Bytes that arrived so far. */
async function arrived(person) {
  const { data } = (await person.find("model-downloading")) ?? { data: {} };
  return { bytes: Number(data.bytes ?? 0), fromPeers: Number(data.fromPeers ?? 0) };
}

test("models: what the relay does not give comes from a device that lends it", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  await lend(ada);
  const { data: lent } = await ada.see("backend-active");
  const { id, bytes } = (await models(relay)).find(({ id }) => id === lent.model);
  const bob = await join(await t.chromium(), relay.url);
  await seePeer(bob, await ownPeerId(ada));
  await bob.goTo("market");
  await bob.see("offer", { peer: await ownPeerId(ada), service: "inference" });
  await bob.page.setRequestInterception(true);
  let refused = 0;
  bob.page.on("request", (request) => {
    if (!isFile(request.url())) return request.continue();
    refused += 1;
    return request.abort();
  });
  const started = performance.now();
  await load(bob, id);
  let most = 0;
  await eventually(
    "the model, from the other device",
    async () => {
      most = Math.max(most, (await arrived(bob)).fromPeers);
      return (await bob.find("backend-active")) !== undefined;
    },
    LOAD_MS_MAX,
  );
  const seconds = (performance.now() - started) / 1000;
  t.note("model-from-peer", { bytes, seconds });
  assert.ok(refused > 0, "the relay was asked, and refused");
  assert.ok(most > bytes / 4, `the page told of ${most} bytes from other devices`);
});

test("models: a download can be stopped, and goes on where it was, also after a reload", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const { id, bytes } = await model(relay, "int8");
  const bob = await join(await t.chromium(), relay.url);
  const network = await bob.page.createCDPSession();
  await network.send("Network.enable");
  const speed = (downloadThroughput) =>
    network.send("Network.emulateNetworkConditions", { offline: false, latency: 0, uploadThroughput: -1, downloadThroughput });
  await speed(3e6);
  const some = (share) =>
    eventually(
      `${share} of it`,
      async () => {
        const { bytes: here } = await arrived(bob);
        return here > bytes * share ? here : undefined;
      },
      LOAD_MS_MAX,
    );
  const asked = [];
  bob.page.on("request", (request) => {
    if (isFile(request.url()) && !request.url().endsWith(".outline")) asked.push(request.headers().range);
  });
  await load(bob, id);
  const stopped = await some(1 / 6);
  await bob.click("model-stop");
  await bob.seeWhere("app", "why there is no model", ({ text }) => /download was stopped; what came of it is kept/.test(text));
  asked.length = 0;
  await sleep(2_000);
  assert.deepEqual(asked, [], "nothing more is asked for");
  await load(bob, id);
  const before = await some(1 / 3);
  assert.ok(before > stopped);
  asked.length = 0;
  await bob.reload();
  await speed(-1);
  await bob.see("app", { state: "ready" });
  await load(bob, id);
  await bob.see("backend-active", {}, LOAD_MS_MAX);
  const sizes = asked.map((range) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? `bytes=0-${bytes - 1}`).map(Number);
    return to - from + 1;
  });
  const again = sizes.reduce((sum, size) => sum + size, 0);
  // What was on its way when the page went may come twice.
  assert.ok(again <= bytes - before + 1_000_000, `after ${before} of ${bytes} bytes it asked for ${again}: ${asked.join(", ")}`);
  await bob.reload();
  await bob.see("app", { state: "ready" });
  asked.length = 0;
  await load(bob, id);
  await bob.see("backend-active", {}, LOAD_MS_MAX);
  assert.deepEqual(asked, [], "what is whole is not asked for");
});

/** Parts of a file that the browser keeps. */
function pieces(person, id) {
  return person.page.evaluate(async (file) => {
    const answer = (request) => new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
    const database = await answer(indexedDB.open("knowledge-models"));
    const count = await answer(database.transaction("pieces").objectStore("pieces").count(IDBKeyRange.bound(`${file}/`, `${file}0`)));
    database.close();
    return count;
  }, id);
}

/** A disk that says, or does not say, that it is full. Chromium's own quota cannot be lowered for IndexedDB. */
const FULL = {
  "is known to be full": () => {
    navigator.storage.estimate = async () => ({ usage: 970e6, quota: 1000e6 });
  },
  "turns out to be full": () => {
    const { put } = IDBObjectStore.prototype;
    let room = 30e6;
    IDBObjectStore.prototype.put = function (value, key) {
      room -= this.name === "pieces" ? value.byteLength : 0;
      if (room < 0) throw new DOMException("The disk is full.", "QuotaExceededError");
      return put.call(this, value, key);
    };
  },
};

for (const [what, fill] of Object.entries(FULL)) {
  test(`models: where the disk ${what} a model lasts as long as the page, and the page says so`, { timeout: 240_000 }, async (t) => {
    const relay = await t.relay();
    const { id } = await model(relay, "f32");
    const bob = await join(await t.chromium(), relay.url);
    await bob.page.evaluate(fill);
    await load(bob, id);
    await bob.see("backend-active", {}, LOAD_MS_MAX);
    await bob.seeWhere("model-not-kept", "that it is not kept", ({ text, visible }) => visible && /until this page is closed.*full/.test(text));
    assert.equal(await pieces(bob, id), 0, "no part of it stays on the disk");
  });
}
