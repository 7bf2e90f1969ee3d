// The site's computation worker, as it is served: its modules give their known answers in every browser.

import assert from "node:assert/strict";

import { join } from "./lib/journey.mjs";
import { eventually, test } from "./lib/suite.mjs";

/** A worker loads, a module is compiled, and a slow machine computes for seconds. */
const RUN_MS_MAX = 60_000;

/** Computes the sample of each module in a worker of the page, by the messages of `computation::protocol`. */
function samples(person) {
  return person.page.evaluate(async (msMax) => {
    // Of CBOR (RFC 8949) only what these messages need.
    const head = (major, value) => {
      const [info, length] = value < 24 ? [value, 0] : value < 2 ** 8 ? [24, 1] : value < 2 ** 16 ? [25, 2] : value < 2 ** 32 ? [26, 4] : [27, 8];
      const digits = Array.from({ length }, (_, place) => Math.floor(value / 256 ** (length - 1 - place)) % 256);
      return Uint8Array.of((major << 5) | info, ...digits);
    };
    const encode = (value) => {
      if (typeof value === "number") return [head(0, value)];
      if (value instanceof Uint8Array) return [head(2, value.length), value];
      return [head(4, value.length), ...value.flatMap(encode)];
    };
    const decode = (bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      let at = 0;
      const next = () => {
        const first = view.getUint8(at++);
        const [major, info] = [first >> 5, first & 31];
        const length = info < 24 ? 0 : 1 << (info - 24);
        const value = [() => info, () => view.getUint8(at), () => view.getUint16(at), , () => view.getUint32(at), , , , () => Number(view.getBigUint64(at))][length]();
        at += length;
        if (major === 0) return value;
        if (major === 4) return Array.from({ length: value }, next);
        const text = bytes.slice(at, (at += value));
        return major === 2 ? text : new TextDecoder().decode(text);
      };
      return next();
    };
    const fromHex = (hex) => Uint8Array.from(hex.match(/../g), (pair) => Number.parseInt(pair, 16));

    const script = new URL("/worker/computation_worker.js", location).href;
    const loader = new Blob([`import init from ${JSON.stringify(script)}; await init();`], { type: "text/javascript" });
    const worker = new Worker(URL.createObjectURL(loader), { type: "module" });
    const reply = () =>
      new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error("the worker says nothing")), msMax);
        worker.onmessage = ({ data }) => resolve(decode(data));
        worker.onerror = ({ message }) => reject(new Error(message));
      });
    const ask = (request) => {
      const parts = encode(request);
      worker.postMessage(new Uint8Array(parts.flatMap((part) => [...part])));
      return reply();
    };

    const READY = 4;
    const [said] = await reply();
    if (said !== READY) throw new Error(`it said ${said}`);
    const { modules } = await (await fetch("/modules/modules.json")).json();
    const results = [];
    for (const { name, bytes, sample, answer } of modules) {
      const module = new Uint8Array(await (await fetch(`/modules/${name}.wasm`)).arrayBuffer());
      const input = sample.text === undefined ? fromHex(sample.hex) : new TextEncoder().encode(sample.text);
      const prepared = await ask([0, [module]]);
      const [kind, [, [fuel, [ending, [output]]]]] = await ask([1, [7, input, answer.fuel]]);
      const hash = ending === 0 && [...new Uint8Array(await crypto.subtle.digest("SHA-256", output))].join();
      results.push({ name, isWhole: module.length === bytes, prepared: prepared[0], kind, fuel, ending, length: output.length, hash, answer });
    }
    worker.terminate();
    return results;
  }, RUN_MS_MAX);
}

function check(results) {
  assert.deepEqual(
    results.map(({ name }) => name),
    ["words", "shrink", "factors"],
  );
  for (const { name, isWhole, prepared, kind, fuel, ending, length, answer } of results) {
    assert.deepEqual({ isWhole, prepared, kind, ending }, { isWhole: true, prepared: 0, kind: 2, ending: 0 }, name);
    assert.deepEqual({ fuel, length }, { fuel: answer.fuel, length: answer.output_bytes }, name);
  }
}

test("computation: Chromium, Firefox and the interpreter agree on each module of the site", { timeout: 240_000 }, async (t) => {
  const relay = await t.relay();
  const ada = await join(await t.chromium(), relay.url);
  await eventually("a service worker in control", () => ada.page.evaluate(() => navigator.serviceWorker.controller?.state === "activated"));
  const inChromium = await samples(ada);
  check(inChromium);
  const bob = await join(await t.firefox(), relay.url);
  const inFirefox = await samples(bob);
  check(inFirefox);
  assert.deepEqual(inFirefox, inChromium, "the outputs are the same");

  // What was used once is part of this version of the page, and there without a network.
  await relay.stop();
  await ada.page.setOfflineMode(true);
  check(await samples(ada));
});
