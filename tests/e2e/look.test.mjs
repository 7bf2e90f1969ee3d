// Every page, on a phone and on a desktop, in light and dark: nothing for axe to find, nothing that overflows.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { addNotes, ask, join, lend, ownPeerId, seePeer } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = ["ask", "market", "reputation", "node", "network"];
const VIEWPORTS = [
  { width: 320, height: 640 },
  { width: 390, height: 844 },
  { width: 1280, height: 900 },
];
const SCHEMES = ["light", "dark"];

/** What axe finds on the page as it is now, one line for each element. */
async function violations(person) {
  // As a source, axe has to be evaluated only once in each document.
  if (!(await person.page.evaluate(() => "axe" in window))) await person.page.evaluate(AXE);
  return person.page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
  });
}

async function inspect(person, what) {
  const found = [];
  for (const scheme of SCHEMES) {
    await person.page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" },
    ]);
    for (const viewport of VIEWPORTS) {
      await person.page.setViewport(viewport);
      const where = `${what}, ${scheme}, ${viewport.width} px`;
      found.push(...(await violations(person)).map((line) => `${where}: ${line}`));
      const overflow = await person.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (overflow > 0) found.push(`${where}: ${overflow} px too wide`);
    }
  }
  return found;
}

test("look: axe finds nothing on any page of a new node", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const person = await join(await t.chromium(), relay.url);
  const found = [];
  for (const page of PAGES) {
    await person.goTo(page);
    found.push(...(await inspect(person, page)));
  }
  await person.goTo("node");
  await person.click("backup");
  await person.see("backup-dialog");
  found.push(...(await inspect(person, "backup")));
  await person.click("backup-cancel");
  await person.goTo("ask");
  await person.click("invite");
  await person.see("invite-dialog");
  found.push(...(await inspect(person, "invite")));
  await person.click("invite-close");
  await person.goTo("network");
  await person.see("credit-lines");
  found.push(...(await inspect(person, "network of a group")));
  assert.deepEqual(found, []);
});

test("look: axe finds nothing on any page after a trade", { timeout: 300_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  const bob = await join(await t.chromium(), relay.url);
  await lend(ada);
  await seePeer(bob, await ownPeerId(ada));
  await addNotes(bob);
  await ask(bob);
  const found = [];
  for (const page of PAGES) {
    await bob.goTo(page);
    found.push(...(await inspect(bob, page)));
  }
  await ada.goTo("node");
  found.push(...(await inspect(ada, "node that lends")));
  assert.deepEqual(found, []);
});

test("look: the keyboard alone reaches every page and asks", async (t) => {
  const relay = await t.relay();
  const person = await join(await t.chromium(), relay.url);
  for (const page of PAGES) {
    await tabTo(person, `nav-${page}`);
    await person.page.keyboard.press("Enter");
    await person.see(`page-${page}`);
  }
  await person.goTo("ask");
  await tabTo(person, "ask-question");
  await person.page.keyboard.type("Is anybody there?");
  assert.equal((await person.find("ask-question")).value, "Is anybody there?");
});

/** Presses Tab until the element has the focus, which must then be visible. */
async function tabTo(person, id) {
  for (let presses = 0; presses < 80; presses += 1) {
    await person.page.keyboard.press("Tab");
    const focused = await person.page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return { id: element.dataset.testid, ring: style.outlineStyle !== "none" || style.boxShadow !== "none" };
    });
    if (focused.id === id) {
      assert.ok(focused.ring, `${id} shows no focus`);
      return;
    }
  }
  throw new Error(`Tab never reaches ${id}`);
}
