// A tiny web server: somebody else's site, from which our module is embedded.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };

/** Serves `{path: text}` or a directory's files on a free port of an address. */
export async function serveDirectory(content, address = "127.0.0.1") {
  const server = createServer(async (request, response) => {
    const name = new URL(request.url, "http://localhost").pathname.replace(/\/$/, "/index.html");
    try {
      const body = typeof content === "string" ? await readFile(path.join(content, path.normalize(name))) : content[name];
      if (body === undefined) throw new Error("no such file");
      response.writeHead(200, { "content-type": TYPES[path.extname(name)] ?? "application/octet-stream" });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, address, resolve));
  return {
    url: `http://${address}:${server.address().port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
