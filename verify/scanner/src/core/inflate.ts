import { adler32, malformed, Refusal, tooLarge, type Bytes } from "./bytes.ts";

// Inflate (RFC 1951) and zlib (RFC 1950), for permits. It is our own because it
// must refuse exactly what Go's refuses: over- and undersubscribed codes, distances
// before the beginning, a wrong DICTID or Adler-32, and bytes after the end, which
// the small libraries let through or cannot see. It stops at the bound instead of
// measuring after it.

const lengthBase = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const distanceBase = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const distanceBits = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
const codeOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const maxBits = 15;
const endOfBlock = 256;

/** Code is a canonical Huffman code: how many codes each length has, and their symbols in order. */
interface Code {
  counts: Uint16Array;
  symbols: Uint16Array;
}

/**
 * makeCode refuses lengths that are no complete code. One code of one bit is allowed
 * (RFC 1951 section 3.2.7), and so is none at all while nobody uses it.
 */
function makeCode(lengths: Uint8Array): Code {
  const counts = new Uint16Array(maxBits + 1);
  for (const n of lengths) counts[n]!++;
  counts[0] = 0;
  const starts = new Uint16Array(maxBits + 2);
  let codes = 0;
  let left = 1; // codes not yet given, at the present length
  let longest = 0;
  for (let n = 1; n <= maxBits; n++) {
    left = 2 * left - counts[n]!;
    if (left < 0) malformed("code with too many members");
    if (counts[n]! > 0) longest = n;
    starts[n + 1] = starts[n]! + counts[n]!;
    codes += counts[n]!;
  }
  if (left > 0 && codes > 0 && !(codes === 1 && longest === 1)) malformed("code with too few members");
  const symbols = new Uint16Array(codes);
  lengths.forEach((n, symbol) => {
    if (n > 0) symbols[starts[n]!++] = symbol;
  });
  return { counts, symbols };
}

function fixedCodes(): [Code, Code] {
  const lengths = new Uint8Array(288).fill(8);
  lengths.fill(9, 144, 256);
  lengths.fill(7, 256, 280);
  // Two of the 32 distances stand for nothing (RFC 1951 section 3.2.6).
  return [makeCode(lengths), makeCode(new Uint8Array(32).fill(5))];
}

let fixed: [Code, Code] | undefined;

class Inflater {
  private readonly src: Uint8Array;
  pos: number;
  private bitBuffer = 0;
  private bitCount = 0;
  readonly out: Uint8Array<ArrayBuffer>; // the dictionary, and then what was inflated
  n: number;
  private readonly start: number;
  private readonly limit: number;

  /** limit is the most that is inflated; one more ends the work. */
  constructor(src: Uint8Array, pos: number, dictionary: Uint8Array, limit: number) {
    this.src = src;
    this.pos = pos;
    this.start = dictionary.length;
    this.limit = limit;
    this.out = new Uint8Array(dictionary.length + limit);
    this.out.set(dictionary);
    this.n = dictionary.length;
  }

  bits(want: number): number {
    while (this.bitCount < want) {
      if (this.pos >= this.src.length) malformed("stream ends early");
      this.bitBuffer |= this.src[this.pos++]! << this.bitCount;
      this.bitCount += 8;
    }
    const v = this.bitBuffer & ((1 << want) - 1);
    this.bitBuffer >>>= want;
    this.bitCount -= want;
    return v;
  }

  symbol(c: Code): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let n = 1; n <= maxBits; n++) {
      code |= this.bits(1);
      const count = c.counts[n]!;
      if (code - first < count) return c.symbols[index + code - first]!;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return malformed("no such code");
  }

  put(byte: number): void {
    if (this.n - this.start >= this.limit) tooLarge("inflated");
    this.out[this.n++] = byte;
  }

  run(): void {
    for (;;) {
      const last = this.bits(1);
      switch (this.bits(2)) {
        case 0:
          this.stored();
          break;
        case 1:
          fixed ??= fixedCodes();
          this.block(...fixed);
          break;
        case 2:
          this.block(...this.dynamicCodes());
          break;
        default:
          malformed("block of an unknown kind");
      }
      if (last) return;
    }
  }

  private stored(): void {
    this.bitBuffer = this.bitCount = 0;
    if (this.pos + 4 > this.src.length) malformed("stream ends early");
    const length = this.src[this.pos]! | (this.src[this.pos + 1]! << 8);
    const check = this.src[this.pos + 2]! | (this.src[this.pos + 3]! << 8);
    if ((length ^ check) !== 0xffff) malformed("length of a stored block");
    this.pos += 4;
    for (let i = 0; i < length; i++) {
      if (this.pos >= this.src.length) malformed("stream ends early");
      this.put(this.src[this.pos++]!);
    }
  }

  private dynamicCodes(): [Code, Code] {
    const literals = this.bits(5) + 257;
    const distances = this.bits(5) + 1;
    const n = this.bits(4) + 4;
    if (literals > 286 || distances > 30) malformed("too many codes");
    const short = new Uint8Array(19);
    for (let i = 0; i < n; i++) short[codeOrder[i]!] = this.bits(3);
    const code = makeCode(short);
    const lengths = new Uint8Array(literals + distances);
    for (let i = 0; i < lengths.length; ) {
      const s = this.symbol(code);
      if (s < 16) {
        lengths[i++] = s;
        continue;
      }
      if (s === 16 && i === 0) malformed("nothing to repeat");
      const value = s === 16 ? lengths[i - 1]! : 0;
      const times = s === 16 ? 3 + this.bits(2) : s === 17 ? 3 + this.bits(3) : 11 + this.bits(7);
      if (i + times > lengths.length) malformed("too many repeats");
      lengths.fill(value, i, i + times);
      i += times;
    }
    return [makeCode(lengths.subarray(0, literals)), makeCode(lengths.subarray(literals))];
  }

  private block(literals: Code, distances: Code): void {
    for (;;) {
      const s = this.symbol(literals);
      if (s < endOfBlock) {
        this.put(s);
        continue;
      }
      if (s === endOfBlock) return;
      const l = s - endOfBlock - 1;
      if (l >= lengthBase.length) malformed("no such length");
      const length = lengthBase[l]! + this.bits(lengthBits[l]!);
      const d = this.symbol(distances);
      if (d >= distanceBase.length) malformed("no such distance");
      const distance = distanceBase[d]! + this.bits(distanceBits[d]!);
      if (distance > this.n) malformed("distance before the beginning");
      for (let i = 0; i < length; i++) this.put(this.out[this.n - distance]!);
    }
  }
}

/** Dictionaries finds a preset dictionary by its Adler-32. */
export type Dictionaries = (id: number) => Uint8Array | undefined;

function uint32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

/**
 * inflate reads one zlib stream of at most limit bytes and nothing after it
 * (docs/spec/el1.md, rules 5 to 9).
 */
export function inflate(packed: Uint8Array, limit: number, dictionaries: Dictionaries): Bytes {
  const fdict = 0x20;
  if (packed.length < 6 || (packed[0]! & 0x0f) !== 8 || ((packed[0]! << 8) | packed[1]!) % 31 !== 0) malformed("not zlib");
  let dictionary: Uint8Array = new Uint8Array();
  let pos = 2;
  if (packed[1]! & fdict) {
    const id = uint32(packed, 2);
    const found = dictionaries(id);
    if (!found || found.length === 0) throw new Refusal("unknown_dictionary", "DICTID");
    if (adler32(found) !== id) throw new Refusal("unknown_dictionary", "DICTID");
    dictionary = found;
    pos = 6;
  }
  if (packed[0]! >> 4 > 7) malformed("not zlib");
  // One byte of grace: a stream that is wrong at the bound is malformed before it is
  // too large, as in Go's reader, which reads one byte past the bound.
  const z = new Inflater(packed, pos, dictionary, limit + 1);
  z.run();
  const out = z.out.slice(dictionary.length, z.n);
  if (z.pos + 4 > packed.length || uint32(packed, z.pos) !== adler32(out)) malformed("checksum");
  if (out.length > limit) tooLarge("inflated");
  if (z.pos + 4 !== packed.length) malformed("bytes after the zlib stream");
  return out;
}
