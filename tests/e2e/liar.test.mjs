// A provider that returns wrong vectors is caught, is not paid, and is trusted less.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { addNotes, ask, balance, join, lend, NOTES, ownPeerId, Refused, reputation, seeBalancesCancel, seePeer } from "./lib/journey.mjs";
import { lie, lieBut } from "./lib/liar.mjs";
import { eventually, test } from "./lib/suite.mjs";

test("liar: wrong vectors are caught, unpaid and cost reputation", { timeout: 180_000 }, async (t) => {
  const relay = await t.relay();
  const liar = await join(await t.chromium(), relay.url, { before: lie });
  const bob = await join(await t.chromium(), relay.url);
  const liarId = await ownPeerId(liar);
  await lend(liar);
  await seePeer(bob, liarId);
  await bob.goTo("market");
  await bob.see("offer", { peer: liarId, service: "inference" });

  await addNotes(bob);
  await assert.rejects(ask(bob), Refused);
  assert.ok((await liar.page.evaluate(() => window.lies)) > 0, "it lied");
  assert.equal(await balance(bob), 0);
  assert.equal(await balance(liar), 0);
  const caught = await reputation(bob, liarId);
  assert.ok(caught.score < 0.5, `a caught liar is trusted with ${caught.score}`);
});

test("liar: beside an honest provider the question is still answered, and only the honest one is paid", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const liar = await join(await t.chromium(), relay.url, { before: lie });
  const ada = await join(await t.chromium(), relay.url);
  const bob = await join(await t.chromium(), relay.url);
  const [liarId, adaId] = [await ownPeerId(liar), await ownPeerId(ada)];
  await lend(liar);
  await lend(ada);
  await bob.goTo("market");
  await bob.see("offer", { peer: liarId, service: "inference" });
  await bob.see("offer", { peer: adaId, service: "inference" });

  await addNotes(bob);
  const answer = await ask(bob);
  assert.match(answer.results[0].text, NOTES.answer);
  assert.equal(answer.provider, adaId);
  // Who exposed the liar by computing the same texts is paid for that as well.
  await eventually("the honest one being paid", async () => (await balance(ada)) >= answer.price);
  await seeBalancesCancel(ada, bob);
  assert.equal(await balance(liar), 0);
});

test("liar: one that knows the public known answers gets through without secret ones, and is caught with them", { timeout: 300_000 }, async (t) => {
  const { models } = JSON.parse(await readFile(path.join(t.site, "models", "index.json"), "utf8"));
  const known = models.flatMap((model) => model.known_answer.embeddings);
  const project = fileURLToPath(new URL("../..", import.meta.url));
  const secret = await t.knownAnswers([path.join(project, "docs"), path.join(project, "README.md"), path.join(project, "ARCHITECTURE.md")], 40);

  for (const args of [[], ["--known-answers", secret]]) {
    const relay = await t.relay({ args });
    const liar = await join(await t.chromium(), relay.url, { before: lieBut(known) });
    const bob = await join(await t.chromium(), relay.url);
    const liarId = await ownPeerId(liar);
    await lend(liar);
    await seePeer(bob, liarId);
    await bob.goTo("market");
    await bob.see("offer", { peer: liarId, service: "inference" });
    await addNotes(bob);
    if (args.length === 0) {
      const answer = await ask(bob);
      assert.equal(answer.verdict, "spot-checked", "this is what the secret ones are for");
      assert.ok((await liar.page.evaluate(() => window.recognised)) > 0, "it recognised the public ones");
    } else {
      await assert.rejects(ask(bob), Refused);
      assert.equal(await balance(liar), 0);
      assert.ok((await reputation(bob, liarId)).score < 0.5);
    }
    assert.ok((await liar.page.evaluate(() => window.lies)) > 0, "it lied");
  }
});
