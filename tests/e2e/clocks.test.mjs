// The promises about time, measured inside the page from the start of its navigation.

import { addNotes, ask, join, lend, ownPeerId, seePeer } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

const USABLE_MS_MAX = 2_000;
const FIRST_PEER_MS_MAX = 3_000;
const WARM_ANSWER_MS_MAX = 2_000;

/** Notes in the page when the field can be used and when the first peer is there. */
const stopwatch = {
  script: () => {
    const element = (id) => document.querySelector(`[data-testid="${id}"]`);
    window.clocks = {};
    const look = () => {
      const field = element("ask-question");
      if (field && !field.disabled && field.getBoundingClientRect().height > 0) window.clocks.usable ??= performance.now();
      if (Number(element("presence")?.dataset.peers) > 0) window.clocks.firstPeer ??= performance.now();
      if (!window.clocks.usable || !window.clocks.firstPeer) setTimeout(look, 10);
    };
    look();
  },
};

test("clocks: usable, first peer, warm answer", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  const adaId = await ownPeerId(ada);

  const bob = await (await t.chromium()).open(String(relay.url), { before: stopwatch });
  const clocks = await eventually("both clocks", () => bob.page.evaluate(() => window.clocks.usable && window.clocks.firstPeer && window.clocks));

  await lend(ada);
  await seePeer(bob, adaId);
  await bob.goTo("market");
  await bob.see("offer", { peer: adaId, service: "inference" });
  await addNotes(bob);
  await ask(bob, "What do plants live on?");
  await ask(bob, "When does the library close?");
  const warm = await ask(bob);

  t.clock("page usable after opening", clocks.usable, USABLE_MS_MAX);
  t.clock("first peer after opening", clocks.firstPeer, FIRST_PEER_MS_MAX);
  t.clock("warm question to answer", warm.ms, WARM_ANSWER_MS_MAX);
});
