// `node run.mjs --relay BINARY --site DIR --known-answers BINARY --out DIR [--folder FOLDER] [--only FILE] [--filter TEXT]`: runs the journeys; the last line is `N passed, N failed`.

import { mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { runAll } from "./lib/suite.mjs";

const { values } = parseArgs({
  options: { relay: { type: "string" }, site: { type: "string" }, "known-answers": { type: "string" }, out: { type: "string" }, folder: { type: "string", default: "." }, only: { type: "string", default: "" }, filter: { type: "string", default: "" } },
});
for (const name of ["relay", "site", "known-answers", "out"]) {
  if (!values[name]) {
    console.error(`error: --${name} is missing; \`cargo xtask test --only end-to-end\` gives every option`);
    process.exit(2);
  }
}

const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), values.folder);
const files = (await readdir(here)).filter((name) => name.endsWith(".test.mjs") && name.includes(values.only)).sort();
for (const file of files) await import(pathToFileURL(path.join(here, file)));

const { passed, failed, clocks } = await runAll({ ...values, knownAnswers: values["known-answers"] });
await mkdir(values.out, { recursive: true });
await writeFile(path.join(values.out, "clocks.json"), `${JSON.stringify(clocks, null, 2)}\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
