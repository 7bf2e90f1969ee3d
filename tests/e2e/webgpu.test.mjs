// A trade that is computed by the project's own kernels on WebGPU.

import assert from "node:assert/strict";

import { addNotes, ask, join, lend, NOTES, ownPeerId, seePeer } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

test("webgpu: a provider sells a trade computed by the project's own kernels", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium({ webgpu: true }), relay.url);
  const bob = await join(await t.chromium(), relay.url);
  const adaId = await ownPeerId(ada);
  await seePeer(bob, adaId);

  await ada.goTo("node");
  await ada.choose("backend", "webgpu");
  await lend(ada);
  await ada.see("backend-active", { backend: "webgpu" }, 120_000);

  await bob.goTo("market");
  await bob.see("offer", { peer: adaId, service: "inference" });
  await addNotes(bob, NOTES);
  const answer = await ask(bob, NOTES.question, 120_000);
  assert.match(answer.results[0].text, NOTES.answer);
  assert.equal(answer.backend, "webgpu");
  assert.equal(answer.verdict, "spot-checked");
});
