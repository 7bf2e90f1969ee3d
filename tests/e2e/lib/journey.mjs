// What people do with the page, in their words, on top of test ids.

import assert from "node:assert/strict";

import { eventually } from "./suite.mjs";

/** How long preparing a model may take on a machine that also runs everything else of the test. */
const PREPARE_MS_MAX = 90_000;
const ANSWER_MS_MAX = 60_000;

/** Notes and a question whose words do not occur in the right one: only meaning finds it. */
export const NOTES = {
  passages: [
    "The library closes at nine in the evening and opens again at seven the next morning.",
    "Photosynthesis turns sunlight, water and carbon dioxide into sugar and oxygen.",
    "A bicycle chain should be cleaned and oiled every few hundred kilometres.",
    "The parliament passed a law that bans plastic bags in supermarkets.",
  ],
  question: "How do plants make their food?",
  answer: /Photosynthesis/,
};

/** Opens the page and waits until it is a node. */
export async function join(browser, url, options) {
  const person = await browser.open(String(url), options);
  await person.see("app", { state: "ready" });
  return person;
}

/** The peer id that this page shows for itself. */
export async function ownPeerId(person) {
  await person.goTo("node");
  const { text } = await person.seeWhere("node-peer-id", "with a peer id", ({ text }) => /12D3KooW\w{44}/.test(text));
  return /12D3KooW\w{44}/.exec(text)[0];
}

/** Waits until this peer is connected by the given transport, and returns its row. */
export async function seePeer(person, peer, transport = "webrtc") {
  await person.goTo("network");
  return person.see("peer", { peer, transport, role: "node" }, 30_000);
}

/** What a small device keeps: then everyone lends the same model, however fast this machine seems to be. */
export const SMALL_DISK_BYTES = 50e6;

/** Turns lending on and waits until offers stand. */
export async function lend(person) {
  await person.goTo("node");
  await person.write("lend-storage", String(SMALL_DISK_BYTES / 1e6));
  if (!(await person.see("lend")).checked) await person.click("lend");
  await person.see("lend-state", { state: "lending" }, PREPARE_MS_MAX);
}

/** Adds the notes; `count` passages are there then, which are searchable with the next question. */
export async function addNotes(person, { passages } = NOTES, count = passages.length) {
  await person.goTo("ask");
  await person.write("ask-passages", passages.join("\n\n"));
  await person.click("ask-add");
  await person.see("passage-count", { count });
}

/** Asks and waits for the answer; returns what the page shows of it and of the trade behind it. */
export async function ask(person, question = NOTES.question, msMax = ANSWER_MS_MAX) {
  await person.goTo("ask");
  await person.write("ask-question", question);
  const started = performance.now();
  await person.click("ask-submit");
  await eventually(
    "an answer",
    async () => {
      const refusal = await person.find("answer-error");
      if (refusal?.visible) throw new Refused(refusal.data.code, refusal.text);
      return (await person.find("answer"))?.data.state === "done" && (await person.find("ask-submit")).enabled;
    },
    msMax,
    (error) => error instanceof Refused,
  );
  return { ms: performance.now() - started, ...(await readAnswer(person)) };
}

/** The page said why there is no answer. */
export class Refused extends Error {
  constructor(code, text) {
    super(`refused (${code}): ${text}`);
    this.code = code;
    this.text = text;
  }
}

async function readAnswer(person) {
  const only = async (id) => {
    const element = await person.find(id);
    assert.ok(element, `the answer shows no ${id}`);
    return element;
  };
  return {
    steps: (await person.all("step")).map(({ data }) => data.step),
    results: (await person.all("result")).map(({ text, data }) => ({ text, score: Number(data.score) })),
    price: Number((await only("trade-price")).data.millicredits),
    factors: (await person.all("trade-factor")).map(({ data }) => data.factor),
    provider: (await only("trade-provider")).data.peer,
    verdict: (await only("trade-verification")).data.verdict,
    receipt: (await only("trade-receipt")).data.receipt,
    backend: (await person.find("trade-backend"))?.data.backend,
  };
}

/** Makes a group of one's own and returns its link. */
export async function invite(person) {
  await person.click("invite");
  await person.see("invite-qr");
  const { value, text } = await person.see("invite-link");
  await person.click("invite-close");
  return value || text;
}

/** The balance that the page shows, in millicredits. */
export function balance(person) {
  return person.number("balance", "millicredits");
}

/** Waits for a balance. */
export async function seeBalance(person, millicredits) {
  await person.see("balance", { millicredits });
}

/** Lends on one side and asks on the other, once; both balances move by the price. */
export async function tradeOnce(lender, asker) {
  const lenderId = await ownPeerId(lender);
  await lend(lender);
  await asker.goTo("market");
  await asker.see("offer", { peer: lenderId, service: "inference" });
  await addNotes(asker);
  const answer = await ask(asker);
  assert.match(answer.results[0].text, NOTES.answer);
  assert.equal(answer.provider, lenderId);
  await seeBalance(lender, answer.price);
  await seeBalance(asker, -answer.price);
}

/**
 * Waits until what these people gained and lost adds up to nothing. The answer is shown before the last half-block is
 * back, and a receipt moves a balance only when both have signed it.
 */
export async function seeBalancesCancel(...people) {
  const all = () => Promise.all(people.map(balance));
  await eventually("balances that cancel", async () => {
    const balances = await all();
    if (balances.reduce((sum, each) => sum + each, 0) !== 0) throw new Error(balances.join(", "));
    return true;
  });
}

/** The receipts that the page lists. */
export async function receipts(person) {
  await person.goTo("reputation");
  return (await person.all("receipt")).map(({ data }) => ({ id: data.receipt, millicredits: Number(data.millicredits), peer: data.peer, status: data.status }));
}

/** What this page thinks of a peer. */
export async function reputation(person, peer) {
  await person.goTo("reputation");
  const { data } = await person.see("reputation-peer", { peer });
  return { score: Number(data.score), low: Number(data.low), high: Number(data.high) };
}
