// Backing up and restoring: a device that is lost comes back from a file, and nobody takes its owner for a fraud.

import assert from "node:assert/strict";
import { mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import { embed, embeddingPage } from "./lib/embed.mjs";
import { addNotes, ask, balance, join, lend, ownPeerId, receipts, seeBalance, seePeer, tradeOnce } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";
import { lendAndBeSeen, meet, TEXTS } from "./lib/survival.mjs";

const PASSPHRASE = "correct horse battery staple";
const BACKUP_BYTES_MAX = 256 * 1024 * 1024;

/** A folder that is gone after the journey. */
async function folder(t) {
  const dir = await mkdtemp(path.join(os.tmpdir(), "knowledge-backup-"));
  t.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Backs the person's device up with the dialog; returns the file. */
async function backUp(person, dir, passphrase = PASSPHRASE) {
  const session = await person.page.createCDPSession();
  await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: dir });
  await person.goTo("node");
  await person.click("backup");
  await person.write("backup-passphrase", passphrase);
  await person.write("backup-repeat", passphrase);
  await person.click("backup-submit");
  await person.seeWhere("backup-said", "saying where the file went", ({ text }) => /downloads/.test(text));
  const name = await eventually("the file", async () => (await readdir(dir)).find((file) => file.endsWith(".backup")));
  return path.join(dir, name);
}

/** Chooses a file to restore from. */
async function choose(person, file) {
  await person.goTo("node");
  const input = await person.page.waitForSelector('[data-testid="restore-file"]');
  await input.uploadFile(file);
}

/** Types the passphrase of the chosen file. */
async function unlock(person, passphrase = PASSPHRASE) {
  await person.write("backup-passphrase", passphrase);
  await person.click("backup-submit");
}

function seeProblem(person, pattern) {
  return person.seeWhere("backup-problem", `saying ${pattern}`, ({ text, visible }) => visible && pattern.test(text));
}

test("backup: a lost device comes back on another one, with id, balance and receipts, and trades on", { timeout: 300_000 }, async (t) => {
  const relay = await t.relay();
  const dir = await folder(t);
  const ada = await join(await t.chromium(), relay.url);
  const lost = await t.chromium();
  const bob = await join(lost, relay.url);
  const [adaId, bobId] = [await ownPeerId(ada), await ownPeerId(bob)];
  await seePeer(bob, adaId);
  await tradeOnce(ada, bob);
  const file = await backUp(bob, dir);
  assert.ok(!(await readFile(file)).includes(bobId), "nothing in it is readable");

  // What happens after the backup comes back from who holds it.
  const paid = await balance(bob);
  const { price } = await ask(bob, "When is the library open?");
  // The answer shows first; the balance follows it.
  await seeBalance(bob, paid - price);
  const [before, owned] = [await balance(bob), await receipts(bob)];
  assert.equal(owned.length, 2);
  await lost.kill();

  const carol = await join(await t.chromium(), relay.url);
  const carolId = await ownPeerId(carol);
  assert.notEqual(carolId, bobId);
  await choose(carol, file);
  await unlock(carol, "not the passphrase");
  await seeProblem(carol, /passphrase does not open the file.*Nothing was changed/i);
  await unlock(carol);
  const { text } = await carol.seeWhere("backup-dialog", "asking before it replaces", ({ text }) => /replace this device/i.test(text));
  assert.match(text, new RegExp(bobId.slice(-6)));
  assert.match(text, new RegExp(carolId.slice(-6)));
  assert.ok((await carol.find("backup-first")).visible, "it offers to back up what is here");
  await carol.click("backup-submit");
  await carol.seeWhere("backup-said", "that it is restored", ({ text }) => text.includes(bobId.slice(-6)));
  await carol.see("app", { state: "ready" });

  assert.equal(await ownPeerId(carol), bobId);
  await seeBalance(carol, before);
  await eventually("the receipts, with the one newer than the file", async () => {
    const here = await receipts(carol);
    return owned.every((receipt) => here.some(({ id, status }) => id === receipt.id && status === "complete"));
  });
  await carol.goTo("market");
  await carol.see("offer", { peer: adaId, service: "inference" });
  await addNotes(carol);
  const answer = await ask(carol);
  assert.equal(answer.provider, adaId);
  await seeBalance(carol, before - answer.price);
  await seeBalance(ada, answer.price - before);
  await carol.reload();
  await carol.see("app", { state: "ready" });
  assert.equal(await ownPeerId(carol), bobId);
  await seeBalance(carol, before - answer.price);
});

test("backup: what is wrong with a passphrase or a file is said plainly, and nothing changes", { timeout: 180_000 }, async (t) => {
  const relay = await t.relay();
  const dir = await folder(t);
  const bob = await join(await t.chromium(), relay.url);
  const bobId = await ownPeerId(bob);
  await bob.click("backup");
  await bob.write("backup-passphrase", "short");
  await bob.write("backup-repeat", "shorter");
  await bob.click("backup-submit");
  await seeProblem(bob, /differ/);
  await bob.write("backup-repeat", "short");
  await bob.click("backup-submit");
  await seeProblem(bob, /at least 8 characters/);
  await bob.click("backup-cancel");
  await bob.seeGone("backup-dialog");

  const file = await backUp(bob, dir);
  const whole = await readFile(file);
  const wrong = async (name, bytes, pattern) => {
    const damaged = path.join(dir, name);
    await writeFile(damaged, bytes);
    await choose(bob, damaged);
    await unlock(bob);
    await seeProblem(bob, pattern);
    await bob.click("backup-cancel");
  };
  await wrong("cut", whole.subarray(0, whole.length - 1), /not a whole backup/i);
  await wrong("changed", Buffer.concat([whole.subarray(0, 60), Buffer.from([whole[60] ^ 1]), whole.subarray(61)]), /not a whole backup/i);
  await wrong("newer", Buffer.concat([whole.subarray(0, 8), Buffer.from([9]), whole.subarray(9)]), /newer version/i);
  await wrong("text", "Dear diary", /not a whole backup/i);
  const large = await open(path.join(dir, "large"), "w");
  await large.truncate(BACKUP_BYTES_MAX + 1_000_000);
  await large.close();
  await choose(bob, path.join(dir, "large"));
  await bob.seeWhere("backup-said", "that it is too large", ({ text }) => /too large/.test(text));
  assert.equal(await ownPeerId(bob), bobId);

  await choose(bob, file);
  await unlock(bob);
  await bob.seeWhere("backup-said", "that it is restored", ({ text }) => /Restored/.test(text));
  assert.equal(await ownPeerId(bob), bobId);
});

test("backup: on the same device an old file takes nothing away, and a program gets the same with codes", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const [ada, bob] = [await embed(await t.chromium(), url), await embed(await t.chromium(), url)];
  const bobId = await bob.peerId;
  await meet(ada, bob);
  await lendAndBeSeen(ada, bob);
  const buy = () => bob.call("request", "inference", { texts: TEXTS }, {});
  await buy();
  // The file stays in the page: bytes that are copied to the test and back are no longer an array of bytes.
  await bob.page.evaluate(async (passphrase) => {
    window.file = await window.node.exportBackup(passphrase);
    window.node.restore = (passphrase, options) => window.node.importBackup(window.file, passphrase, options);
    window.node.restoreHalf = (passphrase) => window.node.importBackup(window.file.subarray(0, 100), passphrase);
  }, PASSPHRASE);
  await buy();
  const settled = async (node) => (await node.call("balance")).settled;
  await eventually("both receipts", async () => (await bob.call("receipts")).filter(({ fullySigned }) => fullySigned).length === 2);
  const before = await settled(bob);
  await assert.rejects(bob.call("exportBackup", "short"), { isError: true, code: "weak_passphrase" });
  await assert.rejects(bob.call("restore", "another one"), { isError: true, code: "wrong_passphrase" });
  await assert.rejects(bob.call("restoreHalf", PASSPHRASE), { isError: true, code: "backup_damaged" });

  await bob.call("restore", PASSPHRASE);
  assert.equal(await bob.peerId, bobId);
  assert.equal(await settled(bob), before);
  await meet(ada, bob);
  await eventually("an answer", async () => (await buy()).receipt, 30_000);
  await eventually("balances that cancel", async () => (await settled(bob)) + (await settled(ada)) === 0);

  // On another identity only if that is said.
  const bytes = await bob.page.evaluate(() => Array.from(window.file));
  const carol = await embed(await t.chromium(), url);
  const carolId = await carol.peerId;
  await carol.page.evaluate((values) => {
    window.node.restore = (passphrase, options) => window.node.importBackup(Uint8Array.from(values), passphrase, options);
  }, bytes);
  await assert.rejects(carol.call("restore", PASSPHRASE), { isError: true, code: "other_identity" });
  assert.equal(await carol.peerId, carolId);
  await bob.call("stop");
  await carol.call("restore", PASSPHRASE, { replace: true });
  assert.equal(await carol.peerId, bobId);
});
