// A network that lets nothing through but the connection to the relay.

import assert from "node:assert/strict";

import { addNotes, ask, join, lend, NOTES, ownPeerId, seeBalancesCancel, seePeer } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";
import { metric } from "./lib/survival.mjs";

/** A device whose every address is blocked: the browser may only use TURN servers, and there is none. */
const BLOCKED = {
  script: () => {
    const Native = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Native {
      constructor(configuration) {
        super({ ...configuration, iceTransportPolicy: "relay" });
      }
    };
  },
};
const CIRCUIT_SECONDS_MAX = 30;

test("survival: where no direct connection can be made the circuit stays, is shown as relayed, and carries a request", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay({ args: ["--circuit-seconds-max", String(CIRCUIT_SECONDS_MAX)] });
  const ada = await join(await t.chromium(), relay.url);
  const bob = await join(await t.chromium(), relay.url, { before: BLOCKED });
  const [adaId, bobId] = [await ownPeerId(ada), await ownPeerId(bob)];
  await lend(ada);
  await seePeer(ada, bobId, "relayed");
  const row = await seePeer(bob, adaId, "relayed");
  assert.match(row.text, /relayed/);
  const { text } = await bob.see("diagnosis", { reason: "no-direct" }, 60_000);
  assert.match(text, /through the relay, slower/);

  await addNotes(bob);
  const answer = await ask(bob);
  assert.equal(answer.provider, adaId);
  assert.match(answer.results[0].text, NOTES.answer);
  await seeBalancesCancel(ada, bob);

  // The relay ends each circuit after its time; the next one is made without anybody's doing.
  const opened = await metric(relay, "circuits_total");
  await eventually("another circuit", async () => (await metric(relay, "circuits_total")) > opened, (CIRCUIT_SECONDS_MAX + 30) * 1_000);
  await seePeer(bob, adaId, "relayed");
  assert.ok(!(await bob.all("peer")).some(({ data }) => data.transport === "webrtc"), "nothing got through directly");
});
