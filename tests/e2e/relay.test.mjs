// The relay by itself: what it serves, how it starts and how it stops.

import assert from "node:assert/strict";
import { request } from "node:http";
import { brotliDecompressSync } from "node:zlib";

import { test } from "./lib/suite.mjs";

/** One HTTP request as written, without fetch's own normalising and decoding. */
function get(relay, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port: relay.port, path, headers }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    });
    call.on("error", reject).end();
  });
}

test("relay: bootstrap.json names the relay and its addresses, readable from any origin", async (t) => {
  const relay = await t.relay();
  const { status, headers, body } = await get(relay, "/bootstrap.json", { origin: "http://elsewhere.example" });
  assert.equal(status, 200);
  assert.equal(headers["access-control-allow-origin"], "*");
  assert.match(headers["content-type"], /^application\/json/);
  const { peer_id: peerId, addresses } = JSON.parse(body);
  assert.match(peerId, /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/);
  const websocket = addresses.find((address) => address.includes(`/tcp/${relay.port}/`) && address.includes("/ws"));
  assert.ok(websocket, `no WebSocket address on the page's own port in ${addresses}`);
  assert.ok(addresses.every((address) => address.endsWith(`/p2p/${peerId}`)), `an address does not say whose it is: ${addresses}`);
});

test("relay: healthz and metrics answer", async (t) => {
  const relay = await t.relay();
  assert.equal((await get(relay, "/healthz")).status, 200);
  const metrics = await get(relay, "/metrics");
  assert.equal(metrics.status, 200);
  assert.match(metrics.headers["content-type"], /^text\/plain|^application\/openmetrics-text/);
  assert.match(metrics.body.toString(), /^# TYPE \w+ (counter|gauge|histogram)$/m);
});

test("relay: the page comes compressed, typed and under a strict policy", async (t) => {
  const relay = await t.relay();
  const page = await get(relay, "/", { "accept-encoding": "br" });
  assert.equal(page.status, 200);
  assert.match(page.headers["content-type"], /^text\/html; charset=utf-8/i);
  assert.equal(page.headers["content-encoding"], "br");
  assert.match(page.headers.vary ?? "", /accept-encoding/i);
  const html = brotliDecompressSync(page.body).toString();
  const plain = await get(relay, "/", { "accept-encoding": "identity" });
  assert.equal(plain.headers["content-encoding"], undefined);
  assert.equal(plain.body.toString(), html);

  const policy = page.headers["content-security-policy"];
  const scripts = policy.split(";").find((directive) => directive.trim().startsWith("script-src"));
  assert.ok(scripts, `no script-src in ${policy}`);
  assert.doesNotMatch(scripts, /'unsafe-inline'|'unsafe-eval'|\*/);
  assert.equal(page.headers["x-content-type-options"], "nosniff");

  const wasm = /[\w-]+_bg\.wasm/.exec(html)[0];
  const module = await get(relay, `/${wasm}`, { "accept-encoding": "br" });
  assert.equal(module.headers["content-type"], "application/wasm");
  assert.equal(module.headers["content-encoding"], "br");
  assert.match(module.headers["cache-control"] ?? "", /immutable/);
  assert.doesNotMatch((await get(relay, "/sw.js")).headers["cache-control"] ?? "", /immutable/);
});

test("relay: embeddable module and models are readable from any origin", async (t) => {
  const relay = await t.relay();
  const elsewhere = { origin: "http://elsewhere.example" };
  const module = await get(relay, "/embed/node_wasm.js", elsewhere);
  assert.equal(module.status, 200);
  assert.match(module.headers["content-type"], /^(text|application)\/javascript/);
  assert.equal(module.headers["access-control-allow-origin"], "*");

  const index = await get(relay, "/models/index.json", elsewhere);
  assert.equal(index.headers["access-control-allow-origin"], "*");
  const [model] = JSON.parse(index.body).models;
  const weights = await get(relay, `/models/${model.onnx.blake3}`, elsewhere);
  assert.equal(weights.status, 200);
  assert.equal(weights.body.length, model.onnx.bytes);
  assert.match(weights.headers["cache-control"], /immutable/);
});

test("relay: what is not there is not found, also by tricks", async (t) => {
  const relay = await t.relay();
  for (const path of ["/no-such-file.js", "/models/00", "/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/embed/..%2f..%2fidentity"]) {
    const { status, body } = await get(relay, path);
    assert.ok(status === 404 || status === 400, `${path} answered ${status}`);
    assert.doesNotMatch(body.toString(), /root:/);
  }
});

test("relay: SIGTERM stops it cleanly and its identity survives", async (t) => {
  const first = await t.relay();
  const before = JSON.parse((await get(first, "/bootstrap.json")).body);
  const { code } = await first.stop("SIGTERM");
  assert.equal(code, 0);
  const second = await t.relay({ dataDir: first.dataDir });
  const after = JSON.parse((await get(second, "/bootstrap.json")).body);
  assert.equal(after.peer_id, before.peer_id);
});

test("relay: a busy port is one clear sentence", async (t) => {
  const relay = await t.relay();
  await assert.rejects(t.relay({ port: relay.port }), (error) => {
    assert.match(error.message, new RegExp(`${relay.port}`));
    assert.match(error.message, /in use/i);
    assert.doesNotMatch(error.message, /panicked|backtrace/i);
    return true;
  });
});
