// `node inference.mjs --site DIR --out FILE --rounds N`: pairs of milliseconds, ours and theirs, taken turn by
// turn. The file is the site's MiniLM with weights of one byte.

import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { launchChromium } from "../e2e/lib/browsers.mjs";
import { serveDirectory } from "../e2e/lib/origin.mjs";

const { values } = parseArgs({
  options: { site: { type: "string" }, out: { type: "string" }, rounds: { type: "string", default: "9" } },
});
const rounds = Number(values.rounds);
const here = path.dirname(fileURLToPath(import.meta.url));

/** Opens the page in a new browser, so that nothing is compiled or cached yet. */
async function inFreshBrowser(url, work) {
  const browser = await launchChromium({ webgpu: true });
  try {
    const { page } = await browser.open(`${url}/inference.html`);
    await page.waitForFunction(() => globalThis.adapter !== undefined);
    return await work(page);
  } finally {
    await browser.close();
  }
}

/** On the CPU both take a moment, and whatever else the machine does falls on some turns only: there are more of them. */
const CPU_TURNS = 5;

async function onCpu(page) {
  await page.evaluate(() => prepareCpu());
  const measured = {};
  for (const tokens of [32, 128]) {
    const found = [];
    for (let round = 0; round < rounds * CPU_TURNS; round += 1) {
      found.push(await page.evaluate((length, at) => cpuRound(length, at), tokens, round));
    }
    for (const kind of ["floats", "bytes"]) measured[`${kind}_${tokens}`] = found.map((pair) => pair[kind]);
    console.error(`${tokens} tokens on the CPU: ${found.length} rounds`);
  }
  return measured;
}

async function turns(name, turn) {
  const pairs = [];
  for (let round = 0; round < rounds; round += 1) {
    const pair = await turn(round);
    pairs.push(pair);
    console.error(`${name}, round ${round + 1}: ${pair.ours.toFixed(0)} ms against ${pair.theirs.toFixed(0)} ms`);
  }
  return pairs;
}

const folder = await mkdtemp(path.join(os.tmpdir(), "knowledge-bench-"));
for (const [name, target] of [
  ["inference.html", path.join(here, "inference.html")],
  ["inference.page.mjs", path.join(here, "inference.page.mjs")],
  ["models", path.join(values.site, "models")],
  ["worker", path.join(values.site, "worker")],
  ["ort", path.join(here, "node_modules", "onnxruntime-web", "dist")],
]) {
  await symlink(path.resolve(target), path.join(folder, name));
}
const server = await serveDirectory(folder);
const url = server.url.replace("127.0.0.1", "localhost");
try {
  const firstRun = (which) => inFreshBrowser(url, (page) => page.evaluate((name) => first(name), which));
  const firsts = await turns("first run", async () => ({ theirs: await firstRun("theirs"), ours: await firstRun("ours") }));
  const measured = await inFreshBrowser(url, async (page) => {
    await page.evaluate(() => prepare());
    return {
      adapter: await page.evaluate(() => adapter()),
      steady: await turns("32 tokens", (round) => page.evaluate((at) => steadyRound(at), round)),
      batch: await turns("64 sentences", () => page.evaluate(() => batchRound())),
    };
  });
  const cpu = await inFreshBrowser(url, onCpu);
  await writeFile(values.out, `${JSON.stringify({ ...measured, first: firsts, cpu }, null, 2)}\n`);
} finally {
  await server.close();
  await rm(folder, { recursive: true, force: true });
}
