// Keeps one whole version of the page for times without a network.
//
// A version is the list of files in /asset-manifest.json, fetched together into one cache named after the build. Pages are
// answered from that cache alone, so old and new files never mix. A new version waits until the page asks for it
// ("skip-waiting"); then the old caches go and the page reloads. What a node asks the relay for is never kept here.

const BUILD = "__BUILD__";
const CACHE = `page-${BUILD}`;
const LIVE = ["/bootstrap.json", "/known-answers", "/models", "/healthz", "/metrics", "/embed", "/p2p", "/sw.js", "/asset-manifest.json"];
const LAZY = ["/worker/", "/modules/"];

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  if (event.data === "skip-waiting") self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  const live = LIVE.some((path) => pathname === path || pathname.startsWith(`${path}/`));
  if (method !== "GET" || origin !== location.origin || live) return;
  // The page is the root alone: whatever else a relay serves to look at is left to it.
  if (mode === "navigate" && pathname !== "/") return;
  event.respondWith(fromCache(pathname, event.request));
});

// All files or none: a deployment that changes underneath fails this installation, and the next visit tries again.
async function install() {
  const manifest = await (await fetch("/asset-manifest.json", { cache: "no-store" })).json();
  if (manifest.build !== BUILD) throw new Error(`build ${manifest.build} is served, this worker belongs to ${BUILD}`);
  const cache = await caches.open(CACHE);
  await cache.addAll(manifest.files.map((file) => new Request(file, { cache: "no-cache" })));
}

async function activate() {
  const former = (await caches.keys()).filter((name) => name.startsWith("page-") && name !== CACHE);
  await Promise.all(former.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function fromCache(path, request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(path);
  if (kept) return kept;
  const response = await fetch(request);
  // Workers, and the modules that one of them runs, are too large for a first visit; they join this version when first used.
  // A full disk costs a download next time, not the answer now.
  const lazy = LAZY.some((folder) => path.startsWith(folder));
  if (lazy && response.ok) await cache.put(path, response.clone()).catch(() => {});
  return response;
}
