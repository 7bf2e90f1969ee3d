// The limits of lending, as a person sets them.

import assert from "node:assert/strict";

import { join } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

test("lend: limits changed faster than the page shows them are all kept", {}, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  await ada.goTo("node");
  // Neither a person nor another script gets between these.
  await ada.page.evaluate(() => {
    const field = (id) => document.querySelector(`[data-testid="${id}"]`);
    for (const [id, value] of [["lend-storage", "50"], ["lend-memory", "300"]]) {
      field(id).value = value;
      field(id).dispatchEvent(new Event("change", { bubbles: true }));
    }
    field("lend-charging").click();
    field("lend").click();
  });
  const chosen = { storage: "50", memory: "300", charging: false, lend: true };
  const seeChosen = (when) =>
    eventually(`the chosen limits ${when}`, async () => {
      const [storage, memory, charging, lend] = await Promise.all(["storage", "memory", "charging"].map((name) => `lend-${name}`).concat("lend").map((id) => ada.find(id)));
      const shown = { storage: storage.value, memory: memory.value, charging: charging.checked, lend: lend.checked };
      assert.deepEqual(shown, chosen);
      // What the page itself was told is there before the node's answer.
      return (await ada.see("lend-state")).data.state !== "off";
    });
  await seeChosen("at once");
  await ada.reload();
  await ada.see("app", { state: "ready" });
  await ada.goTo("node");
  await seeChosen("on the next visit");
});
