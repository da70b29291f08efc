import { equal, malformed, maxInteger, maxTime, sha256, tooLarge, type Bytes } from "./bytes.ts";
import { Reader, sigStructure } from "./cbor.ts";
import { signatureSize, type PublicKey } from "./key.ts";

// ELR1, the city snapshot. The numbers of the rules are docs/spec/elr1.md's.

export const listSize = 1 << 20;
export const maxSize = 32 << 20;
const maxHeader = 64 << 10;
const maxLists = 1024;
const maxListed = 1 << 24;
const typ = "application/elr1+cose";

export type State = "valid" | "revoked" | "suspended";

export interface List {
  no: number;
  revoked: Uint32Array;
  suspended: Uint32Array;
}

interface Cover {
  no: number;
  revoked: number;
  suspended: number;
}

export interface Header {
  seq: bigint;
  issuedAt: number;
  expires: number;
  covers: Cover[];
  bodyHash: Uint8Array;
}

/** Protected is what the protected header says. */
export interface Protected {
  kid: Bytes;
  alg: number;
}

/** Signed is the COSE_Sign1 of a snapshot, as it was read. It keeps nothing of what it was read from. */
export interface Signed {
  protect: Bytes;
  payload: Bytes;
  signature: Bytes;
  structure: Bytes; // the Sig_structure
}

/** Snapshot is a parsed snapshot. Until its signature was verified, nothing in it is known to be true. */
export interface Snapshot {
  seq: bigint;
  issuedAt: number;
  expires: number;
  kid: Bytes;
  alg: number;
  lists: List[]; // in the order of their numbers
  hash: Bytes; // of the file
  signed: Bytes; // the Sig_structure
  signature: Bytes;
}

/** parseSnapshot reads a snapshot without verifying its signature. */
export async function parseSnapshot(b: Bytes): Promise<Snapshot> {
  if (b.length > maxSize) tooLarge("snapshot"); // rule 7
  const r = new Reader(b);
  r.literal(0x82); // rule 1
  const signed = readSigned(r);
  const body = r.bytes(maxSize);
  r.end();

  const { kid, alg } = parseProtected(signed);
  const header = parseHeader(signed.payload);
  if (!equal(await sha256(body), header.bodyHash)) malformed("hash of the body");
  return {
    seq: header.seq,
    issuedAt: header.issuedAt,
    expires: header.expires,
    kid,
    alg,
    lists: parseBody(header.covers, body),
    hash: await sha256(b),
    signed: signed.structure,
    signature: signed.signature,
  };
}

/** readSigned reads a tagged COSE_Sign1. */
export function readSigned(r: Reader): Signed {
  r.literal(0xd2, 0x84);
  const protect = r.bytes(maxSize).slice() as Bytes;
  r.literal(0xa0);
  const payload = r.bytes(maxSize).slice() as Bytes;
  const signature = r.bytes(maxSize).slice() as Bytes;
  return { protect, payload, signature, structure: sigStructure(protect, new Uint8Array(), payload) };
}

/** parseProtected reads the protected header (rules 2 and 3). */
export function parseProtected(signed: Signed): Protected {
  if (signed.protect.length > 64) malformed("protected header");
  const h = new Reader(signed.protect);
  h.literal(0xa3, 1);
  const alg = h.int(maxInteger);
  h.literal(4);
  const kid = h.fixed(8).slice() as Bytes;
  h.literal(16);
  if (h.text(64) !== typ) malformed("typ");
  h.end();
  if (signatureSize(alg) !== signed.signature.length) malformed("algorithm, or a signature of another length");
  return { kid, alg };
}

export function parseHeader(b: Uint8Array): Header {
  if (b.length > maxHeader) tooLarge("header");
  const r = new Reader(b); // rule 4
  r.literal(0xa5, 1);
  const seq = r.uint64();
  r.literal(2);
  const issuedAt = r.uint(maxTime);
  r.literal(3);
  const expires = r.uint(maxTime);
  r.literal(4);
  const covers: Cover[] = [];
  for (let n = r.array(maxLists); n > 0; n--) {
    r.literal(0x83);
    covers.push({ no: r.uint(0xffffffff), revoked: r.uint(0xffffffff), suspended: r.uint(0xffffffff) });
  }
  r.literal(5);
  const bodyHash = r.fixed(32);
  r.end();

  if (seq === 0n || expires <= issuedAt) malformed("sequence number or times");
  let listed = 0;
  covers.forEach((c, i) => {
    if (i > 0 && c.no <= covers[i - 1]!.no) malformed("list numbers do not rise"); // rule 5
    if (c.revoked + c.suspended > listSize) malformed("too many indices in a list");
    listed += c.revoked + c.suspended;
  });
  if (listed > maxListed) tooLarge("indices");
  return { seq, issuedAt, expires, covers, bodyHash };
}

/** Golomb is the code of rules 12, 13 and 21. */
interface Golomb {
  m: number;
  width: number; // bits of a remainder that is not short
  short: number; // how many remainders take one bit less
}

function golomb(count: number, lists: number): Golomb {
  count = Math.max(1, count);
  const m = Math.max(1, Math.floor((726817 * lists + Math.floor((count * 5) / 32)) / count));
  const width = m === 1 ? 0 : 32 - Math.clz32(m - 1);
  return { m, width, short: 2 ** width - m };
}

/** fewest returns the fewest bits that count indices of so many lists can take. */
export function fewest(count: number, lists = 1): number {
  const c = golomb(count, lists);
  return count * (1 + c.width - (c.short > 0 ? 1 : 0));
}

function parseBody(covers: Cover[], body: Uint8Array): List[] {
  let bits = 0;
  for (const c of covers) bits += fewest(c.revoked) + fewest(c.suspended);
  if (bits > 8 * body.length) malformed("body too short for its counts"); // rule 7, before any room is made
  const r = new BitReader(body);
  const lists = covers.map((c) => {
    const list = { no: c.no, revoked: r.indices(c.revoked), suspended: r.indices(c.suspended) };
    if (!disjoint(list.revoked, list.suspended)) malformed("index in both states"); // rule 10
    return list;
  });
  r.end();
  return lists;
}

/** BitReader reads bits, the highest of a byte first. */
export class BitReader {
  private readonly b: Uint8Array;
  private pos = 0; // of the byte
  private bit = 0; // of that byte, 0 the highest

  constructor(b: Uint8Array) {
    this.b = b;
  }

  /** indices reads count rising numbers below lists times listSize. */
  indices(count: number, lists = 1): Uint32Array {
    const c = golomb(count, lists);
    const out = new Uint32Array(count);
    const end = lists * listSize;
    let next = 0;
    for (let i = 0; i < count; i++) {
      next += this.zeros(end) * c.m + this.remainder(c);
      if (next >= end) malformed("index out of range"); // rule 15
      out[i] = next++;
    }
    this.align();
    return out;
  }

  /** zeros reads a run of zeros and the one after it. It gives up on more than end has room for. */
  private zeros(end: number): number {
    let n = 0;
    while (this.pos < this.b.length) {
      const rest = (this.b[this.pos]! << this.bit) & 0xff;
      if (rest === 0) {
        n += 8 - this.bit;
        this.bit = 0;
        this.pos++;
        if (n > end) break;
        continue;
      }
      const run = Math.clz32(rest) - 24;
      this.skip(run + 1);
      return n + run;
    }
    return malformed("run of zeros without an end");
  }

  private remainder(c: Golomb): number {
    if (c.width === 0) return 0;
    const v = this.read(c.width - 1);
    return v < c.short ? v : 2 * v + this.read(1) - c.short;
  }

  private read(n: number): number {
    let v = 0;
    while (n > 0) {
      if (this.pos >= this.b.length) malformed("body ends early");
      const take = Math.min(n, 8 - this.bit);
      v = (v << take) | (((this.b[this.pos]! << this.bit) & 0xff) >> (8 - take));
      this.skip(take);
      n -= take;
    }
    return v;
  }

  private skip(n: number): void {
    this.bit += n;
    this.pos += this.bit >> 3;
    this.bit &= 7;
  }

  /** align takes the zeros that fill up a byte (rule 14). */
  private align(): void {
    if (this.bit > 0 && this.read(8 - this.bit) !== 0) malformed("filling that is not zero");
  }

  end(): void {
    if (this.pos < this.b.length) malformed("body longer than its lists");
  }
}

/** BitWriter writes what BitReader reads. */
export class BitWriter {
  private b = new Uint8Array(1 << 16);
  private pos = 0; // of the byte
  private bit = 0; // of that byte, 0 the highest

  indices(rising: Uint32Array): void {
    const c = golomb(rising.length, 1);
    let next = 0;
    for (const index of rising) {
      const gap = index - next;
      next = index + 1;
      const rest = gap % c.m;
      this.skip((gap - rest) / c.m);
      this.write(1, 1);
      if (rest < c.short) this.write(rest, c.width - 1);
      else this.write(rest + c.short, c.width);
    }
    if (this.bit > 0) this.skip(8 - this.bit);
  }

  /** bytes returns what was written, whole bytes. */
  bytes(): Bytes {
    return this.b.slice(0, this.pos);
  }

  private write(v: number, n: number): void {
    while (n > 0) {
      const take = Math.min(n, 8 - this.bit);
      this.b[this.pos]! |= ((v >>> (n - take)) & ((1 << take) - 1)) << (8 - this.bit - take);
      this.skip(take);
      n -= take;
    }
  }

  /** skip goes over n bits, which are zero where nothing was written. */
  private skip(n: number): void {
    this.bit += n;
    this.pos += Math.floor(this.bit / 8);
    this.bit %= 8;
    if (this.pos < this.b.length) return;
    const longer = new Uint8Array(2 * this.pos + 1);
    longer.set(this.b);
    this.b = longer;
  }
}

/** disjoint says whether two rising arrays have nothing in common. */
export function disjoint(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) return false;
    if (a[i]! < b[j]!) i++;
    else j++;
  }
  return true;
}

function has(sorted: Uint32Array, index: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (sorted[mid]! < index) low = mid + 1;
    else high = mid;
  }
  return sorted[low] === index;
}

/** lookup returns the state of an index, or null where the snapshot does not cover it (rule 16). */
export function lookup(s: Snapshot, list: number, index: number): State | null {
  const l = s.lists.find((l) => l.no === list);
  if (!l || index >= listSize) return null;
  if (has(l.revoked, index)) return "revoked";
  return has(l.suspended, index) ? "suspended" : "valid";
}

/** verifySnapshot checks the signature under the key and the algorithm that the root statement gives. */
export async function verifySnapshot(s: Snapshot, key: PublicKey): Promise<boolean> {
  return key.alg === s.alg && (await key.verify(s.signed, s.signature));
}

