// Phones get the abilities of a secure page on a local network: each installs the relay's own authority once.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";

import { join, ownPeerId, seePeer, tradeOnce } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

/** A name that no browser treats as its own machine: only the certificate can make pages under it secure. */
const NAME = "network.local";
const CHROMIUM = { args: [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`] };
const FIREFOX = { prefs: { "network.dns.localDomains": NAME } };

/** Downloads the authority from the install page, as a person does who follows its link. */
async function downloadAuthority(relay) {
  const setup = /devices nearby install.*?(http:\/\/[^\s"]+)/.exec(relay.log())?.[1];
  assert.ok(setup, `the relay names its install page:\n${relay.log()}`);
  const page = await (await fetch(setup)).text();
  const link = /href="([^"]+\.crt)"/.exec(page)?.[1];
  assert.ok(link, "the install page links to the certificate");
  const file = path.join(relay.dataDir, "downloaded.crt");
  await writeFile(file, Buffer.from(await (await fetch(new URL(link, setup))).arrayBuffer()));
  return file;
}

test("lan: who installed the authority joins over https and wss, meets Firefox and trades; who did not is warned", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay({ args: ["--lan", "--lan-name", NAME] });
  const authority = await downloadAuthority(relay);
  const url = `https://${NAME}:${relay.port}/`;

  const stranger = await t.chromium(CHROMIUM);
  await assert.rejects(stranger.open(url), /ERR_CERT_AUTHORITY_INVALID/);

  const ada = await join(await t.chromium({ ...CHROMIUM, authority }), url);
  const bob = await join(await t.firefox({ ...FIREFOX, authority }), url);
  for (const person of [ada, bob]) {
    assert.ok(await person.page.evaluate(() => isSecureContext && Boolean(crypto.subtle) && Boolean(navigator.locks)), "the page is secure");
    await person.goTo("network");
    await person.see("peer", { role: "relay", transport: "websocket" });
  }
  await seePeer(bob, await ownPeerId(ada), "webrtc");
  await tradeOnce(ada, bob);
});
