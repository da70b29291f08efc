import { concat, fromUTF8, malformed, utf8, type Bytes } from "./bytes.ts";

// Major types of CBOR (RFC 8949 section 3.1).
export const majorUint = 0;
export const majorNint = 1;
export const majorBytes = 2;
export const majorText = 3;
export const majorArray = 4;
export const majorMap = 5;
export const majorTag = 6;

/**
 * Reader reads deterministic CBOR (RFC 8949 section 4.2) of a known shape. It makes
 * no values of what it was not asked for, so that nothing nests deeper than its
 * callers do, and a length counts only after it was seen to fit.
 */
export class Reader {
  private readonly b: Uint8Array;
  private pos = 0;

  constructor(b: Uint8Array) {
    this.b = b;
  }

  /** more says whether anything is left. */
  get more(): boolean {
    return this.pos < this.b.length;
  }

  get left(): number {
    return this.b.length - this.pos;
  }

  /** major returns the major type of the next item. */
  major(): number {
    if (!this.more) malformed("CBOR ends early");
    return this.b[this.pos]! >> 5;
  }

  /** argument reads a head and returns its argument in two halves of 32 bits. */
  private argument(major: number): [high: number, low: number] {
    if (this.major() !== major) malformed("CBOR of another type");
    const short = this.b[this.pos]! & 31;
    if (short < 24) {
      this.pos++;
      return [0, short];
    }
    if (short > 27) malformed("CBOR head");
    const size = 1 << (short - 24);
    if (this.left < 1 + size) malformed("CBOR ends early");
    let high = 0;
    let low = 0;
    for (let i = 1; i <= size; i++) {
      high = ((high << 8) | (low >>> 24)) >>> 0;
      low = ((low << 8) | this.b[this.pos + i]!) >>> 0;
    }
    const shortest = size === 1 ? low >= 24 : size === 2 ? low > 0xff : size === 4 ? low > 0xffff : high > 0;
    if (!shortest) malformed("CBOR head not in its shortest form");
    this.pos += 1 + size;
    return [high, low];
  }

  /** head reads a head with an argument of at most limit, at most 2^53-1. */
  head(major: number, limit: number): number {
    const [high, low] = this.argument(major);
    const n = high * 4294967296 + low; // over 2^53 it is rounded, and over every limit
    if (n > limit) malformed("CBOR number or length over its limit");
    return n;
  }

  uint(limit: number): number {
    return this.head(majorUint, limit);
  }

  /** uint64 reads an unsigned integer of any size. */
  uint64(): bigint {
    const [high, low] = this.argument(majorUint);
    return BigInt(high) * 4294967296n + BigInt(low);
  }

  /** int reads an integer from -limit to limit. */
  int(limit: number): number {
    return this.major() === majorNint ? -1 - this.head(majorNint, limit - 1) : this.uint(limit);
  }

  /** int64 reads an integer of 64 bits; over 2^53 it is rounded, which is enough to see that it is another. */
  int64(): number {
    const negative = this.major() === majorNint;
    const [high, low] = this.argument(negative ? majorNint : majorUint);
    if (high >= 2 ** 31) malformed("CBOR number over its limit");
    const n = high * 4294967296 + low;
    return negative ? -1 - n : n;
  }

  /** take reads n bytes as they are. They share the reader's memory. */
  take(n: number): Uint8Array {
    if (n > this.left) malformed("CBOR ends early");
    this.pos += n;
    return this.b.subarray(this.pos - n, this.pos);
  }

  /** ahead returns the next n bytes and leaves them, or null where there are fewer. */
  ahead(n: number): Uint8Array | null {
    return n > this.left ? null : this.b.subarray(this.pos, this.pos + n);
  }

  bytes(limit: number): Uint8Array {
    return this.take(this.head(majorBytes, limit));
  }

  /** fixed reads a byte string of exactly n bytes. */
  fixed(n: number): Uint8Array {
    const b = this.bytes(n);
    if (b.length !== n) malformed("byte string of another length");
    return b;
  }

  text(limit: number): string {
    const s = fromUTF8(this.take(this.head(majorText, limit)));
    if (s === null) malformed("text is not UTF-8");
    return s;
  }

  array(limit: number): number {
    return this.head(majorArray, limit);
  }

  map(limit: number): number {
    return this.head(majorMap, limit);
  }

  /** literal reads exactly these bytes. */
  literal(...want: number[]): void {
    for (const w of want) {
      if (this.b[this.pos] !== w) malformed("CBOR of another shape");
      this.pos++;
    }
  }

  /** end refuses anything more. */
  end(): void {
    if (this.more) malformed("bytes after the end");
  }
}

/** members reads a map whose keys are small unsigned numbers in order, each named in of. */
export function members(r: Reader, of: Record<number, () => void>): void {
  const pairs = r.map(16);
  let last = -1;
  for (let i = 0; i < pairs; i++) {
    const key = r.uint(23);
    const read = of[key];
    if (key <= last || !read) malformed("member unknown, twice or not in order");
    last = key;
    read();
  }
}

/** need returns what a member of a map has set. */
export function need<T>(v: T | undefined): T {
  if (v === undefined) malformed("member missing");
  return v;
}

function head(major: number, n: number): Bytes {
  major <<= 5;
  if (n < 24) return new Uint8Array([major | n]);
  if (n < 0x100) return new Uint8Array([major | 24, n]);
  if (n < 0x10000) return new Uint8Array([major | 25, n >> 8, n & 0xff]);
  return new Uint8Array([major | 26, n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff]);
}

/** byteString returns bytes as CBOR. */
export function byteString(b: Uint8Array): Bytes {
  return concat(head(majorBytes, b.length), b);
}

const context = utf8("Signature1");

/** sigStructure returns what is signed (RFC 9052 section 4.4). */
export function sigStructure(bodyProtected: Uint8Array, externalAAD: Uint8Array, payload: Uint8Array): Bytes {
  return concat(
    head(majorArray, 4),
    head(majorText, context.length),
    context,
    head(majorBytes, bodyProtected.length),
    bodyProtected,
    head(majorBytes, externalAAD.length),
    externalAAD,
    head(majorBytes, payload.length),
    payload,
  );
}
