// Wrong input at the page's edges: it is refused in words that a person understands, and nothing is lost.

import assert from "node:assert/strict";
import { cp, mkdtemp, open, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import { addNotes, join, NOTES } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

test("refusals: an address that is none, or where nobody is, is said so", async (t) => {
  const relay = await t.relay();
  const person = await join(await t.chromium(), relay.url);
  await person.goTo("network");
  for (const address of ["nonsense", "/ip4/127.0.0.1/tcp/1/ws/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp", "/ip4/1.2.3.4"]) {
    await person.write("dial-address", address);
    await person.click("dial-submit");
    const { text } = await person.see("dial-error");
    assert.ok(text.length > 20, `${address}: ${text}`);
    assert.doesNotMatch(text, /panicked|undefined|\[object/);
    await person.write("dial-address", "");
  }
  await person.see("app", { state: "ready" });
});

test("refusals: a damaged model is not used, and the reason is shown", { timeout: 180_000 }, async (t) => {
  const site = await mkdtemp(path.join(os.tmpdir(), "knowledge-site-"));
  t.defer(() => rm(site, { recursive: true, force: true }));
  await cp(t.site, site, { recursive: true, dereference: true });
  const { models } = JSON.parse(await readFile(path.join(site, "models", "index.json"), "utf8"));
  for (const { onnx } of models) {
    const file = await open(path.join(site, "models", onnx.blake3), "r+");
    await file.write(Buffer.from("damaged"), 0, 7, 1000);
    await file.close();
    await rm(path.join(site, "models", `${onnx.blake3}.br`), { force: true });
  }

  const relay = await t.relay({ site });
  const person = await join(await t.chromium(), relay.url);
  await addNotes(person);
  await person.goTo("node");
  await person.click("lend");
  const paused = await person.seeWhere("lend-state", "with a reason", ({ data, text }) => data.state === "paused" && /damaged|forged|hash/i.test(text), 60_000);
  assert.doesNotMatch(paused.text, /panicked|undefined|\[object/);
  await person.goTo("ask");
  await person.see("passage-count", { count: NOTES.passages.length });
});

test("refusals: a page beyond the first that does not come is said so, and comes when tried again", async (t) => {
  const relay = await t.relay();
  const browser = await t.chromium();
  const person = await browser.open("about:blank");
  const network = await person.page.createCDPSession();
  await network.send("Network.enable");
  await network.send("Network.setBlockedURLs", { urls: ["*/web-ui-later-*"] });
  await person.page.goto(relay.url);
  await person.see("app", { state: "ready" });
  await person.click("nav-market");
  await person.see("page-again");
  await network.send("Network.setBlockedURLs", { urls: [] });
  await person.click("page-again");
  await person.see("page-market");
  for (const name of ["reputation", "node", "network", "ask"]) await person.goTo(name);
});
