// Storage, bought and sold between separate browsers: a file is kept by others, comes back, and outlives a provider that loses it.

import assert from "node:assert/strict";

import { embed, embeddingPage } from "./lib/embed.mjs";
import { eventually, test } from "./lib/suite.mjs";

/** A blob travels, and two disks write. */
const PLACE_MS_MAX = 60_000;
const BYTES = 700_000;

/** A device that lends its disk. */
async function store(t, url, kind = "chromium") {
  const node = await embed(await t[kind](), url);
  await node.call("lend", { onlyCharging: false, onlyUnmetered: false });
  await eventually("its class being known", async () => ["standard", "power"].includes((await node.call("capabilities")).tier), PLACE_MS_MAX);
  return { node, own: await node.peerId };
}

async function connected(node, others) {
  for (const { own } of others) {
    await eventually("a direct connection", async () => (await node.call("peers")).find(({ id, transport }) => id === own && transport === "webrtc"));
  }
  await eventually("circuits being closed", async () => (await node.call("status")).connections.every(({ transport }) => transport !== "relayed"));
}

/** Has a file of known bytes kept; the file itself does not leave the page. */
function keep(node, options) {
  return node.page.evaluate(
    (length, given) => window.node.store(Uint8Array.from({ length }, (_, at) => (at * 7) % 251), given),
    BYTES,
    options,
  );
}

/** Whether what comes back is that file, or why it does not. */
function comesBack(node, ticket, from) {
  return node.page.evaluate(
    async (text, options, length) => {
      try {
        const file = await window.node.retrieve(text, options);
        return file.length === length && file.every((byte, at) => byte === (at * 7) % 251);
      } catch ({ code, message }) {
        return { code, message };
      }
    },
    ticket,
    from ? { from } : {},
    BYTES,
  );
}

/** The blobs in a browser's database: how many, and whether one of them holds these bytes in a row. */
function found(node, needle) {
  return node.page.evaluate(
    (wanted) =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open("knowledge-node/blobs");
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const all = opening.result.transaction("bytes").objectStore("bytes").getAll();
          all.onsuccess = () => {
            const blobs = all.result;
            const has = (blob) => blob.some((_, at) => wanted.every((byte, place) => blob[at + place] === byte));
            resolve({ count: blobs.length, bytes: blobs.map((blob) => blob.length), readable: blobs.some(has) });
            opening.result.close();
          };
        };
      }),
    needle,
  );
}

/** A disk that loses everything, behind the node's back. */
function lose(node) {
  return node.page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open("knowledge-node/blobs");
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => {
          const change = opening.result.transaction("bytes", "readwrite");
          change.objectStore("bytes").clear();
          change.oncomplete = () => {
            opening.result.close();
            resolve();
          };
        };
      }),
  );
}

const holders = async (node) => (await node.call("stored"))[0].holders.map(({ peer }) => peer);

for (const kind of ["chromium", "firefox"]) {
  test(`storage: a file is kept by two others, encrypted, and comes back from each (${kind})`, { timeout: 240_000 }, async (t) => {
    const relay = await t.relay();
    const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
    const stores = [await store(t, url, kind), await store(t, url)];
    const bob = await embed(await t.chromium(), url);
    await connected(bob, stores);

    const { blob, ticket } = await keep(bob, { copies: 2, hours: 48 });
    await eventually("two copies", async () => (await holders(bob)).length === 2, PLACE_MS_MAX);
    const [file] = await bob.call("stored");
    assert.deepEqual({ blob: file.blob, bytes: file.bytes, failure: file.failure }, { blob, bytes: BYTES + 28, failure: null });
    assert.deepEqual(new Set(await holders(bob)), new Set(stores.map(({ own }) => own)));
    const receipts = await bob.call("receipts");
    assert.deepEqual(receipts.map(({ service }) => service), ["storage", "storage"]);
    assert.equal(receipts[0].verification.method, "proved");
    for (const { node, own } of stores) {
      const { count, bytes, readable } = await found(node, [0, 7, 14, 21, 28, 35, 42]);
      assert.deepEqual({ count, bytes, readable }, { count: 1, bytes: [BYTES + 28], readable: false }, "what others have is encrypted");
      assert.equal(await comesBack(bob, ticket, own), true);
      assert.ok((await node.call("balance")).settled > 0);
    }
    const sums = await Promise.all([bob, ...stores.map(({ node }) => node)].map((node) => node.call("balance")));
    assert.equal(sums.reduce((sum, { settled }) => sum + settled, 0), 0);

    // Somebody else with the ticket reads it, and with another one does not.
    const carol = await embed(await t.chromium(), url);
    await connected(carol, stores);
    assert.equal(await comesBack(carol, ticket, stores[0].own), true);
    const wrong = ticket.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    assert.equal((await comesBack(carol, wrong, stores[0].own)).code, "wrong_ticket");
    assert.equal((await comesBack(carol, "nonsense")).code, "invalid_input");

    await bob.call("release", blob);
    assert.deepEqual(await bob.call("stored"), []);
  });
}

test("storage: a provider that lost the file is not paid again and is replaced", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const stores = [await store(t, url), await store(t, url)];
  const bob = await embed(await t.chromium(), url);
  await connected(bob, stores);
  await bob.page.evaluate(() => {
    window.steps = [];
    window.node.on("stored", ({ step }) => window.steps.push(step));
  });

  const { blob, ticket } = await keep(bob, { copies: 1, hours: 48 });
  await eventually("a copy", async () => (await holders(bob)).length === 1, PLACE_MS_MAX);
  const [first] = await holders(bob);
  const careless = stores.find(({ own }) => own === first);
  const other = stores.find(({ own }) => own !== first);
  const paid = (await careless.node.call("balance")).settled;

  // Asked now, it still has it, and is paid for another day.
  const until = (await bob.call("stored"))[0].holders[0].paidUntil;
  await bob.call("prolong", blob);
  await eventually("another slice", async () => (await bob.call("stored"))[0].holders[0]?.paidUntil > until, PLACE_MS_MAX);
  await eventually("its price", async () => (await careless.node.call("balance")).settled > paid);
  const earned = (await careless.node.call("balance")).settled;

  await lose(careless.node);
  await bob.call("prolong", blob);
  await eventually("another holder", async () => (await holders(bob))[0] === other.own, PLACE_MS_MAX);
  const steps = await bob.page.evaluate(() => window.steps);
  const lost = steps.find(({ step }) => step === "lost");
  assert.deepEqual([lost.peer, lost.reason.code], [first, "not_held"]);
  assert.equal((await careless.node.call("balance")).settled, earned);
  assert.equal(await comesBack(bob, ticket), true);
});

test("storage: where nobody has room the page says so, and a file out of bounds is refused", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const ada = await store(t, url);
  await ada.node.call("lend", { storageBytes: 1_000_000 });
  const bob = await embed(await t.chromium(), url);
  await connected(bob, [ada]);
  await keep(bob, { copies: 1, hours: 48 });
  await eventually("a reason", async () => (await bob.call("stored"))[0].failure?.code === "no_room", PLACE_MS_MAX);
  for (const options of [{ copies: 9 }, { hours: 0 }, { sliceHours: 0 }, { sliceHours: 1, hours: 100_000 }, { more: 1 }]) {
    const code = await keep(bob, options).catch(({ message }) => message);
    assert.notEqual(typeof code, "object", JSON.stringify(options));
  }
});
