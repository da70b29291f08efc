import type { Bytes } from "./bytes.ts";

// Base45 (RFC 9285): three characters are two bytes, a last two are one.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const no = 0xff;
const values = new Uint8Array(256).fill(no);
for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;

/**
 * decodeBase45 returns null for a character outside the alphabet, a last group of
 * one, and a group that says more than its bytes can hold.
 */
export function decodeBase45(s: Uint8Array): Bytes | null {
  const rest = s.length % 3;
  if (rest === 1) return null;
  const whole = s.length - rest;
  const out = new Uint8Array((whole / 3) * 2 + (rest === 2 ? 1 : 0));
  let o = 0;
  for (let i = 0; i < whole; i += 3) {
    const c = values[s[i]!]!;
    const d = values[s[i + 1]!]!;
    const e = values[s[i + 2]!]!;
    const n = c + d * 45 + e * 2025;
    if (c === no || d === no || e === no || n > 0xffff) return null;
    out[o++] = n >> 8;
    out[o++] = n & 0xff;
  }
  if (rest === 2) {
    const c = values[s[whole]!]!;
    const d = values[s[whole + 1]!]!;
    const n = c + d * 45;
    if (c === no || d === no || n > 0xff) return null;
    out[o] = n;
  }
  return out;
}
