// A real relay as a child process: a free port, an empty data directory, its log kept for evidence.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";

const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 10_000;
const LOG_CHARS_MAX = 1_000_000;

// Below the ports that systems lend to whoever connects, so that nobody has taken one when its relay comes back.
const LASTING_PORTS = { first: 10_000, last: 30_000, apart: 10 };
// The page's, and its neighbours': TCP one above, STUN three above.
const PORTS_BESIDE = 3;

/** Starts `knowledge-relay`; `args` are further options, `dataDir` and `port` make a restart possible. */
export async function startRelay({ binary, site, args = [], dataDir, port = 0, address = "127.0.0.1" }) {
  const ownDataDir = dataDir ?? (await mkdtemp(path.join(os.tmpdir(), "knowledge-relay-")));
  const options = ["--address", address, "--port", String(port), "--site-dir", site, "--data-dir", ownDataDir, ...args];
  const child = spawn(binary, options, { stdio: ["ignore", "pipe", "pipe"] });
  const relay = new Relay(child, ownDataDir, dataDir === undefined);
  try {
    await relay.ready();
  } catch (error) {
    await relay.close();
    throw error;
  }
  return relay;
}

/** A port for a relay that will be stopped and started again; its neighbours are free as well. */
export async function lastingPort() {
  const { first, last, apart } = LASTING_PORTS;
  for (;;) {
    const port = first + apart * Math.floor((Math.random() * (last - first)) / apart);
    const free = await Promise.all(Array.from({ length: PORTS_BESIDE + 1 }, (_, offset) => isFree(port + offset)));
    if (free.every(Boolean)) return port;
  }
}

function isFree(port) {
  const server = net.createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

class Relay {
  #child;
  #exited;
  #log = "";
  #stdout = "";
  #ownsDataDir;

  constructor(child, dataDir, ownsDataDir) {
    this.#child = child;
    this.dataDir = dataDir;
    this.#ownsDataDir = ownsDataDir;
    this.#exited = new Promise((resolve) => {
      child.once("error", (error) => resolve({ code: null, signal: null, error }));
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    child.stderr.on("data", (data) => this.#append(data));
    child.stdout.on("data", (data) => {
      this.#stdout += data;
      this.#append(data);
    });
  }

  /** Resolves when the relay has printed `ready <URL>`. */
  async ready() {
    const line = new Promise((resolve) => {
      const look = () => {
        const match = /^ready (\S+)$/m.exec(this.#stdout);
        if (match) resolve(match[1]);
      };
      this.#child.stdout.on("data", look);
      look();
    });
    const exited = this.#exited.then((exit) => {
      throw new Error(`the relay ended before it was ready: ${exit.error?.message ?? exit.code ?? exit.signal}\n${this.#log}`);
    });
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the relay printed no ready line within ${READY_MS_MAX} ms\n${this.#log}`)), READY_MS_MAX);
    });
    this.url = new URL(await Promise.race([line, exited, late]).finally(() => clearTimeout(timer)));
    exited.catch(() => {});
    this.port = Number(this.url.port);
  }

  /** The page's origin, without a trailing slash. */
  get origin() {
    return this.url.origin;
  }

  /** Everything that it wrote. */
  log() {
    return this.#log;
  }

  /** Sends a signal and resolves with `{code, signal}`. */
  async stop(signal = "SIGTERM") {
    this.#child.kill(signal);
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the relay did not stop within ${STOP_MS_MAX} ms of ${signal}`)), STOP_MS_MAX);
    });
    return Promise.race([this.#exited, late]).finally(() => clearTimeout(timer));
  }

  async close() {
    this.#child.kill("SIGKILL");
    await this.#exited;
    if (this.#ownsDataDir) await rm(this.dataDir, { recursive: true, force: true });
  }

  #append(data) {
    if (this.#log.length < LOG_CHARS_MAX) this.#log += data;
  }
}
