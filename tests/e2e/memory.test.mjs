// What the page takes of a device's memory, read from the browser's processes.

import assert from "node:assert/strict";

import { addNotes, ask, join, lend, ownPeerId, seePeer } from "./lib/journey.mjs";
import { sleep, test } from "./lib/suite.mjs";

/** The tiers' own promises: asking on a small device, and lending MiniLM on a usual one. */
const ASKING_BYTES_MAX = 200e6;
const LENDING_BYTES_MAX = 1000e6;
/** What garbage collectors need to notice that there is something to do. */
const SETTLE_MS = 5_000;

test("memory: asking and lending keep to what their tiers promise", { timeout: 180_000 }, async (t) => {
  const relay = await t.relay();
  const [asking, lending] = [await t.chromium(), await t.chromium()];
  const bob = await join(asking, relay.url);
  const ada = await join(lending, relay.url);
  await lend(ada);
  await seePeer(bob, await ownPeerId(ada));
  await addNotes(bob);
  await ask(bob);
  await ask(bob, "When is the library open?");
  await sleep(SETTLE_MS);
  const [[asked], [lent]] = [await asking.memory("renderer"), await lending.memory("renderer")];
  t.note("memory", { asking_bytes: asked, lending_bytes: lent });
  assert.ok(asked > 0 && asked <= ASKING_BYTES_MAX, `asking takes ${asked} bytes`);
  assert.ok(lent > 0 && lent <= LENDING_BYTES_MAX, `lending takes ${lent} bytes`);
});
