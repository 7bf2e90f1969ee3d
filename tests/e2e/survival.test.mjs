// What goes on when a relay, or every relay, is gone.

import assert from "node:assert/strict";

import { lastingPort } from "./lib/relay.mjs";
import { eventually, sleep, test } from "./lib/suite.mjs";
import { addressOf, arrive, isDirect, isReserved, lendAndBeSeen, meet, metric, PREPARE_MS_MAX, TEXTS } from "./lib/survival.mjs";

test("survival: without the relay connections and a running trade go on, and it has everyone back in ten seconds", { timeout: 240_000 }, async (t) => {
  const first = await t.relay({ port: await lastingPort() });
  const [ada, bob] = [await arrive(t, first), await arrive(t, first)];
  await meet(ada, bob);
  await lendAndBeSeen(ada, bob);

  const running = bob.call("request", "inference", { texts: TEXTS }, {});
  await first.stop("SIGKILL");
  const { receipt, price } = await running;
  await eventually("the receipt on the other side", async () => (await ada.call("receipts")).find(({ id, delta }) => id === receipt.id && delta === price));
  for (const node of [ada, bob]) await eventually("noticing it", async () => !(await isReserved(node)));
  await meet(ada, bob);
  // Until the waits between two attempts are at their longest.
  await sleep(8_000);

  const second = await t.relay({ dataDir: first.dataDir, port: first.port });
  const returned = performance.now();
  for (const node of [ada, bob]) await eventually("a reservation", () => isReserved(node), 30_000);
  t.clock("relay-back-to-reservations", performance.now() - returned, 10_000);
  await eventually("both places", async () => (await metric(second, "reservations")) === 2);
  const carol = await arrive(t, second);
  await meet(carol, ada);
});

test("survival: a node keeps places at two relays, joins through either, and one may vanish", { timeout: 180_000 }, async (t) => {
  const alone = await t.relay({ port: await lastingPort() });
  const right = await t.relay({ args: ["--other-relay", await addressOf(alone)] });
  await alone.stop("SIGTERM");
  const left = await t.relay({ dataDir: alone.dataDir, port: alone.port, args: ["--other-relay", await addressOf(right)] });

  const [ada, bob] = [await arrive(t, left), await arrive(t, right)];
  for (const relay of [left, right]) await eventually("both nodes at both relays", async () => (await metric(relay, "reservations")) === 2);
  await meet(ada, bob);
  await left.stop("SIGKILL");
  assert.ok(await isReserved(ada), "the other relay still knows the way to it");
  const carol = await arrive(t, right);
  await meet(carol, ada);
  await meet(ada, bob);
});

test("survival: the relay's own STUN is the only ICE server and shows a browser its outside address", async (t) => {
  const relay = await t.relay();
  const watch = {
    script: () => {
      window.servers = [];
      const Native = window.RTCPeerConnection;
      window.RTCPeerConnection = class extends Native {
        constructor(configuration) {
          super(configuration);
          window.servers.push(configuration?.iceServers ?? []);
        }
      };
    },
  };
  // Bound to every interface at once, a socket does not know its own address; it takes a server to tell.
  const args = ["--force-webrtc-ip-handling-policy=default_public_interface_only"];
  const ada = await arrive(t, relay, { before: watch }, { args });
  const bob = await arrive(t, relay);
  await meet(ada, bob);
  const servers = await ada.page.evaluate(() => window.servers);
  const [own] = (await fetch(`${relay.origin}/bootstrap.json`).then((response) => response.json())).ice_servers;
  assert.match(own.urls[0], /^stun:localhost:\d+$/);
  assert.ok(servers.length > 0);
  for (const used of servers) assert.deepEqual(used.map(({ urls }) => [urls].flat()), [own.urls]);
  // Asked apart from the node's own connection, which stops gathering as soon as one of its pairs works.
  const candidates = await ada.page.evaluate(gather, servers[0]);
  assert.ok(candidates.some((candidate) => /typ srflx/.test(candidate)), `no server-reflexive candidate in ${JSON.stringify(candidates)}`);
});

test("survival: with no relay left two tabs meet through a third one and trade", { timeout: 240_000 }, async (t) => {
  const [left, right] = [await t.relay(), await t.relay()];
  const [ada, bob, carol] = [await arrive(t, left), await arrive(t, left), await arrive(t, right)];
  const [bobId, carolId] = [await bob.peerId, await carol.peerId];
  await meet(ada, bob);
  await eventually("carol's place", () => isReserved(carol));
  await ada.call("dial", `${await addressOf(right)}/p2p-circuit/webrtc/p2p/${carolId}`);
  await meet(ada, carol);
  await carol.call("lend", {});
  await eventually("carol's engine", async () => (await carol.call("status")).models.some(({ state }) => state.state === "loaded"), PREPARE_MS_MAX);
  assert.ok(!(await isDirect(bob, carolId)), "bob and carol do not know each other");

  await Promise.all([left.stop("SIGKILL"), right.stop("SIGKILL")]);
  await ada.call("lend", { coordinate: true });
  await meet(bob, carol, 60_000);
  assert.ok(await isDirect(carol, bobId));
  await eventually("carol's offer at bob's", async () => (await bob.call("offers")).find(({ provider }) => provider === carolId), 30_000);
  const { provider, receipt } = await bob.call("request", "inference", { texts: TEXTS }, {});
  assert.equal(provider, carolId);
  await eventually("the receipt", async () => (await carol.call("receipts")).find(({ id }) => id === receipt.id));
});

/** In the page: what a connection with these servers finds until it knows its outside address, or nothing more comes. */
async function gather(iceServers) {
  const connection = new RTCPeerConnection({ iceServers });
  const candidates = [];
  const enough = new Promise((resolve) => {
    connection.onicecandidate = ({ candidate }) => {
      if (candidate) candidates.push(candidate.candidate);
      if (!candidate || candidate.type === "srflx") resolve();
    };
  });
  connection.createDataChannel("");
  await connection.setLocalDescription();
  await enough;
  connection.close();
  return candidates;
}
