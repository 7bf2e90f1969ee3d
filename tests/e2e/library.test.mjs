// What a device knows: notes and files, embedded once, kept, found again, and forgotten when somebody says so.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import { addNotes, ask, join, lend, NOTES, ownPeerId } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

const MANUAL = `# The boiler

## Starting it

Open the valve on the left, wait for a minute, then press the green button until the lamp glows.

## When it leaks

Close the valve behind the panel and call the plumber.
`;
const PAGE = `<!doctype html><title>House rules</title><script>never("shown")</script>
<h1>Night</h1><p>Music ends at ten &amp; shoes stay in the hall.</p>`;

/** More than a question takes along. */
const MANY = 300;

async function upload(t, person, files) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "knowledge-texts-"));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  const paths = [];
  for (const [name, text] of Object.entries(files)) {
    paths.push(path.join(folder, name));
    await writeFile(paths.at(-1), text);
  }
  await person.goTo("ask");
  const input = await person.page.waitForSelector('[data-testid="ask-files"]');
  await input.uploadFile(...paths);
}

/** Somebody lends, somebody else sees the offer and asks. */
async function pair(t) {
  const relay = await t.relay();
  const [ada, bob] = [await join(await t.chromium(), relay.url), await join(await t.chromium(), relay.url)];
  await lend(ada);
  await bob.goTo("market");
  await bob.see("offer", { peer: await ownPeerId(ada), service: "inference" });
  return bob;
}

test("library: notes and files are kept, sent once, and found on the next visit", { timeout: 240_000 }, async (t) => {
  const bob = await pair(t);
  await addNotes(bob);
  await upload(t, bob, { "boiler.md": MANUAL, "rules.html": PAGE });
  const count = NOTES.passages.length + 3;
  await bob.see("passage-count", { count });
  const first = await ask(bob);
  assert.match(first.results[0].text, NOTES.answer);
  assert.equal(first.results.length, count);

  await bob.reload();
  await bob.see("app", { state: "ready" });
  await bob.see("passage-count", { count });
  const second = await ask(bob, "Water drips out of the heating, what should I do?");
  assert.match(second.results[0].text, /Close the valve behind the panel/);
  assert.match(second.results[0].text, /boiler\.md, The boiler › When it leaks/);
  assert.ok(second.price < first.price / 2, `only the question is sent: ${second.price} after ${first.price} millicredits`);
  const third = await ask(bob, "Until when may music be played?");
  assert.match(third.results[0].text, /Music ends at ten & shoes stay/);
  assert.doesNotMatch(third.results.map(({ text }) => text).join(" "), /never\(/);
});

test("library: what is removed is found no more, can be brought back, and is gone on the next visit", { timeout: 240_000 }, async (t) => {
  const bob = await pair(t);
  await upload(t, bob, { "boiler.md": MANUAL });
  await bob.see("passage-count", { count: 2 });
  await addNotes(bob, { passages: NOTES.passages.slice(0, 2) }, 4);
  const question = "Water drips out of the heating, what should I do?";
  const texts = async () => (await ask(bob, question)).results.map(({ text }) => text).join(" ");
  assert.match(await texts(), /Close the valve/);
  await bob.click("document-remove");
  await bob.see("passage-count", { count: 2 });
  assert.doesNotMatch(await texts(), /Close the valve/);
  await bob.click("document-undo");
  await bob.see("passage-count", { count: 4 });
  assert.match(await texts(), /Close the valve/);
  await bob.click("document-remove");
  await bob.see("passage-count", { count: 2 });
  await bob.reload();
  await bob.see("app", { state: "ready" });
  await bob.see("passage-count", { count: 2 });
  assert.doesNotMatch(await texts(), /Close the valve/);
  // Whoever adds it again wants it again.
  await upload(t, bob, { "boiler.md": MANUAL });
  await bob.see("passage-count", { count: 4 });
  assert.match(await texts(), /Close the valve/);
});

test("library: more than a question takes along is made searchable step by step", { timeout: 300_000 }, async (t) => {
  const bob = await pair(t);
  const shelves = Array.from({ length: MANY }, (_, index) => `Shelf ${index} holds the screws of size ${index}.`);
  shelves.push("The cat sleeps on the roof of the shed.");
  await addNotes(bob, { passages: shelves });
  await bob.click("library-prepare");
  await bob.see("library-preparing");
  await eventually("all passages being searchable", async () => !(await bob.find("library-preparing")) && !(await bob.find("library-prepare")), 180_000);
  const answer = await ask(bob, "Where does the pet spend the night?");
  assert.match(answer.results[0].text, /The cat sleeps/);
});
