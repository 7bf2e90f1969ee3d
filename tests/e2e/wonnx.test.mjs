// A trade that is computed by wonnx on WebGPU.

import assert from "node:assert/strict";

import { addNotes, ask, join, lend, NOTES, ownPeerId, seePeer } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

test("wonnx: a provider with WebGPU sells a trade computed by wonnx", { timeout: 420_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium({ webgpu: true }), relay.url);
  assert.ok(await ada.page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter())), "there is a WebGPU adapter");
  const bob = await join(await t.chromium(), relay.url);
  const adaId = await ownPeerId(ada);
  await seePeer(bob, adaId);

  await ada.goTo("node");
  await ada.choose("backend", "wonnx");
  await lend(ada);
  await ada.see("backend-active", { backend: "wonnx" }, 240_000);

  await bob.goTo("market");
  await bob.see("offer", { peer: adaId, service: "inference" });
  // Software rendering takes seconds for each text, and a request has half a minute.
  await addNotes(bob, { passages: NOTES.passages.slice(0, 2) });
  const answer = await ask(bob, NOTES.question, 180_000);
  assert.match(answer.results[0].text, NOTES.answer);
  assert.equal(answer.backend, "wonnx");
  assert.equal(answer.verdict, "spot-checked");
});

test("wonnx: without WebGPU a pin to wonnx is refused with the reason, and the CPU is there", { timeout: 180_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  await lend(ada);
  await ada.see("backend-active", { backend: "cpu" });
  const refused = await ada.see("backend-refused", { backend: "wonnx" });
  assert.match(refused.text, /WebGPU|adapter/i);
});
