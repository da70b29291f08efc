// Keeps the page's own files, so that it opens without a network. It answers for
// nothing but them: trust data go through the page, which verifies and keeps them.

declare const VERSION: string;
declare const FILES: string[];
declare const self: ServiceWorkerGlobalScope;

const prefix = "signet-verify-";
const cache = prefix + VERSION;
const page = "/verify/";

self.addEventListener("install", (e) => {
  e.waitUntil(
    (async () => {
      const c = await caches.open(cache);
      // What has its hash in its name may come from the browser's cache; the rest must not.
      await c.addAll(FILES.map((f) => new Request(f, { cache: f.includes("/assets/") ? "default" : "reload" })));
    })(),
  );
});

self.addEventListener("activate", (e) => {
  e.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name.startsWith(prefix) && name !== cache) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

// A new version waits until the person agrees, or until no tab uses the old one: an old
// page must not find that its files are gone.
self.addEventListener("message", (e) => {
  if (e.data === "use-new-version") void self.skipWaiting();
});

self.addEventListener("fetch", (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== "GET" || url.origin !== self.location.origin || !url.pathname.startsWith(page)) return;
  const key = e.request.mode === "navigate" && url.pathname === page ? page : url.pathname;
  if (!FILES.includes(key)) return;
  e.respondWith((async () => (await (await caches.open(cache)).match(key)) ?? fetch(e.request))());
});
export {}; // a module of its own, for the compiler
