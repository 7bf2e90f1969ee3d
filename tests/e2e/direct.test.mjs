// A relay without WebSocket is joined through webrtc-direct, which needs no certificate.

import os from "node:os";

import { join, ownPeerId, seePeer } from "./lib/journey.mjs";
import { test } from "./lib/suite.mjs";

/** Browsers reach webrtc-direct on an interface's address; Firefox refuses it on loopback. */
function interfaceAddress() {
  const addresses = Object.values(os.networkInterfaces()).flat();
  const found = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
  if (!found) throw new Error("this machine has no network interface besides loopback");
  return found.address;
}

// libp2p-webrtc-websys 0.5.0 drops the callbacks of a data channel that closes while the browser is still calling them.
// The connection survives, as the rest of the journey shows.
const DROPPED_CALLBACK = /closure invoked recursively or after being dropped/;

for (const first of ["chromium", "firefox"]) {
  test(`direct: with WebSocket switched off ${first} joins through webrtc-direct and meets another tab`, async (t) => {
    t.tolerate(DROPPED_CALLBACK);
    const relay = await t.relay({ address: "0.0.0.0", args: ["--no-websocket"] });
    const url = `http://${interfaceAddress()}:${relay.port}/`;
    const ada = await join(await t[first](), url);
    const bob = await join(await t.chromium(), url);
    await ada.goTo("network");
    await ada.see("peer", { role: "relay", transport: "webrtc-direct" });
    await seePeer(bob, await ownPeerId(ada), "webrtc");
  });
}
