// Nodes that live through the loss of relays, networks and sleep, on pages whose origin outlives every relay.

import { embed, embeddingPage } from "./embed.mjs";
import { eventually, sleep } from "./suite.mjs";

/** How long preparing a model may take on a machine that also runs everything else of the test. */
export const PREPARE_MS_MAX = 90_000;
export const TEXTS = ["How do plants make their food?", "Photosynthesis turns sunlight into sugar."];

/** Starts a node of its own browser that came through this relay. */
export async function arrive(t, relay, viewOptions, browserOptions) {
  return settle(t, relay, await t.chromium(browserOptions), viewOptions);
}

/** Starts a node in this browser, on an origin that outlives the relay. */
export async function settle(t, relay, browser, viewOptions) {
  const address = relay.url.hostname === "localhost" ? undefined : relay.url.hostname;
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) }, address);
  return embed(browser, url, {}, viewOptions);
}

async function connections(node) {
  return (await node.call("status")).connections;
}

export async function isDirect(node, id) {
  return (await connections(node)).some(({ peer, transport }) => peer === id && transport === "webrtc");
}

/** Waits until two nodes are connected directly, and by nothing else, which is when trades begin. */
export async function meet(one, other, ms = 30_000) {
  for (const [node, id] of [[one, await other.peerId], [other, await one.peerId]]) {
    await eventually("a direct connection", async () => (await isDirect(node, id)) && (await connections(node)).every(({ peer, transport }) => peer !== id || transport === "webrtc"), ms);
  }
}

export async function isReserved(node) {
  return (await node.call("status")).relay.state.state === "reserved";
}

export async function lendAndBeSeen(lender, ...others) {
  await lender.call("lend", {});
  const id = await lender.peerId;
  for (const node of others) await eventually("an offer", async () => (await node.call("offers")).find(({ provider }) => provider === id), PREPARE_MS_MAX);
}

/** A number that the relay tells of itself. */
export async function metric(relay, name) {
  const text = await fetch(`${relay.origin}/metrics`).then((response) => response.text());
  return Number(new RegExp(`^knowledge_relay_${name} (\\d+)$`, "m").exec(text)[1]);
}

/** The relay's own WebSocket address, with its identity. */
export async function addressOf(relay) {
  const { addresses } = await fetch(`${relay.origin}/bootstrap.json`).then((response) => response.json());
  return addresses.find((address) => address.includes("/ws"));
}

/** Lets the page write down from now on what the node is connected to, whenever that changes. */
export async function follow(node) {
  await node.page.evaluate(() => {
    window.trail = [];
    let last;
    setInterval(async () => {
      const { connections, relay } = await window.node.status();
      const direct = connections.filter(({ transport }) => transport === "webrtc").map(({ peer }) => peer);
      const now = { reserved: relay.state.state === "reserved", direct: direct.sort() };
      if (JSON.stringify(now) !== last) window.trail.push({ at: Date.now(), ...now });
      last = JSON.stringify(now);
    }, 100);
  });
  await eventually("the first entry", () => node.page.evaluate(() => window.trail.length > 0));
}

/** The longest that a dead connection may go unnoticed, and the longest until it is there again, milliseconds. */
const NOTICED_MS_MAX = 30_000;
const BACK_MS_MAX = 10_000;

/**
 * Follows how a node gets the relay and a peer back that it lost by something which ended at `since` (`Date.now()`), and
 * checks both promises. A connection that lived through it was neither lost nor made again.
 */
export async function comesBack(t, name, node, peer, since) {
  await sleep(since + NOTICED_MS_MAX - Date.now());
  await eventually(`${name}: both connections`, async () => (await isReserved(node)) && isDirect(node, peer), 2 * BACK_MS_MAX);
  await sleep(500);
  const seen = await node.page.evaluate(() => window.trail);
  const ways = [({ reserved }) => reserved, ({ direct }) => direct.includes(peer)];
  const times = ways.map((has) => {
    const before = seen.findLast(({ at }) => at <= since);
    const after = seen.filter(({ at }) => at > since);
    const lost = has(before) ? after.find((entry) => !has(entry))?.at : since;
    if (lost === undefined) return { noticed: 0, back: 0 };
    return { noticed: lost - since, back: after.find((entry) => entry.at > lost && has(entry)).at - lost };
  });
  t.clock(`${name}-to-noticed`, Math.max(...times.map(({ noticed }) => noticed)), NOTICED_MS_MAX);
  t.clock(`${name}-noticed-to-back`, Math.max(...times.map(({ back }) => back)), BACK_MS_MAX);
}
