// Somebody else's page that embeds the node, as the README shows it.

import { eventually } from "./suite.mjs";

/** The embedding page; it is served from an origin that is not the relay's. */
export function embeddingPage(relayOrigin) {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Somebody else's page</title>
<script type="module">
  import init, { KnowledgeNode } from "${relayOrigin}/embed/node_wasm.js";
  await init();
  window.KnowledgeNode = KnowledgeNode;
</script></html>`;
}

/** Opens the embedding page and starts a node in it. */
export async function embed(browser, url, options = {}, viewOptions = {}) {
  const person = await browser.open(url, viewOptions);
  await eventually("the module being loaded", () => person.page.evaluate(() => "KnowledgeNode" in window));
  const node = new EmbeddedNode(person.page);
  await node.start(options);
  return node;
}

/** The node inside the page, called from the test. Results are plain data; a rejection keeps its `code`. */
export class EmbeddedNode {
  constructor(page) {
    this.page = page;
  }

  async start(options) {
    await this.page.evaluate(() => {
      window.node = new window.KnowledgeNode();
      window.seen = [];
    });
    await this.call("start", options);
  }

  /** Calls a method, waits for it and returns a copy of what it gives. */
  async call(method, ...args) {
    const outcome = await this.page.evaluate(
      async (name, values) => {
        const plain = (value) => {
          if (typeof value === "bigint") return Number(value);
          if (ArrayBuffer.isView(value)) return { type: value.constructor.name, values: Array.from(value) };
          if (Array.isArray(value)) return value.map(plain);
          if (value instanceof Map) throw new Error("the API returns a Map where a plain object belongs");
          if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
          return value;
        };
        try {
          return { value: plain(await window.node[name](...values)) ?? null };
        } catch (error) {
          return { error: { isError: error instanceof Error, code: error?.code, message: String(error?.message ?? error) } };
        }
      },
      method,
      args,
    );
    if (outcome.error) throw Object.assign(new Error(`${method}: ${outcome.error.message}`), outcome.error);
    return outcome.value;
  }

  get peerId() {
    return this.page.evaluate(() => window.node.peerId);
  }

  /** Collects the events of a name from now on. */
  async listen(event) {
    await this.page.evaluate((name) => window.node.on(name, (detail) => window.seen.push([name, detail])), event);
  }

  /** The names of the events that were collected. */
  heard() {
    return this.page.evaluate(() => window.seen.map(([name]) => name));
  }
}
