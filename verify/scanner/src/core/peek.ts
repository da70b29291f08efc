import { fromUTF8, malformed, type Bytes } from "./bytes.ts";

// What is looked at in a bundle before its signature was verified: its time and its
// root statement (docs/spec/trust.md, rule 18). Whether the rest is deterministic is
// asked afterwards, of bytes that somebody vouches for; here it must only be CBOR
// within the bounds of rule 4.

const maxDepth = 10;
const maxElements = 1 << 16;
const maxPairs = 16;

interface Head {
  major: number;
  short: number; // the low five bits
  n: number; // the argument; rounded above 2^53
}

class Walker {
  readonly b: Uint8Array;
  pos = 0;

  constructor(b: Uint8Array) {
    this.b = b;
  }

  head(): Head {
    const first = this.b[this.pos++] ?? malformed("CBOR ends early");
    const major = first >> 5;
    const short = first & 31;
    if (short < 24) return { major, short, n: short };
    if (short > 27) malformed("indefinite or reserved CBOR");
    let n = 0;
    for (let i = 1 << (short - 24); i > 0; i--) n = n * 256 + (this.b[this.pos++] ?? malformed("CBOR ends early"));
    if (major === 7 && short === 24 && n < 32) malformed("simple value");
    return { major, short, n };
  }

  take(n: number): Uint8Array {
    if (n > this.b.length - this.pos) malformed("CBOR ends early");
    this.pos += n;
    return this.b.subarray(this.pos - n, this.pos);
  }

  /** skip passes over one item of at most that many levels. */
  skip(levels: number): void {
    const h = this.head();
    switch (h.major) {
      case 2:
      case 3:
        this.take(h.n);
        return;
      case 4:
      case 5:
        if (levels === 0 || h.n > (h.major === 4 ? maxElements : maxPairs)) malformed("CBOR over its bounds");
        for (let i = h.major === 4 ? h.n : 2 * h.n; i > 0; i--) this.skip(levels - 1);
        return;
      case 6:
        if (levels === 0) malformed("CBOR over its bounds");
        this.skip(levels - 1);
    }
  }
}

export function peek(payload: Uint8Array): { issuedAt: number; root: Bytes } {
  const all = new Walker(payload);
  all.skip(maxDepth);
  if (all.pos !== payload.length) malformed("bytes after the end");

  const w = new Walker(payload);
  const map = w.head();
  if (map.major !== 5) malformed("not a map");
  let issuedAt = 0;
  let root: Bytes = new Uint8Array();
  const seen = new Set<string | number>();
  for (let i = 0; i < map.n; i++) {
    const k = w.head();
    if (k.major > 3 || k.major === 2) malformed("key of a map");
    const name = k.major === 0 ? k.n : k.major === 1 ? -1 - k.n : fromUTF8(w.take(k.n));
    if (name === null || seen.has(name)) malformed("key of a map, or twice");
    seen.add(name);
    if (name === 2) {
      const v = w.head();
      if (v.major > 1) malformed("time");
      issuedAt = v.major === 0 ? v.n : -1 - v.n;
    } else if (name === 10) {
      const v = w.head();
      if (v.major !== 2) malformed("root statement");
      root = w.take(v.n).slice() as Bytes;
    } else {
      w.skip(maxDepth);
    }
  }
  return { issuedAt, root };
}
