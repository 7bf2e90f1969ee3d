// The page as an installed app: its manifest, offline, a new version.

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import { join } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

/** Waits until the service worker controls the page. */
function controlled(person) {
  return eventually("a service worker in control", () => person.page.evaluate(() => navigator.serviceWorker.controller?.state === "activated"));
}

test("pwa: manifest and icons make it installable", async (t) => {
  const relay = await t.relay();
  const person = await join(await t.chromium(), relay.url);
  const href = await person.page.$eval('link[rel="manifest"]', (link) => link.href);
  const response = await fetch(href);
  assert.match(response.headers.get("content-type"), /^application\/manifest\+json/);
  const manifest = await response.json();
  assert.ok(manifest.name && manifest.short_name && manifest.start_url);
  assert.equal(manifest.display, "standalone");
  const sizes = [];
  for (const icon of manifest.icons) {
    const image = await fetch(new URL(icon.src, href));
    assert.equal(image.status, 200, icon.src);
    assert.match(image.headers.get("content-type"), /^image\//);
    sizes.push(...icon.sizes.split(" "));
  }
  assert.ok(sizes.includes("any") || (sizes.includes("192x192") && sizes.includes("512x512")), `icon sizes: ${sizes}`);
  await controlled(person);
  const session = await person.page.createCDPSession();
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  assert.deepEqual(installabilityErrors, []);
});

test("pwa: without network it opens and says so", async (t) => {
  const relay = await t.relay();
  const person = await join(await t.chromium(), relay.url);
  await controlled(person);
  await relay.stop();
  await person.page.setOfflineMode(true);
  await person.reload();
  assert.match((await person.see("offline")).text, /offline|network/i);
  await person.see("ask-question");
});

test("pwa: a new version asks before it swaps, and is whole", async (t) => {
  const site = await mkdtemp(path.join(os.tmpdir(), "knowledge-site-"));
  t.defer(() => rm(site, { recursive: true, force: true }));
  await cp(t.site, site, { recursive: true, dereference: true });
  const relay = await t.relay({ site });
  const person = await join(await t.chromium(), relay.url);
  await controlled(person);

  const build = await release(site);
  await person.reload();
  await person.see("update");
  assert.equal(await shownBuild(person), null, "the old version stays until one agrees");
  await person.click("update-now");
  await eventually("the new version", async () => (await shownBuild(person)) === build);
  await person.see("app", { state: "ready" });
  const cached = await person.page.evaluate(async () => {
    const names = await caches.keys();
    const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return requests.flat().filter(({ url }) => new URL(url).pathname === "/").length;
  });
  assert.equal(cached, 1, "old and new pages are not kept beside each other");
});

/** Changes the site as a deployment does: another page, another manifest, another service worker. */
async function release(site) {
  const build = "feedfacefeedface";
  const { build: before } = JSON.parse(await readFile(path.join(site, "asset-manifest.json"), "utf8"));
  const edit = async (name, change) => {
    const file = path.join(site, name);
    await writeFile(file, change(await readFile(file, "utf8")));
    await rm(`${file}.br`, { force: true });
  };
  await edit("asset-manifest.json", (text) => text.replaceAll(before, build));
  await edit("sw.js", (text) => text.replaceAll(before, build));
  await edit("index.html", (text) => text.replace("</head>", `<meta name="released" content="${build}"></head>`));
  return build;
}

function shownBuild(person) {
  return person.page.evaluate(() => document.querySelector('meta[name="released"]')?.content ?? null);
}
