// Groups: a link makes a member, everyone else sees and gets nothing.

import assert from "node:assert/strict";

import { addNotes, ask, balance, invite, join, lend, ownPeerId, Refused, seeBalance, seePeer } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

test("group: members find each other and trade, an outsider sees and gets nothing", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  const link = await invite(ada);
  assert.ok(link.startsWith(`${relay.origin}/#`), `the secret stays in the fragment: ${link}`);
  const group = (await ada.seeWhere("group", "of one's own", ({ data }) => data.group !== "open")).data.group;

  const bob = await join(await t.chromium(), link);
  const stranger = await join(await t.chromium(), relay.url);
  await bob.see("group", { group });
  await stranger.see("group", { group: "open" });
  const adaId = await ownPeerId(ada);
  await seePeer(bob, adaId);
  await lend(ada);
  await bob.goTo("market");
  await bob.see("offer", { peer: adaId, service: "inference" });

  await addNotes(bob);
  const answer = await ask(bob);
  assert.equal(answer.provider, adaId);
  await seeBalance(ada, answer.price);
  await seeBalance(bob, -answer.price);

  await stranger.goTo("market");
  assert.equal((await stranger.all("offer")).length, 0, "an outsider sees no offer");
  await stranger.goTo("network");
  assert.equal((await stranger.all("peer")).filter(({ data }) => data.role === "node").length, 0, "an outsider sees nobody");
  await addNotes(stranger);
  await assert.rejects(ask(stranger), Refused);
});

test("group: a wrong invite is refused in words, and nothing is lost", async (t) => {
  const relay = await t.relay();
  const browser = await t.chromium();
  const person = await browser.open(`${relay.origin}/#g=not-an-invite`);
  const { text } = await person.see("error");
  assert.match(text, /invite|link/i);
});
