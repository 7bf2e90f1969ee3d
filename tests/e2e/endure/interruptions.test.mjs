// What happens to every laptop: its lid is closed, its network goes away, its browser freezes the page.

import { openNamespace } from "../lib/namespace.mjs";
import { eventually, sleep, test } from "../lib/suite.mjs";
import { arrive, comesBack, follow, isDirect, lendAndBeSeen, meet, settle, TEXTS } from "../lib/survival.mjs";

/** Longer than anybody waits for a node that says nothing: relay and peers have let go of it by then. */
const AWAY_MS = 60_000;
const TIMEOUT = { timeout: 420_000 };

/** Two nodes of which one is lent to; the other is about to go through something. */
async function prepare(ada, bob) {
  await meet(ada, bob);
  await lendAndBeSeen(ada, bob);
  await follow(bob);
}

/** The same trade as before works again. */
async function trades(bob) {
  const { receipt } = await bob.call("request", "inference", { texts: TEXTS }, {});
  await eventually("the receipt", async () => (await bob.call("receipts")).find(({ id }) => id === receipt.id));
}

test("endure: a laptop sleeps for a minute", TIMEOUT, async (t) => {
  const relay = await t.relay();
  const ada = await arrive(t, relay);
  const laptop = await t.chromium();
  const bob = await settle(t, relay, laptop);
  await prepare(ada, bob);
  const bobId = await bob.peerId;

  await laptop.sleep();
  const closed = Date.now();
  await eventually("noticing that it sleeps", async () => !(await isDirect(ada, bobId)), 60_000);
  t.clock("peer-asleep-to-noticed", Date.now() - closed, 30_000);
  await sleep(closed + AWAY_MS - Date.now());
  const woken = Date.now();
  await laptop.wake();
  await comesBack(t, "sleep", bob, await ada.peerId, woken);
  await trades(bob);
});

test("endure: a browser freezes the page for a minute", TIMEOUT, async (t) => {
  // By WebSocket alone: libp2p-webrtc-websys lets go of its callbacks and leaves them in its channels, so that what a frozen page
  // kept back finds nobody. It harms nothing but the console.
  const relay = await t.relay({ args: ["--no-webrtc-direct"] });
  const ada = await arrive(t, relay);
  const bob = await arrive(t, relay);
  await prepare(ada, bob);

  const devtools = await bob.page.createCDPSession();
  await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
  await sleep(AWAY_MS);
  const thawed = Date.now();
  await devtools.send("Page.setWebLifecycleState", { state: "active" });
  await bob.page.bringToFront();
  await comesBack(t, "frozen", bob, await ada.peerId, thawed);
  await trades(bob);
});

test("endure: a network interface goes down for a minute and comes up", TIMEOUT, async (t) => {
  const network = await openNamespace();
  t.defer(() => network.close());
  const relay = await t.relay({ address: network.address });
  // Multicast names instead of addresses do not get across the cable.
  const args = ["--disable-features=WebRtcHideLocalIpsWithMdns"];
  const ada = await arrive(t, relay, {}, { args });
  const bob = await arrive(t, relay, {}, { args, namespace: network });
  await prepare(ada, bob);

  network.down();
  await sleep(AWAY_MS);
  const plugged = Date.now();
  network.up();
  await comesBack(t, "network", bob, await ada.peerId, plugged);
  await trades(bob);
});
