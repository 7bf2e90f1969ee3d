// A person brings a model of their own: through the page, through the API, and past what stands in the way.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import { EmbeddedNode, embed, embeddingPage } from "./lib/embed.mjs";
import { join } from "./lib/journey.mjs";
import { bigrams, classifier, perceptron, tokenizer } from "./lib/onnx.mjs";
import { eventually, test } from "./lib/suite.mjs";

/** The worker is megabytes to compile, on a machine that also runs everything else. */
const BRING_MS_MAX = 60_000;

const X = [1, 2, 3, -4];
const Y = [0, 4, 0, 7, 5, 0];

async function files(t, contents) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "knowledge-own-"));
  t.defer(() => rm(folder, { recursive: true, force: true }));
  return Promise.all(
    Object.entries(contents).map(async ([name, content]) => {
      const file = path.join(folder, name);
      await writeFile(file, content);
      return file;
    }),
  );
}

/** Chooses files in the page's own control, as a person does in the browser's dialog. */
async function bring(person, paths) {
  await person.goTo("node");
  const input = await person.page.waitForSelector('[data-testid="own-files"]');
  await input.uploadFile(...paths);
}

/** Gives the node of the page to the API, in the same tab, as another program of the same site would. */
async function takeOver(person) {
  await person.page.evaluate(async () => {
    const { default: init, KnowledgeNode } = await import("/embed/node_wasm.js");
    await init();
    window.KnowledgeNode = KnowledgeNode;
  });
  const node = new EmbeddedNode(person.page);
  await node.start({ takeOver: true });
  return node;
}

/** Calls `run` inside the page, where typed arrays are. */
function run(node, model, dims, values) {
  return node.page.evaluate(
    async (id, shape, numbers) => {
      const { y } = await window.node.run(id, { x: { type: "float32", dims: shape, data: Float32Array.from(numbers) } });
      return { type: y.type, dims: y.dims, data: [...y.data], isTyped: y.data instanceof Float32Array };
    },
    model,
    dims,
    values,
  );
}

/** Brings a model through the API; each file as text or as an array of bytes. */
function addModel(node, contents) {
  const plain = Object.fromEntries(Object.entries(contents).map(([name, content]) => [name, typeof content === "string" ? content : [...content]]));
  return node.page.evaluate(async (given) => {
    const blob = (content) => new Blob([typeof content === "string" ? content : Uint8Array.from(content)]);
    const { name, ...rest } = given;
    try {
      return await window.node.addModel({ name, ...Object.fromEntries(Object.entries(rest).map(([key, content]) => [key, blob(content)])) });
    } catch (error) {
      return { error: { isError: error instanceof Error, code: error.code, message: error.message } };
    }
  }, plain);
}

for (const kind of ["chromium", "firefox"]) {
  test(`own model: brought through the page, run through the API, still there after a reload (${kind})`, { timeout: 240_000 }, async (t) => {
    const relay = await t.relay();
    const person = await join(await t[kind](), relay.url);
    const [good, bad] = await files(t, { "small.onnx": perceptron(), "odd.onnx": perceptron({ last: "Teleport" }) });

    await bring(person, [bad]);
    const refusal = await person.seeWhere("own-refused", "a refusal", ({ text }) => text !== "", BRING_MS_MAX);
    assert.match(refusal.text, /^odd\.onnx was not added\. .*operator Teleport/);
    assert.deepEqual(await person.all("own-model"), []);

    await bring(person, [good]);
    const { data, text } = await person.see("own-model", {}, BRING_MS_MAX);
    assert.match(data.model, /^[0-9a-f]{64}$/);
    assert.match(text, / B, (under )?\d+ ms a run on processor/);

    await person.reload();
    await person.see("app", { state: "ready" });
    await person.goTo("node");
    await person.see("own-model", { model: data.model });

    const node = await takeOver(person);
    const [model] = await node.call("models");
    assert.deepEqual({ id: model.id, name: model.name, notKept: model.notKept }, { id: data.model, name: "small.onnx", notKept: null });
    assert.deepEqual(model.inputs, [{ name: "x", element: "float32", dims: [null, 2] }]);
    assert.deepEqual(await run(node, model.id, [2, 2], X), { type: "float32", dims: [2, 3], data: Y, isTyped: true });
    await node.call("stop");

    await person.reload();
    await person.see("app", { state: "ready" });
    await person.goTo("node");
    await person.see("own-model", { model: data.model });
    await person.click("own-remove");
    await person.click("own-remove-now");
    await person.seeGone("own-model");
    const left = () => person.page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const opening = indexedDB.open("knowledge-models");
          opening.onerror = () => reject(opening.error);
          opening.onsuccess = () => {
            const keys = opening.result.transaction("pieces").objectStore("pieces").getAllKeys();
            keys.onsuccess = () => resolve(keys.result.length);
          };
        }),
    );
    await eventually("its files being gone", async () => (await left()) === 0);
  });

  test(`own model: another page brings a classifier and a decoder, and reads along (${kind})`, { timeout: 240_000 }, async (t) => {
    const relay = await t.relay();
    const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
    const node = await embed(await t[kind](), url);

    const sorter = await addModel(node, { name: "sorter", onnx: classifier(), tokenizer: tokenizer(), config: '{"id2label":{"0":"quiet","1":"loud"}}' });
    assert.deepEqual(sorter.tasks, ["classify"], JSON.stringify(sorter));
    const [scores] = await node.call("classify", sorter.id, ["the cat"]);
    assert.deepEqual(scores.map(({ label }) => label), ["loud", "quiet"]);
    assert.ok(Math.abs(scores[0].score - 1 / (1 + Math.exp(-1.5))) < 1e-5, `${scores[0].score}`);

    const speaker = await addModel(node, { name: "speaker", onnx: bigrams(), tokenizer: tokenizer() });
    assert.deepEqual(speaker.tasks, ["generate"]);
    assert.ok(speaker.tokensPerSecond > 0);
    const spoken = await node.page.evaluate(async (id) => {
      const heard = [];
      const whole = await window.node.generate(id, "the cat", { onToken: ({ text }) => heard.push(text) });
      return { heard, whole };
    }, speaker.id);
    assert.equal(spoken.whole.text, "sat down");
    assert.equal(spoken.whole.ending, "stop");
    assert.equal(spoken.heard.join(""), "sat down");
    const tokens = await node.call("generate", speaker.id, [6], { maxTokens: 3 });
    assert.deepEqual({ tokens: tokens.tokens, ending: tokens.ending }, { tokens: [1, 2, 3], ending: "length" });

    const endless = await addModel(node, { name: "endless", onnx: bigrams({ endless: true }), tokenizer: tokenizer() });
    const ended = await node.page.evaluate(async (id) => {
      const control = new AbortController();
      const heard = [];
      const onToken = ({ token }) => {
        heard.push(token);
        control.abort();
      };
      const code = await window.node.generate(id, "the cat", { maxTokens: 500, onToken, signal: control.signal }).catch((error) => error.code);
      return { code, heard };
    }, endless.id);
    assert.deepEqual(ended, { code: "cancelled", heard: [3] }, "nothing is heard after it was cancelled");
    assert.equal((await node.call("generate", speaker.id, "the cat", {})).text, "sat down", "the next request is served");

    await node.call("removeModel", sorter.id);
    assert.deepEqual((await node.call("models")).map(({ name }) => name), ["speaker", "endless"]);
    assert.equal((await node.call("generate", speaker.id, "the cat", {})).text, "sat down", "the tokenizer that both had stays");
  });
}

test("own model: what does not fit is refused in words, and the model goes on", { timeout: 180_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const node = await embed(await t.chromium(), url);
  const refused = async (contents) => (await addModel(node, contents)).error;
  assert.deepEqual(await refused({ name: "text", onnx: "no model at all" }).then(({ isError, code }) => ({ isError, code })), { isError: true, code: "model_refused" });
  assert.match((await refused({ onnx: perceptron(), tokenizer: "{}" })).message, /tokenizer/);
  assert.match((await refused({ onnx: perceptron({ last: "Teleport" }) })).message, /operator Teleport/);
  assert.equal((await refused({ name: "nothing" })).code, "invalid_input");

  const { id } = await addModel(node, { name: "small", onnx: perceptron() });
  const unknown = "0".repeat(64);
  const none = {};
  const refusals = [
    ["unknown_model", "run", unknown, none],
    ["unknown_model", "classify", unknown, ["x"]],
    ["unknown_model", "generate", unknown, "x"],
    ["unknown_model", "removeModel", unknown],
    ["invalid_input", "run", "small", none],
    ["invalid_input", "run", id, none],
    ["invalid_input", "run", id, { x: { dims: [1, 2], data: [1, 2] } }],
    ["invalid_input", "classify", id, ["x"]],
    ["invalid_input", "classify", id, Array(1_000).fill("x")],
    ["invalid_input", "generate", id, "x"],
    ["invalid_input", "generate", id, "x", { maxTokens: -1 }],
    ["invalid_input", "generate", id, "x", { maxtokens: 1 }],
    ["invalid_input", "generate", id, { text: "x" }],
  ];
  for (const [code, ...call] of refusals) {
    const error = await node.call(...call).then(() => assert.fail(`${call[0]} took ${JSON.stringify(call).slice(0, 60)}`), (refusal) => refusal);
    assert.equal(error.isError, true, `${call[0]}: not an Error`);
    assert.equal(error.code, code, `${JSON.stringify(call).slice(0, 60)}: ${error.message}`);
    assert.ok(error.message.length > 15, error.message);
  }
  assert.deepEqual((await run(node, id, [2, 2], X)).data, Y);
});

test("own model: where the browser has no room it lasts as long as the page, and says so", { timeout: 180_000 }, async (t) => {
  const relay = await t.relay();
  const { url } = await t.origin({ "/index.html": embeddingPage(relay.origin) });
  const person = await (await t.chromium()).open(url);
  const session = await person.page.createCDPSession();
  // Enough for a node, and not for the model.
  await session.send("Storage.overrideQuotaForOrigin", { origin: url, quotaSize: 4_000_000 });
  const started = async () => {
    await eventually("the module being loaded", () => person.page.evaluate(() => "KnowledgeNode" in window));
    const node = new EmbeddedNode(person.page);
    await node.start({});
    return node;
  };
  const node = await started();
  const model = await person.page.evaluate(async (bytes) => {
    // A field that no reader knows makes it large: number 100, of 8 MiB that do not compress.
    const ballast = new Uint8Array(8 << 20);
    for (let at = 0; at < ballast.length; at += 65_536) crypto.getRandomValues(ballast.subarray(at, at + 65_536));
    const head = Uint8Array.of(0xa2, 0x06, 0x80, 0x80, 0x80, 0x04);
    return window.node.addModel({ name: "homeless", onnx: new Blob([Uint8Array.from(bytes), head, ballast]) });
  }, [...perceptron()]);
  assert.match(model.notKept ?? "", /quota/i);
  assert.deepEqual((await run(node, model.id, [2, 2], X)).data, Y);
  await person.reload();
  assert.deepEqual(await (await started()).call("models"), []);
});
