// Browsers as separate processes with profiles of their own, as different people would have them.

import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

import puppeteer from "puppeteer-core";

import { Person } from "./person.mjs";
import { eventually } from "./eventually.mjs";

const LAUNCH_MS_MAX = 40_000;
const LOG_LINES_MAX = 5_000;

const CHROMIUM_NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FIREFOX_NAMES = ["firefox-esr", "firefox"];

// Nothing here may talk to anyone but the relay under test. The sandbox needs user namespaces, which root in a container lacks.
const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
// puppeteer switches the GPU process off, and with it every WebGPU adapter.
const CHROMIUM_DEFAULTS_DROPPED = ["--disable-gpu"];
// puppeteer lets tabs in the background run as if they were in front.
const CHROMIUM_DEFAULTS_OF_AUTOMATION = ["--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"];

const FIREFOX_PREFS = {
  "app.update.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
};

/**
 * Starts Chromium. `webgpu` gives it a software adapter; `profile` continues an earlier browser's; `authority` is the
 * file of a certificate authority that its owner has installed; `throttled` lets it slow hidden tabs down as it does for
 * people; `namespace` is the network that it is in.
 */
export async function launchChromium({ webgpu = false, profile, authority, throttled = false, namespace, args = [] } = {}) {
  return launch({
    name: "chromium",
    profile,
    // Chromium reads the authorities of the person from the home directory, Firefox from the profile.
    prepare: async (home) => {
      const database = path.join(home, ".pki", "nssdb");
      await mkdir(database, { recursive: true });
      if (authority) installAuthority(database, authority);
      return { env: { ...process.env, HOME: home } };
    },
    options: {
      browser: "chrome",
      executablePath: await (namespace?.wrapper(find(CHROMIUM_NAMES)) ?? find(CHROMIUM_NAMES)),
      // Its debugging port would be in the namespace too.
      pipe: namespace !== undefined,
      ignoreDefaultArgs: [...CHROMIUM_DEFAULTS_DROPPED, ...(throttled ? CHROMIUM_DEFAULTS_OF_AUTOMATION : [])],
      args: [...CHROMIUM_ARGS, ...(webgpu ? ["--enable-unsafe-webgpu"] : []), ...args],
    },
  });
}

/** Starts Firefox, driven over WebDriver BiDi; options as for Chromium. */
export async function launchFirefox({ profile, authority, prefs = {} } = {}) {
  return launch({
    name: "firefox",
    profile,
    prepare: async (home) => {
      if (authority) installAuthority(home, authority);
      return {};
    },
    options: { browser: "firefox", executablePath: find(FIREFOX_NAMES), extraPrefsFirefox: { ...FIREFOX_PREFS, ...prefs } },
  });
}

/** Does what "import this authority, for websites" does in a browser's settings. */
function installAuthority(database, file) {
  for (const args of [
    ["-N", "--empty-password"],
    ["-A", "-n", "installed by its owner", "-t", "C,,", "-i", file],
  ]) {
    const done = spawnSync("certutil", ["-d", `sql:${database}`, ...args], { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`certutil ${args[0]}: ${done.error?.message ?? done.stderr}`);
  }
}

async function launch({ name, profile, prepare, options }) {
  const userDataDir = profile ?? (await mkdtemp(path.join(os.tmpdir(), `knowledge-${name}-`)));
  Object.assign(options, await prepare(userDataDir));
  const browser = await puppeteer.launch({ ...options, userDataDir, headless: true, timeout: LAUNCH_MS_MAX, protocolTimeout: 120_000 });
  return new Browser(name, browser, userDataDir);
}

class Browser {
  #browser;
  #closed = false;
  #people = [];
  #log = [];

  constructor(name, browser, profile) {
    this.name = name;
    this.profile = profile;
    this.pageErrors = [];
    this.#browser = browser;
  }

  /** Opens a tab; `before` runs in it ahead of every page's own scripts. */
  async open(url, { before, viewport = { width: 1280, height: 900 } } = {}) {
    const page = await this.#browser.newPage();
    this.#listen(page);
    await page.setViewport(viewport);
    if (before) await page.evaluateOnNewDocument(before.script, ...(before.args ?? []));
    if (url) await page.goto(url, { waitUntil: "domcontentloaded" });
    const person = new Person(page);
    this.#people.push(person);
    return person;
  }

  /** Ends every process of this browser at once, as a crash or a drained battery would. */
  async kill() {
    this.#closed = true;
    const child = this.#browser.process();
    const exited = new Promise((resolve) => child.once("exit", resolve));
    // It leads a process group of its own, which dies as one.
    process.kill(-child.pid, "SIGKILL");
    await exited;
    await eventually("every process of the browser being gone", () => groupOf(child.pid).length === 0);
  }

  /** Stops every process of this browser, as a laptop does whose lid is closed, or those of a kind, as if they hung; until `wake`. */
  async sleep(kind) {
    for (const pid of await this.#processes(kind)) process.kill(pid, "SIGSTOP");
  }

  /** Lets the processes go on. */
  async wake(kind) {
    for (const pid of (await this.#processes(kind)).reverse()) process.kill(pid, "SIGCONT");
  }

  /** Bytes of memory of each process of a kind, shared pages counted in parts, the largest first. */
  async memory(kind) {
    const sizes = (await this.#processes(kind)).map(async (pid) => {
      const kilobytes = /^Pss:\s+(\d+) kB/m.exec(await ofProcess(pid, "smaps_rollup"))?.[1];
      return Number(kilobytes ?? 0) * 1024;
    });
    return (await Promise.all(sizes)).filter((bytes) => bytes > 0).sort((a, b) => b - a);
  }

  /** The processes of a kind (`renderer`, `gpu-process`), or all. */
  async #processes(kind) {
    const all = family(this.#browser.process().pid);
    if (!kind) return all;
    const lines = await Promise.all(all.map((pid) => ofProcess(pid, "cmdline")));
    return all.filter((_, index) => lines[index].includes(`--type=${kind}`));
  }

  /** Closes the browser as a person does; its profile stays. */
  async quit() {
    if (this.#closed) return;
    this.#closed = true;
    await this.#browser.close();
  }

  async close() {
    await this.quit();
    await rm(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }

  async keepEvidence(dir) {
    await mkdir(dir, { recursive: true });
    await writeFile(path.join(dir, "console.log"), this.#log.join("\n"));
    if (this.#closed) return;
    for (const [index, person] of this.#people.entries()) {
      if (person.page.isClosed()) continue;
      await person.page.screenshot({ path: path.join(dir, `tab-${index + 1}.png`), fullPage: true }).catch(() => {});
      await writeFile(path.join(dir, `tab-${index + 1}.html`), await person.page.content().catch(String));
    }
  }

  #listen(page) {
    const note = (line) => {
      if (this.#log.length < LOG_LINES_MAX) this.#log.push(`${new Date().toISOString()} ${line}`);
    };
    page.on("console", (message) => note(`${message.type()}: ${message.text()}`));
    page.on("requestfailed", (request) => note(`request failed: ${request.url()} ${request.failure()?.errorText}`));
    page.on("pageerror", (error) => {
      note(`uncaught: ${error.stack ?? error}`);
      this.pageErrors.push(`${this.name}: ${error.stack ?? error}`);
    });
  }
}

/** What the system tells of a process; nothing of one that has ended. */
function ofProcess(pid, name) {
  return readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
}

/** A process and all that descend from it. */
function family(root) {
  const listed = spawnSync("ps", ["-e", "-o", "pid=,ppid="], { encoding: "utf8" }).stdout;
  const pairs = listed.trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const members = [root];
  for (const parent of members) members.push(...pairs.filter(([, ppid]) => ppid === parent).map(([pid]) => pid));
  return members;
}

/** The processes of a group that still do anything: those that have ended and wait for their parent to ask do not. */
function groupOf(leader) {
  const listed = spawnSync("ps", ["-e", "-o", "pgid=,stat=,pid="], { encoding: "utf8" }).stdout;
  const rows = listed.trim().split("\n").map((line) => line.trim().split(/\s+/));
  return rows.filter(([group, state]) => Number(group) === leader && !/^[ZX]/.test(state)).map(([, , pid]) => Number(pid));
}

function find(names) {
  for (const name of names) {
    const found = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
    if (found) return found;
  }
  throw new Error(`no browser: none of ${names.join(", ")} is installed`);
}
