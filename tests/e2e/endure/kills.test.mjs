// A browser that is killed in the middle of trades, a hundred times: whatever it had acknowledged is there when it comes back.
//
// Two browsers trade without a pause. One of them, by turns the buyer's and the seller's, loses all of its processes to SIGKILL
// at some step of a trade and some milliseconds after it, and starts again on the same profile. Nothing is tried twice: a round
// in which anything is missing, counted twice or not settled fails the journey.

import assert from "node:assert/strict";

import { embed, embeddingPage } from "../lib/embed.mjs";
import { eventually, sleep, test } from "../lib/suite.mjs";
import { PREPARE_MS_MAX, TEXTS } from "../lib/survival.mjs";

const KILLS = 100;
/** Steps of a trade as its buyer sees them, from the first word to the last signature. */
const STEPS = ["searching", "proposal", "agreed", "sent", "delivered", "verified", "receipted"];
/** From the step to the signal: within the next steps, whichever they are. */
const AFTER_MS = [0, 1, 2, 4, 8, 16, 32, 64, 128];
/** Trades under way at any time. */
const TRADERS = 2;
/** A trade with a dead seller is over by then. */
const DEADLINE_MS = 5_000;
const STEP_MS_MAX = 60_000;
const SETTLED_MS_MAX = 60_000;
/** More than are made here. */
const RECEIPTS_MAX = 4_000;

class Side {
  /** What it told this test to be paid, by id: for how much, and whether both had signed. */
  acknowledged = new Map();
  starts = 0;

  constructor(t, url, group) {
    Object.assign(this, { t, url, group });
  }

  /** Starts the browser, on the profile of the one before, and the node in it. */
  async start() {
    this.browser = await this.t.chromium({ profile: this.browser?.profile });
    this.node = await embed(this.browser, this.url, { group: this.group });
    const id = await this.node.peerId;
    assert.equal(id, (this.id ??= id), "the same identity comes back");
    this.starts += 1;
    await this.node.page.exposeFunction("acknowledge", (receipt, delta, signed) =>
      this.acknowledged.set(receipt, { delta, signed }),
    );
    await this.node.page.exposeFunction("reach", (step) => this.reached?.(step));
    await this.node.page.evaluate(() => {
      window.node.on("served", ({ step }) => step.step === "paid" && window.acknowledge(step.receipt, step.price, true));
      window.node.on("trade", ({ step }) => window.reach(step.step));
    });
  }

  /** Buys without a pause until `rest`. */
  async trade() {
    await this.node.page.evaluate(
      (texts, traders, deadlineMs) => {
        window.trading = true;
        const trade = async () => {
          while (window.trading) {
            try {
              const { receipt } = await window.node.request("inference", { texts }, { deadlineMs });
              // A request ends without the seller's half where the seller has been away for too long.
              window.acknowledge(receipt.id, receipt.delta, receipt.fullySigned);
            } catch {
              // The other side died, or is not back yet.
              await new Promise((resolve) => setTimeout(resolve, 100));
            }
          }
        };
        window.traders = Promise.all(Array.from({ length: traders }, trade));
      },
      TEXTS,
      TRADERS,
      DEADLINE_MS,
    );
  }

  /** Resolves when the last of its trades has come to its end. */
  async rest() {
    await this.node.page.evaluate(async () => {
      window.trading = false;
      await window.traders;
    });
  }

  /** Resolves when a trade reaches this step. */
  async step(wanted) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no trade reached ${wanted} within ${STEP_MS_MAX} ms`)), STEP_MS_MAX);
    });
    const reached = new Promise((resolve) => {
      this.reached = (step) => step === wanted && resolve();
    });
    await Promise.race([reached, late]).finally(() => clearTimeout(timer));
    this.reached = undefined;
  }

  /** Checks the own chain against itself and against everything that was acknowledged; returns its receipts with `other` by id. */
  async audit(other) {
    const acknowledged = [...this.acknowledged];
    // Both at once: the node goes on meanwhile.
    const { receipts, settled, pending } = await this.node.page.evaluate(
      (peer, count) => {
        const receipts = window.node.receiptsWith(peer, count).map(({ id, delta, fullySigned }) => ({ id, delta, fullySigned }));
        return { receipts, ...window.node.balance() };
      },
      other.id,
      RECEIPTS_MAX,
    );
    const byId = new Map(receipts.map((receipt) => [receipt.id, receipt]));
    assert.equal(byId.size, receipts.length, "each receipt is there once");
    for (const [id, { delta, signed }] of acknowledged) {
      assert.equal(byId.get(id)?.delta, delta, `receipt ${id} was acknowledged and is there`);
      if (signed) assert.ok(byId.get(id).fullySigned, `receipt ${id} was acknowledged with both signatures`);
    }
    const sum = (some) => receipts.filter(some).reduce((total, { delta }) => total + delta, 0);
    assert.equal(settled, sum(({ fullySigned }) => fullySigned), "the balance is what the receipts add up to");
    assert.equal(pending, sum(({ fullySigned }) => !fullySigned));
    return byId;
  }
}

/** Waits until nothing is half-signed on either side, and checks that what one lost the other gained, receipt by receipt. */
async function settle(buyer, seller) {
  return eventually(
    "both sides having settled",
    async () => {
      const [bought, sold, now] = [await buyer.audit(seller), await seller.audit(buyer), await buyer.audit(seller)];
      const whole = [bought, sold].every((receipts) => [...receipts.values()].every(({ fullySigned }) => fullySigned));
      // What was given up may still be paid for in part while this looks.
      if (!whole || bought.size !== now.size) return false;
      assert.deepEqual([...bought.keys()].sort(), [...sold.keys()].sort(), "both sides have the same receipts");
      for (const [id, { delta }] of bought) assert.equal(sold.get(id).delta, -delta, "what one lost the other gained");
      return bought.size;
    },
    SETTLED_MS_MAX,
    (error) => error instanceof assert.AssertionError,
  );
}

test("endure: the ledger survives a hundred SIGKILLs in the middle of trades", { timeout: 3_600_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const buyer = new Side(t, url);
  await buyer.start();
  // Members of a group of their own, who trade without a limit.
  const group = await buyer.node.page.evaluate(() => window.KnowledgeNode.newGroup());
  await buyer.browser.quit();
  buyer.group = group;
  const seller = new Side(t, url, group);
  await Promise.all([buyer.start(), seller.start()]);
  await seller.node.call("lend", {});
  await eventually("an offer", async () => (await buyer.node.call("offers")).length > 0, PREPARE_MS_MAX);

  const [rounds, back] = [[], []];
  let [receipts, midway] = [0, 0];
  for (let kill = 0; kill < KILLS; kill += 1) {
    const began = performance.now();
    const [victim, survivor] = kill % 2 === 0 ? [buyer, seller] : [seller, buyer];
    const [step, after] = [STEPS[kill % STEPS.length], AFTER_MS[kill % AFTER_MS.length]];
    const where = `kill ${kill + 1}, ${victim === buyer ? "buyer" : "seller"}, ${after} ms after ${step}`;
    try {
      await buyer.trade();
      await buyer.step(step);
      await sleep(after);
      await victim.browser.kill();
      const killed = performance.now();
      await Promise.all([victim.start(), survivor === buyer && buyer.rest()]);
      const chain = await victim.audit(survivor);
      if ([...chain.values()].some(({ fullySigned }) => !fullySigned)) midway += 1;
      receipts = await settle(buyer, seller);
      back.push(performance.now() - killed);
    } catch (error) {
      throw new Error(`${where}: ${error.message}`, { cause: error });
    }
    rounds.push(performance.now() - began);
  }
  const middle = (times) => Math.round(times.toSorted((a, b) => a - b)[times.length >> 1]);
  const longest = (times) => Math.round(Math.max(...times));
  t.note("kills", {
    kills: rounds.length,
    of_buyer: buyer.starts - 2,
    of_seller: seller.starts - 1,
    came_back_half_signed: midway,
    receipts,
    acknowledged: buyer.acknowledged.size + seller.acknowledged.size,
    ms_to_settled_median: middle(back),
    ms_to_settled_max: longest(back),
    ms_round_median: middle(rounds),
    ms_round_max: longest(rounds),
  });
});
