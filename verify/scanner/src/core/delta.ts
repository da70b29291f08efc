import { concat, equal, malformed, Refusal, sha256, tooLarge, type Bytes } from "./bytes.ts";
import { byteString, Reader } from "./cbor.ts";
import type { PublicKey } from "./key.ts";
import {
  BitReader, BitWriter, disjoint, fewest, listSize, maxSize, parseHeader, parseProtected, readSigned,
  type Header, type List, type Protected, type Signed, type Snapshot,
} from "./status.ts";

// ELR1 deltas: from the snapshot in hand to a later one. The numbers of the rules are
// docs/spec/elr1.md's. The checks come in the order of Go's licenses/status.

export const maxDelta = 4 << 20;
const maxChanges = 1 << 20;

/** The runs of a delta, in the order in which they stand: what becomes valid, revoked, suspended. */
type Runs = [valid: Uint32Array, revoked: Uint32Array, suspended: Uint32Array];

/** Delta is a parsed delta. Until its signature was verified, nothing in it is known to be true. */
export interface Delta extends Header, Protected {
  base: { seq: bigint; hash: Bytes };
  runs: Runs; // positions
  signed: Signed;
}

/** parseDelta reads a delta without verifying its signature. It throws a Refusal. */
export function parseDelta(b: Bytes): Delta {
  if (b.length > maxDelta) tooLarge("delta"); // rule 23
  const r = new Reader(b);
  r.literal(0x83); // rule 19
  const signed = readSigned(r);
  r.literal(0x85);
  const seq = r.uint64();
  const hash = r.bytes(maxDelta).slice() as Bytes;
  const counts = [r.uint(0xffffffff), r.uint(0xffffffff), r.uint(0xffffffff)];
  const changes = r.bytes(maxDelta);
  r.end();

  const by = parseProtected(signed);
  const header = parseHeader(signed.payload);
  if (hash.length !== 32) malformed("hash of the base");
  if (seq === 0n || seq >= header.seq) malformed("the sequence number does not rise");
  return { ...header, ...by, base: { seq, hash }, runs: parseRuns(counts, header.covers.length, changes), signed };
}

/** parseRuns makes room only when the bytes are long enough to hold as many (rules 21 to 23). */
function parseRuns(counts: number[], lists: number, changes: Uint8Array): Runs {
  if (counts.reduce((a, n) => a + n, 0) > maxChanges) tooLarge("changes");
  if (counts.reduce((a, n) => a + fewest(n, lists), 0) > 8 * changes.length) malformed("changes too short for their counts");
  const r = new BitReader(changes);
  const [valid, revoked, suspended] = counts.map((n) => r.indices(n, lists)) as Runs;
  if (!disjoint(valid, revoked) || !disjoint(valid, suspended) || !disjoint(revoked, suspended)) malformed("an index changes twice"); // rule 22
  r.end();
  return [valid, revoked, suspended];
}

/** verifyDelta checks the signature of the header that the delta leads to. */
export async function verifyDelta(d: Delta, key: PublicKey): Promise<boolean> {
  return key.alg === d.alg && (await key.verify(d.signed.structure, d.signed.signature));
}

/** applyDelta returns the snapshot that the delta leads to from base, and its file, the publisher's bit for bit. It throws a Refusal. */
export async function applyDelta(d: Delta, base: Snapshot): Promise<{ snapshot: Snapshot; file: Bytes }> {
  if (base.seq !== d.base.seq || !equal(base.hash, d.base.hash)) throw new Refusal("other_base", "the delta begins at another snapshot"); // rule 24
  const lists = merge(d, base);
  const w = new BitWriter();
  for (const l of lists) {
    w.indices(l.revoked);
    w.indices(l.suspended);
  }
  const body = w.bytes();
  if (!equal(await sha256(body), d.bodyHash)) malformed("the changes do not give the body that was signed");
  const { protect, payload, signature, structure } = d.signed;
  const file = concat(new Uint8Array([0x82, 0xd2, 0x84]), byteString(protect), new Uint8Array([0xa0]), byteString(payload), byteString(signature), byteString(body));
  if (file.length > maxSize) tooLarge("snapshot");
  const { seq, issuedAt, expires, kid, alg } = d;
  return { snapshot: { seq, issuedAt, expires, kid, alg, lists, hash: await sha256(file), signed: structure, signature }, file };
}

/** merge returns the header's lists after the changes, which must have the counts that it says. */
function merge(d: Delta, base: Snapshot): List[] {
  const old = new Map(base.lists.map((l) => [l.no, l]));
  let known = 0;
  const lists = d.covers.map((want, i) => {
    const before = old.get(want.no);
    if (before) known++;
    const to = d.runs.map((run) => within(run, i)) as Runs;
    const now = change(before ?? { no: want.no, revoked: new Uint32Array(), suspended: new Uint32Array() }, to);
    if (now.revoked.length !== want.revoked || now.suspended.length !== want.suspended) malformed("the changes do not give the counts of a list");
    return now;
  });
  if (known !== base.lists.length) malformed("a list is no longer covered"); // rule 20
  return lists;
}

/** within returns the positions of the i-th list in a run, as indices. */
function within(run: Uint32Array, i: number): Uint32Array {
  return run.subarray(below(run, i * listSize), below(run, (i + 1) * listSize)).map((position) => position - i * listSize);
}

/** below returns how many of a rising run are lower than end. */
function below(run: Uint32Array, end: number): number {
  let low = 0;
  let high = run.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (run[mid]! < end) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** change returns the list with the indices in their new states, each of which had another before (rule 22). */
function change(l: List, [valid, revoked, suspended]: Runs): List {
  if (valid.length + revoked.length + suspended.length === 0) return l;
  const listed = union(l.revoked, l.suspended);
  if (!disjoint(l.revoked, revoked) || !disjoint(l.suspended, suspended) || without(valid, listed).length > 0) malformed("a change changes nothing");
  return {
    no: l.no,
    revoked: union(without(without(l.revoked, valid), suspended), revoked),
    suspended: union(without(without(l.suspended, valid), revoked), suspended),
  };
}

/** without returns a without the members of b; both rise. */
function without(a: Uint32Array, b: Uint32Array): Uint32Array {
  let j = 0;
  return a.filter((index) => {
    while (j < b.length && b[j]! < index) j++;
    return j === b.length || b[j] !== index;
  });
}

/** union merges two rising arrays that have nothing in common. */
function union(a: Uint32Array, b: Uint32Array): Uint32Array {
  const all = new Uint32Array(a.length + b.length);
  for (let i = 0, j = 0; i + j < all.length; ) {
    const first = j === b.length || (i < a.length && a[i]! < b[j]!);
    const at = i + j;
    all[at] = first ? a[i++]! : b[j++]!;
  }
  return all;
}
