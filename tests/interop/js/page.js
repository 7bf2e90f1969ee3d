// What the page offers to a test's driver: `window.make(kind)`, then `window.nodes[kind]`.

import { BareChannel } from "./bare.js";
import { JsNode } from "./node.js";

const makers = {
  bare: async () => new BareChannel(),
  js: () => JsNode.create(),
  ours: async () => {
    const module = await import("./page/transport_page.js");
    await module.default();
    return new module.Node();
  },
};

window.nodes = {};
window.make = async (kind) => {
  window.nodes[kind] = await makers[kind]();
  return window.nodes[kind].id;
};
