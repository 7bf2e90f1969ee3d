// A network of its own for one browser, with one cable to this machine that can be pulled. It takes root.

import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

const NAME = "knowledge-net";
const CABLE = { here: "knowledge-here", there: "knowledge-there" };

/** Lays the cable; `close` takes it away. */
export async function openNamespace() {
  const dir = await mkdtemp(path.join(os.tmpdir(), `${NAME}-`));
  const namespace = new Namespace(dir);
  // What an earlier run left behind when it was killed.
  spawnSync("ip", ["netns", "del", NAME]);
  for (const command of [
    `netns add ${NAME}`,
    `link add ${CABLE.here} type veth peer name ${CABLE.there} netns ${NAME}`,
    `addr add ${namespace.address}/24 dev ${CABLE.here}`,
    `link set ${CABLE.here} up`,
    `-n ${NAME} addr add 10.203.114.2/24 dev ${CABLE.there}`,
    `-n ${NAME} link set lo up`,
    `-n ${NAME} link set ${CABLE.there} up`,
  ]) ip(command);
  return namespace;
}

class Namespace {
  #dir;

  constructor(dir) {
    this.#dir = dir;
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
  }

  async close() {
    ip(`netns del ${NAME}`);
    await rm(this.#dir, { recursive: true, force: true });
  }
}

function ip(command) {
  const done = spawnSync("ip", command.split(" "), { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`ip ${command}: ${done.error?.message ?? done.stderr}`);
}
