import {
  accept, bundleState, certificateKey, equal, headState, hex, loadDelta, loadStatus, loadTrust, maxBundle, maxDelta, maxGenuine, maxHead, maxRoot, nothing, openHead, openRoot, parseGenuine, PublicKey,
  Refusal, rootState, sha256, snapshotState,
  type Basis, type Bytes, type RootStatement, type State, type Trust,
} from "./core/index.ts";

// How the page comes by its trust, and what it keeps of it. Nothing is kept that did
// not verify, from the pinned root down, and nothing older replaces anything newer
// (docs/spec/trust.md, rules 12 to 25).

/** Kept is what is stored between two visits, in one piece. */
export interface Kept {
  pin: Bytes; // the root's SubjectPublicKeyInfo
  next: Bytes | null; // the one that the root says will follow it
  firstSeen: number;
  state: State;
  bundle: Bytes;
  genuine?: Bytes[]; // the files of stolen keys' genuine permits that the bundle names
  snapshot: Bytes | null;
  asOf: number | null; // of that snapshot
  updated: number; // when this was last found to be current, seconds
}

/** Get fetches a file of at most limit bytes from an address of the page's own server. */
export type Get = (path: string, limit: number) => Promise<Bytes>;

const maxSnapshot = 32 << 20;

/** Update is what came of asking the server. */
export interface Update {
  kept: Kept;
  statusFault: Refusal | null; // why its snapshot was not taken
  whole: boolean; // false where it gave none
}

/** refresh asks the server for what is current. It throws a Refusal, and then nothing changes. */
export async function refresh(old: Kept | null, get: Get, now: number): Promise<Update> {
  let pins = old ? [old.pin, ...(old.next ? [old.next] : [])].map((spki) => new PublicKey(spki)) : [certificateKey(await get("/ca/root/ca.crt", 16 << 10))];

  // A root statement by the known root, or by the root that it has named: then that
  // one is the root from now on.
  const rootFile = await get("/trust/root", maxRoot);
  const opened = await first(pins, (pin) => openRoot(rootFile, pin, now));
  let state = accept(old?.state ?? nothing, await rootState(rootFile, opened.value));
  pins = [opened.pin];

  // The head comes before what it names: whatever is fetched after it is as new.
  const fresh = await freshness(await get("/trust/head", maxHead), opened.value, now);
  if (fresh) state = accept(state, fresh);

  const bundle = await get("/trust/bundle", maxBundle);
  const trust = await loadTrust(opened.pin, bundle, now);
  state = accept(state, await bundleState(bundle, trust.bundle, trust.root));

  const kept: Kept = {
    pin: opened.pin.spki,
    next: opened.value.next?.spki ?? null,
    firstSeen: old?.firstSeen ?? now,
    state,
    bundle,
    genuine: await genuineFiles(trust, old?.genuine ?? [], get),
    snapshot: old?.snapshot ?? null,
    asOf: old?.asOf ?? null,
    updated: now,
  };
  if (fresh && kept.snapshot && (await follow(kept, kept.snapshot, trust, fresh, get))) return { kept, statusFault: null, whole: true };
  let file: Bytes;
  try {
    file = await get("/status/snapshot", maxSnapshot);
  } catch {
    return { kept: { ...kept, updated: old?.updated ?? now }, statusFault: null, whole: false };
  }
  try {
    const snapshot = await loadStatus(trust, file);
    kept.state = accept(state, snapshotState(snapshot));
    kept.snapshot = file;
    kept.asOf = snapshot.issuedAt;
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    return { kept, statusFault: e, whole: true };
  }
  return { kept, statusFault: null, whole: true };
}

/**
 * follow brings the kept snapshot to the one that a current head names: by nothing
 * where it is that one, by a delta where it is older. Where it says false nothing has
 * changed, and only the whole snapshot helps: the delta is not to be had, begins at
 * another snapshot, or is refused.
 */
async function follow(kept: Kept, file: Bytes, trust: Trust, head: State, get: Get): Promise<boolean> {
  try {
    const base = await loadStatus(trust, file);
    const to = head.snapshot;
    if (base.seq === to.number && equal(base.hash, to.hash)) return true;
    if (base.seq >= to.number) return false;
    const delta = await get(`/status/delta/${base.seq}-${to.number}`, maxDelta).catch(() => null);
    if (!delta) return false;
    const next = await loadDelta(trust, base, delta);
    kept.state = accept(kept.state, snapshotState(next.snapshot)); // its hash is the head's
    kept.snapshot = next.file;
    kept.asOf = next.snapshot.issuedAt;
    return true;
  } catch (e) {
    if (e instanceof Refusal) return false;
    throw e;
  }
}

/**
 * genuineFiles returns the files of genuine permits that the bundle names, each
 * fetched once. One that is not to be had is left out: then the verdict on its key's
 * permits says so.
 */
async function genuineFiles(trust: Trust, old: Bytes[], get: Get): Promise<Bytes[]> {
  const files: Bytes[] = [];
  for (const key of trust.bundle.keys) {
    const name = key.genuine;
    if (!name) continue;
    for (const file of [async () => old, async () => [await get(`/trust/genuine/${hex(name)}`, maxGenuine)]]) {
      const found = await named(await file().catch(() => []), name);
      if (!found) continue;
      files.push(found);
      break;
    }
  }
  return files;
}

/** named returns the file with that hash. */
async function named(files: Bytes[], name: Bytes): Promise<Bytes | null> {
  for (const file of files) if (equal(await sha256(file), name)) return file;
  return null;
}

/** freshness returns what a head vouches for. One that is out of date vouches for nothing, and harms nothing. */
async function freshness(file: Bytes, root: RootStatement, now: number): Promise<State | null> {
  try {
    return headState(await openHead(file, root, now));
  } catch (e) {
    if (e instanceof Refusal && (e.fault === "expired" || e.fault === "made_after_now")) return null;
    throw e;
  }
}

/** first tries the pins in their order. The Refusal is that of the first. */
async function first<T>(pins: PublicKey[], open: (pin: PublicKey) => Promise<T>): Promise<{ pin: PublicKey; value: T }> {
  let refusal: unknown;
  for (const pin of pins) {
    try {
      return { pin, value: await open(pin) };
    } catch (e) {
      refusal ??= e;
    }
  }
  throw refusal;
}

/** basisOf makes ready what was kept. It is verified again: what is stored is not trusted for being stored. */
export async function basisOf(kept: Kept | null, now: number): Promise<Basis> {
  if (!kept) return { trust: null, status: null };
  let trust: Trust;
  try {
    trust = await loadTrust(new PublicKey(kept.pin), kept.bundle, now);
  } catch (e) {
    return { trust: null, trustFault: refusalOf(e), status: null };
  }
  const genuine = await Promise.all((kept.genuine ?? []).map((file) => parseGenuine(file)));
  if (!kept.snapshot) return { trust, status: null, genuine };
  try {
    return { trust, status: await loadStatus(trust, kept.snapshot), genuine };
  } catch (e) {
    return { trust, status: null, statusFault: refusalOf(e), genuine };
  }
}

function refusalOf(e: unknown): Refusal {
  if (e instanceof Refusal) return e;
  throw e;
}
