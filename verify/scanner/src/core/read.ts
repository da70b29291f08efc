import { fromUTF8 } from "./bytes.ts";

// What a file is, before a permit is looked for in it. The bounds and the outcomes
// are those of `signet verify`.

const maxBytes = 20 << 20;
const maxText = 64 << 10;
const maxPixels = 25_000_000;
const maxSide = 16384;
const maxScans = 64; // of a progressive JPEG: each costs a pass over all its pixels

/** Unread says why a file gave nothing to check. */
export type Unread = "file_unreadable" | "no_code_in_file" | "over_a_bound";

export interface Picture {
  kind: "image/png" | "image/jpeg";
  width: number;
  height: number;
}

const png = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const jpeg = [0xff, 0xd8, 0xff];

const starts = (b: Uint8Array, with_: number[]) => with_.every((c, i) => b[i] === c);

/** readFile returns the text of a file, or what kind of picture it is, or why it is neither. */
export function readFile(b: Uint8Array): string | Picture | { unread: Unread } {
  if (b.length > maxBytes) return { unread: "over_a_bound" };
  if (starts(b, png)) return bounded(pngSize(b));
  if (starts(b, jpeg)) return scans(b) > maxScans ? { unread: "over_a_bound" } : bounded(jpegSize(b));
  return plainText(b);
}

function bounded(p: Picture | null): Picture | { unread: Unread } {
  if (!p) return { unread: "file_unreadable" };
  if (p.width > maxSide || p.height > maxSide || p.width * p.height > maxPixels) return { unread: "over_a_bound" };
  return p;
}

function pngSize(b: Uint8Array): Picture | null {
  if (b.length < 33) return null;
  const v = new DataView(b.buffer, b.byteOffset, b.byteLength);
  if (v.getUint32(8) !== 13 || v.getUint32(12) !== 0x49484452) return null; // IHDR comes first
  const width = v.getUint32(16);
  const height = v.getUint32(20);
  return width > 0 && height > 0 ? { kind: "image/png", width, height } : null;
}

/** jpegSize walks the segments to the start of frame. */
function jpegSize(b: Uint8Array): Picture | null {
  for (let i = 2; i + 9 < b.length; ) {
    if (b[i] !== 0xff) return null;
    const marker = b[i + 1]!;
    if (marker === 0xff) {
      i++; // filling
      continue;
    }
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      i += 2; // markers that stand alone
      continue;
    }
    const length = (b[i + 2]! << 8) | b[i + 3]!;
    if (length < 2) return null;
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      const height = (b[i + 5]! << 8) | b[i + 6]!;
      const width = (b[i + 7]! << 8) | b[i + 8]!;
      return width > 0 && height > 0 ? { kind: "image/jpeg", width, height } : null;
    }
    i += 2 + length;
  }
  return null;
}

function scans(b: Uint8Array): number {
  let n = 0;
  for (let i = b.indexOf(0xff); i >= 0 && i + 1 < b.length; i = b.indexOf(0xff, i + 1)) if (b[i + 1] === 0xda) n++;
  return n;
}

// What Go's unicode.IsSpace takes for white space; trim() takes U+FEFF for it too, and
// not U+0085.
const around = /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/g;
const binary = /[\u0000-\u0008\u000e-\u001f\u007f]/;

function plainText(b: Uint8Array): string | { unread: Unread } {
  if (starts(b, [0xef, 0xbb, 0xbf])) b = b.subarray(3); // some editors begin every file with one
  const s = fromUTF8(b);
  if (s === null || binary.test(s)) return { unread: "file_unreadable" };
  if (b.length > maxText) return { unread: "over_a_bound" };
  const text = s.replace(around, "");
  return text === "" ? { unread: "no_code_in_file" } : text;
}

/** trimmed takes off the white space around a permit that somebody has pasted. */
export function trimmed(s: string): string {
  return s.replace(around, "");
}

