// `node run.mjs --relay BINARY --module DIR --out DIR [--filter TEXT]`: the interoperability tests; the last line is
// `N passed, N failed`. Runner, browsers and relay are those of the end-to-end tests.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";

import { runAll } from "../e2e/lib/suite.mjs";
import { buildSite } from "./lib/site.mjs";

const { values } = parseArgs({
  options: { relay: { type: "string" }, module: { type: "string" }, out: { type: "string" }, filter: { type: "string", default: "" } },
});
for (const name of ["relay", "module", "out"]) {
  if (!values[name]) {
    console.error(`error: --${name} is missing; \`cargo xtask test --only interop\` gives every option`);
    process.exit(2);
  }
}

await mkdir(values.out, { recursive: true });
const site = await buildSite({ module: values.module, dir: path.join(values.out, "site") });
await import("./interop.test.mjs");

const { passed, failed } = await runAll({ ...values, site });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
