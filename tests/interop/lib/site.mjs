// Puts the page together: our module as wasm-bindgen made it, js-libp2p bundled by esbuild.

import { cp, mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Builds the page's site into `dir`; `module` is the directory with `transport_page.js`. */
export async function buildSite({ module, dir }) {
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  await cp(module, path.join(dir, "page"), { recursive: true });
  await cp(path.join(here, "js", "index.html"), path.join(dir, "index.html"));
  await build({
    entryPoints: [path.join(here, "js", "page.js")],
    outfile: path.join(dir, "page.js"),
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    minify: true,
    external: ["./page/transport_page.js"],
    logLevel: "warning",
  });
  return dir;
}
