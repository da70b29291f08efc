import type { Bytes } from "./core/index.ts";
import type { Get, Kept } from "./update.ts";

// Where things are kept, and how they are fetched.

const database = "signet-verify";
const table = "kept";
const only = "trust";

function request<T>(r: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    r.onsuccess = () => resolve(r.result);
    r.onerror = () => reject(r.error);
  });
}

async function open(): Promise<IDBDatabase> {
  const r = indexedDB.open(database, 1);
  r.onupgradeneeded = () => r.result.createObjectStore(table);
  return request(r);
}

// A browser that stores nothing (a private window of some) still checks permits.
let memory: Kept | null = null;

export async function loadKept(): Promise<Kept | null> {
  try {
    const db = await open();
    const kept = await request(db.transaction(table).objectStore(table).get(only));
    db.close();
    return (kept as Kept | undefined) ?? memory;
  } catch {
    return memory;
  }
}

export async function saveKept(kept: Kept): Promise<void> {
  memory = kept;
  try {
    const db = await open();
    const tx = db.transaction(table, "readwrite");
    tx.objectStore(table).put(kept, only);
    await new Promise<void>((resolve, reject) => {
      tx.oncomplete = () => resolve();
      tx.onabort = tx.onerror = () => reject(tx.error);
    });
    db.close();
    await navigator.storage?.persist?.();
  } catch {
    // memory has it
  }
}

export async function forgetKept(): Promise<void> {
  memory = null;
  try {
    const db = await open();
    await request(db.transaction(table, "readwrite").objectStore(table).delete(only));
    db.close();
  } catch {
    // there was nothing
  }
}

/** alone runs f while no other tab of this page does. */
export function alone<T>(f: () => Promise<T>): Promise<T> {
  return navigator.locks ? (navigator.locks.request("signet-trust", f) as Promise<T>) : f();
}

/** NoAnswer says that the server could not be asked. */
export class NoAnswer extends Error {}

const patience = 15_000; // ms, for one file

export const get: Get = async (path, limit) => {
  try {
    const answer = await fetch(path, { cache: "no-cache", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(patience) });
    if (!answer.ok || !answer.body) throw new NoAnswer(`${path}: ${answer.status}`);
    const parts: Bytes[] = [];
    let n = 0;
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      n += value.length;
      if (n > limit) {
        await reader.cancel();
        throw new NoAnswer(`${path}: too large`);
      }
      parts.push(value);
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  } catch (e) {
    throw e instanceof NoAnswer ? e : new NoAnswer(path);
  }
};

/** remembered and remember keep a choice about the page's looks. */
export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // it holds until the page is closed
  }
}
