// A network of its own for one browser, with one cable to this machine that can be pulled, or be as long as across half the
// world. It takes root.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const NAME = "knowledge-net";
const CABLE = { here: "knowledge-here", there: "knowledge-there" };

/** Lays the cable; `close` takes it away. What travels on it takes `delayMs` each way. */
export async function openNamespace({ delayMs = 0 } = {}) {
  const dir = await mkdtemp(path.join(os.tmpdir(), `${NAME}-`));
  // What an earlier run left behind when it was killed.
  spawnSync("ip", ["netns", "del", NAME]);
  ip(`netns add ${NAME}`);
  const cable = delayMs > 0 ? await layLongCable(delayMs) : layCable();
  const namespace = new Namespace(dir, cable);
  for (const command of [
    // An address that appears by itself a while later would be a change of network for a browser.
    `link set ${CABLE.here} addrgenmode none`,
    `-n ${NAME} link set ${CABLE.there} addrgenmode none`,
    `addr add ${namespace.address}/24 dev ${CABLE.here}`,
    `link set ${CABLE.here} up`,
    `-n ${NAME} addr add 10.203.114.2/24 dev ${CABLE.there}`,
    `-n ${NAME} link set lo up`,
    `-n ${NAME} link set ${CABLE.there} up`,
    // Where browsers may not list interfaces they offer the address of the one that leads to everywhere.
    `-n ${NAME} route add default via ${namespace.address}`,
  ]) ip(command);
  return namespace;
}

function layCable() {
  ip(`link add ${CABLE.here} type veth peer name ${CABLE.there} netns ${NAME}`);
}

async function layLongCable(delayMs) {
  const script = fileURLToPath(new URL("cable.py", import.meta.url));
  const cable = spawn("python3", [script, CABLE.here, CABLE.there, String(delayMs)], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(cable, "exit").then(([code]) => Promise.reject(new Error(`cable.py ended with ${code}`)));
  await Promise.race([once(cable.stdout, "data"), ended]);
  ended.catch(() => {});
  ip(`link set ${CABLE.there} netns ${NAME}`);
  return cable;
}

class Namespace {
  #dir;
  #cable;

  constructor(dir, cable) {
    this.#dir = dir;
    this.#cable = cable;
  }

  /** This machine's end. */
  get address() {
    return "10.203.114.1";
  }

  /** A program that runs another one inside. */
  async wrapper(program) {
    const file = path.join(this.#dir, "within");
    await writeFile(file, `#!/bin/sh\nexec ip netns exec ${NAME} ${program} "$@"\n`);
    await chmod(file, 0o755);
    return file;
  }

  /** Pulls the cable. */
  down() {
    ip(`-n ${NAME} link set ${CABLE.there} down`);
  }

  /** Plugs it in again. */
  up() {
    ip(`-n ${NAME} link set ${CABLE.there} up`);
    ip(`-n ${NAME} route replace default via ${this.address}`);
  }

  async close() {
    this.#cable?.stdin.end();
    ip(`netns del ${NAME}`);
    await rm(this.#dir, { recursive: true, force: true });
  }
}

function ip(command) {
  const done = spawnSync("ip", command.split(" "), { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`ip ${command}: ${done.error?.message ?? done.stderr}`);
}
