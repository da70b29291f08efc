import { Camera } from "./camera.ts";
import { check, hex, readFile, Refusal, sha256, trimmed, type Basis, type Result, type Unread } from "./core/index.ts";
import { decodeFile, Slow } from "./decode.ts";
import { asOfLine, make, showResult, spaced, when, worst } from "./show.ts";
import { alone, forgetKept, get, loadKept, NoAnswer, remember, remembered, saveKept } from "./store.ts";
import { aboutLabels, aboutTexts, texts, type Key, type Lang } from "./text.ts";
import { basisOf, refresh, type Kept } from "./update.ts";

const now = () => Math.floor(Date.now() / 1000);
const el = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

const places = { verdict: el<HTMLOutputElement>("verdict"), details: el("details"), many: el("many"), others: el("others") };
const camera = new Camera(el<HTMLVideoElement>("video"));
const maxFile = 20 << 20;
const maxCodes = 16;
const prefix = "EL1:";
const stale = 5 * 60; // seconds after which the server is asked again
const patience = 3000; // ms that a check waits for an update which is under way

let lang: Lang = "zh";
let kept: Kept | null = null;
let basis: Basis = { trust: null, status: null };
let problem: Key | null = null; // why the last update was not taken
let offlineReady = false;
let updating: Promise<void> | null = null;
let results: Result[] = [];
let shown = 0;

// Looks.

function say(): void {
  document.documentElement.lang = lang;
  const large = document.documentElement.classList.contains("large");
  document.title = texts.title[lang];
  for (const e of document.querySelectorAll<HTMLElement>("[data-t]")) e.textContent = texts[e.dataset["t"] as Key][lang];
  for (const e of document.querySelectorAll<HTMLElement>("[data-label]")) e.setAttribute("aria-label", texts[e.dataset["label"] as Key][lang]);
  const other = el("lang");
  other.textContent = texts.otherLang[lang];
  other.lang = lang === "zh" ? "en" : "zh";
  el("size").textContent = texts[large ? "normal" : "large"][lang];
  showBasis();
  void showAbout();
  showTrouble(trouble);
  if (results.length > 0) showResults();
}

function looks(): void {
  const chosen = remembered("signet-lang") ?? document.documentElement.lang;
  lang = chosen === "en" ? "en" : "zh";
  const size = remembered("signet-text");
  if (size !== null) document.documentElement.classList.toggle("large", size === "large");
  el("lang").onclick = () => {
    lang = lang === "zh" ? "en" : "zh";
    remember("signet-lang", lang);
    say();
  };
  el("size").onclick = () => {
    const large = document.documentElement.classList.toggle("large");
    remember("signet-text", large ? "large" : "normal");
    say();
  };
  say();
}

// Trust.

function showBasis(): void {
  const at = el("basis");
  const asOf = basis.status?.issuedAt ?? kept?.asOf ?? null;
  at.dataset["trust"] = basis.trust ? "ready" : "";
  at.dataset["asOf"] = asOf === null ? "" : new Date(asOf * 1000).toISOString().replace(".000Z", "Z");
  at.dataset["offline"] = offlineReady && basis.trust ? "ready" : "";
  at.dataset["problem"] = problem ?? "";
  at.dataset["updating"] = updating ? "yes" : "";
  const refused = problem === "refused" || problem === "rootChanged";
  at.className = `notice${refused ? " bad" : basis.trust ? "" : " wait"}`;
  const lines: HTMLElement[] = [];
  if (!kept) lines.push(make("p", { textContent: texts[updating ? "loading" : "noTrust"][lang] }));
  else lines.push(make("p", {}, ...spaced(asOfLine(lang, asOf, now()))));
  if (problem && (kept || refused)) lines.push(make("p", { textContent: texts[problem][lang] }));
  else if (offlineReady && basis.trust) lines.push(make("p", { textContent: texts.ready[lang] }));
  const again = make("button", { type: "button", className: "link", textContent: texts.update[lang], onclick: () => void update() });
  const content = [...lines, again];
  // Said again only when it changes: the block is a live region.
  if (at.textContent !== content.map((c) => c.textContent).join("")) at.replaceChildren(...content);
}

async function showAbout(): Promise<void> {
  const rows: [string, string, string?][] = [];
  if (kept) {
    const print = hex(await sha256(kept.pin)).replace(/(.{4})(?=.)/g, "$1 ");
    rows.push([aboutLabels.fingerprint[lang], print, "print"], [aboutLabels.firstSeen[lang], when(lang, kept.firstSeen)], [aboutLabels.updated[lang], when(lang, kept.updated)]);
    if (basis.trust) {
      const { seq, expires } = basis.trust.bundle;
      rows.push([aboutLabels.bundle[lang], `${seq} · ${aboutLabels.until[lang]} ${when(lang, expires)}`]);
    }
    rows.push([aboutLabels.snapshot[lang], basis.status ? `${basis.status.seq} · ${when(lang, basis.status.issuedAt)}` : aboutLabels.none[lang]]);
  }
  const list = make("dl", { className: "summary" });
  for (const [name, value, style] of rows) list.append(make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value, className: style ?? "" })));
  const forget = make("button", { type: "button", className: "link", id: "forget", textContent: texts.forget[lang], onclick: () => void forgetAll() });
  el("about-text").replaceChildren(...aboutTexts.map((t) => make("p", { textContent: t[lang] })), list, ...(kept ? [forget] : []));
}

async function forgetAll(): Promise<void> {
  if (!confirm(texts.forgetSure[lang])) return;
  await alone(forgetKept);
  await use(null);
  await update();
}

async function use(k: Kept | null): Promise<void> {
  kept = k;
  basis = await basisOf(k, now());
}

/** update asks the server for what is current, once at a time. */
function update(): Promise<void> {
  updating ??= (async () => {
    try {
      await alone(async () => {
        const { kept: fresh, statusFault, whole } = await refresh(await loadKept(), get, now());
        await saveKept(fresh);
        await use(fresh);
        if (statusFault && !basis.status) basis.statusFault = statusFault;
        problem = statusFault ? "refused" : whole ? null : "offline";
      });
    } catch (e) {
      if (e instanceof Refusal) {
        problem = kept && e.fault === "no_permitted_signer" ? "rootChanged" : "refused";
        if (!kept) basis = { trust: null, trustFault: e, status: null };
      } else {
        problem = e instanceof NoAnswer ? "offline" : "broken";
      }
    } finally {
      updating = null;
    }
    showBasis();
    await showAbout();
  })();
  showBasis();
  return updating;
}

function updateIfOld(): void {
  if (navigator.onLine && document.visibilityState === "visible" && now() - (kept?.updated ?? 0) > stale) void update();
}

// Checking.

function unread(reason: Unread): Result {
  const verdict = reason === "over_a_bound" ? "too_large" : "undetermined";
  const asOf = basis.status ? new Date(basis.status.issuedAt * 1000).toISOString().replace(".000Z", "Z") : null;
  return { file: "", verdict, reason, as_of: asOf, issuer: "", type: "", number: "", fields: [] };
}

let checks = 0; // a later check makes an earlier one's result void

/** examine shows the verdicts of what find finds. */
async function examine(find: () => Promise<string[] | Unread> | string[]): Promise<void> {
  const mine = ++checks;
  stopCamera();
  showTrouble(null);
  el("busy").textContent = texts.busy[lang];
  try {
    const found = await find();
    updateIfOld();
    if (updating) await Promise.race([updating, new Promise((r) => setTimeout(r, patience))]);
    const all = typeof found === "string" ? [unread(found)] : await Promise.all(found.slice(0, maxCodes).map((text) => check(text, basis, now())));
    if (mine !== checks) return;
    results = all.sort(worst);
    shown = 0;
    showResults();
    el("result").hidden = false;
    el("ways").hidden = true;
    places.verdict.focus({ preventScroll: true });
    el("result").scrollIntoView({ block: "start" });
  } catch (e) {
    if (mine !== checks) return;
    const lacking = e instanceof DOMException && e.name === "NotSupportedError";
    showTrouble(lacking ? "unsupported" : "broken", true);
  } finally {
    if (mine === checks) el("busy").textContent = "";
  }
}

function showResults(): void {
  showResult(places, results, shown, lang, now(), (i) => {
    shown = i;
    showResults();
    places.verdict.focus();
  });
}

async function fromFile(file: File): Promise<string[] | Unread> {
  if (file.size > maxFile) return "over_a_bound";
  const content = readFile(new Uint8Array(await file.arrayBuffer()));
  if (typeof content === "string") return [content];
  if ("unread" in content) return content.unread;
  try {
    const answer = await decodeFile(file);
    if (answer.unreadable) return "file_unreadable";
    const permits = answer.texts.filter((t) => t.startsWith(prefix));
    return permits.length > 0 ? permits : "no_code_in_file";
  } catch (e) {
    if (e instanceof Slow) return "over_a_bound";
    throw e;
  }
}

// What is in the way, above the ways to check.

let trouble: Key | null = null;

function showTrouble(key: Key | null, focus = false): void {
  trouble = key;
  const at = el("trouble");
  at.hidden = key === null;
  at.dataset["trouble"] = key ?? "";
  at.textContent = key === null ? "" : texts[key][lang];
  if (focus) at.focus();
}

function stopCamera(): void {
  camera.stop();
  el("finder").hidden = true;
  el("start-row").hidden = false;
}

async function startCamera(): Promise<void> {
  showTrouble(null);
  el("hint").textContent = texts.aim[lang];
  el("finder").hidden = false;
  el("start-row").hidden = true;
  el("stop").focus();
  const inTheWay = await camera.start((found) => {
    const permits = found.filter((t) => t.startsWith(prefix));
    if (permits.length === 0) {
      el("hint").textContent = texts.notPermit[lang];
      return false;
    }
    void examine(() => permits);
    return true;
  });
  if (!inTheWay) return;
  stopCamera();
  showTrouble(inTheWay, true);
}

function ways(): void {
  el("camera").onclick = () => void startCamera();
  el("stop").onclick = () => {
    stopCamera();
    el("camera").focus();
  };
  const file = el<HTMLInputElement>("file");
  file.onchange = () => {
    const chosen = file.files?.[0];
    if (chosen) void examine(() => fromFile(chosen)).finally(() => (file.value = ""));
  };
  const paste = el<HTMLTextAreaElement>("paste");
  el("check").onclick = () => {
    const text = trimmed(paste.value);
    if (text === "") {
      showTrouble("pasteNothing");
      paste.focus();
      return;
    }
    void examine(() => [text]);
  };
  el("again").onclick = () => {
    checks++;
    results = [];
    paste.value = "";
    places.verdict.dataset["verdict"] = places.verdict.dataset["reason"] = places.verdict.dataset["asOf"] = "";
    places.verdict.replaceChildren();
    el("result").hidden = true;
    el("ways").hidden = false;
    el("camera").focus();
  };
  addEventListener("pagehide", stopCamera);
}

// The page itself, kept for use without a network.

async function keepPage(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const had = navigator.serviceWorker.controller !== null;
  let reloading = false;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (!had || reloading) return;
    reloading = true;
    location.reload();
  });
  try {
    const registration = await navigator.serviceWorker.register("/verify/sw.js", { scope: "/verify/", updateViaCache: "none" });
    const offer = (w: ServiceWorker | null) => {
      if (!w || !navigator.serviceWorker.controller) return;
      const at = el("newer");
      at.hidden = false;
      at.replaceChildren(make("p", { textContent: texts.newer[lang] }), make("button", { type: "button", textContent: texts.reload[lang], onclick: () => w.postMessage("use-new-version") }));
    };
    offer(registration.waiting);
    registration.addEventListener("updatefound", () => {
      const w = registration.installing;
      w?.addEventListener("statechange", () => {
        if (w.state === "installed") offer(w);
      });
    });
    await navigator.serviceWorker.ready;
    offlineReady = true;
    showBasis();
  } catch {
    // no place to keep it, or no network: the page works as long as it is open
    offlineReady = had;
    showBasis();
  }
}

async function main(): Promise<void> {
  looks();
  ways();
  if (!globalThis.crypto?.subtle) {
    showTrouble("unsupported", true);
    return;
  }
  void keepPage();
  await use(await loadKept());
  showBasis();
  void showAbout();
  void update();
  addEventListener("online", () => void update());
  document.addEventListener("visibilitychange", () => (document.visibilityState === "visible" ? updateIfOld() : stopCamera()));
  setInterval(() => {
    updateIfOld();
    showBasis();
  }, 60_000);
}

void main();
