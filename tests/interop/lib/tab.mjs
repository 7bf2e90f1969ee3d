// A tab with nodes in it, called by name from the driver's process.

import { withTimeout } from "../../e2e/lib/suite.mjs";

const OPEN_MS_MAX = 45_000;
const CALL_MS_MAX = 45_000;

/** Opens the page in a browser and makes nodes of these kinds: `ours`, `js`, `bare`. `name` is the browser's. */
export async function openTab(browser, url, kinds, name) {
  const { page } = await browser.open(url);
  await page.waitForFunction("window.make !== undefined", { timeout: OPEN_MS_MAX });
  const nodes = {};
  for (const kind of kinds) {
    const id = await page.evaluate((name) => window.make(name), kind);
    nodes[kind] = new RemoteNode(page, kind, id, name);
  }
  return nodes;
}

/** A node in a page; `call` is one of the methods that `Node` and `JsNode` share. */
export class RemoteNode {
  #page;

  constructor(page, kind, id, browser) {
    this.#page = page;
    this.kind = kind;
    this.id = id;
    this.browser = browser;
  }

  /** Calls a method. Arguments and results are plain values. */
  async call(method, ...args) {
    return this.callFor(CALL_MS_MAX, method, ...args);
  }

  /** Calls a method that may take longer than others. */
  async callFor(ms, method, ...args) {
    const result = this.#page.evaluate(
      async (kind, name, given) => {
        const result = await window.nodes[kind][name](...given);
        // Typed arrays do not survive the way to the driver.
        return ArrayBuffer.isView(result) ? Array.from(result) : result;
      },
      this.kind,
      method,
      args,
    );
    const named = result.catch((error) => {
      throw new Error(`${this.kind}.${method}(${args.join(", ")}): ${error.message}`, { cause: error });
    });
    return withTimeout(named, ms, `${this.kind} did not ${method}(${args.join(", ")}) within ${ms} ms`);
  }

  /** Calls a method whose last argument and whose result are bytes. */
  async callWithBytes(method, ...args) {
    const bytes = args.pop();
    return this.#page.evaluate(
      async (kind, name, given, body) => Array.from(await window.nodes[kind][name](...given, Uint8Array.from(body))),
      this.kind,
      method,
      args,
      Array.from(bytes),
    );
  }
}
