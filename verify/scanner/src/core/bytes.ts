// Bytes, and what is asked of them everywhere.

export type Bytes = Uint8Array<ArrayBuffer>;

/** What can be wrong with what was read. The words are those of docs/spec. */
export type Fault =
  | "malformed"
  | "too_large"
  | "unknown_dictionary"
  | "bad_signature"
  | "no_permitted_signer"
  | "expired"
  | "made_after_now"
  | "other_base"
  | "rollback"
  | "fork";

/** Refusal is the only error that hostile bytes can cause. It never quotes them. */
export class Refusal extends Error {
  readonly fault: Fault;
  constructor(fault: Fault, why: string) {
    super(`${fault}: ${why}`);
    this.name = "Refusal";
    this.fault = fault;
  }
}

export function malformed(why: string): never {
  throw new Refusal("malformed", why);
}

export function tooLarge(why: string): never {
  throw new Refusal("too_large", why);
}

export function compare(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const d = a[i]! - b[i]!;
    if (d !== 0) return d;
  }
  return a.length - b.length;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compare(a, b) === 0;
}

export function concat(...parts: Uint8Array[]): Bytes {
  let n = 0;
  for (const p of parts) n += p.length;
  const out = new Uint8Array(n);
  n = 0;
  for (const p of parts) {
    out.set(p, n);
    n += p.length;
  }
  return out;
}

export function hex(b: Uint8Array): string {
  let s = "";
  for (const c of b) s += c.toString(16).padStart(2, "0");
  return s;
}

const encoder = new TextEncoder();
// Without ignoreBOM a decoder would drop a first U+FEFF, which is text like any other.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(s: string): Bytes {
  return encoder.encode(s) as Bytes;
}

/** fromUTF8 returns null for bytes that are not valid UTF-8. */
export function fromUTF8(b: Uint8Array): string | null {
  try {
    return decoder.decode(b);
  } catch {
    return null;
  }
}

export async function sha256(b: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", b as Bytes));
}

export function adler32(b: Uint8Array): number {
  let s1 = 1;
  let s2 = 0;
  for (let i = 0; i < b.length; ) {
    const end = Math.min(i + 3800, b.length); // the sums stay below 2^32
    for (; i < end; i++) {
      s1 += b[i]!;
      s2 += s1;
    }
    s1 %= 65521;
    s2 %= 65521;
  }
  return s2 * 65536 + s1;
}

// No control characters, and nothing that changes the order or the lines in which
// text is shown (docs/spec/el1.md, rules 32 and 33).
const unprintable = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

/** isText holds for 1 to limit bytes of UTF-8 that print in the order in which they stand. */
export function isText(s: string, limit: number): boolean {
  return s !== "" && s.length <= limit && utf8(s).length <= limit && !unprintable.test(s);
}

/** The latest time of the calendar, and the largest integer that every implementation holds. */
export const maxTime = 253402300799;
export const maxInteger = Number.MAX_SAFE_INTEGER;
