import { equal, Refusal, sha256, type Bytes } from "./bytes.ts";
import type { Snapshot } from "./status.ts";
import type { Bundle, Head, RootStatement } from "./trust.ts";

// What a verifier keeps between two updates, so that nobody can bring it back to an
// older view (docs/spec/trust.md, rules 22 to 25).

/** Mark is one object seen: its version or seq, 0 for none, and the hash of its file. */
export interface Mark {
  number: bigint;
  hash: Bytes;
  previous?: Bytes | undefined; // what a bundle names as the one before it
}

export interface State {
  root: Mark;
  bundle: Mark;
  snapshot: Mark;
}

const none: Mark = { number: 0n, hash: new Uint8Array(32) };

export const nothing: State = { root: none, bundle: none, snapshot: none };

export async function rootState(file: Uint8Array, root: RootStatement): Promise<State> {
  return { ...nothing, root: { number: BigInt(root.version), hash: await sha256(file) } };
}

export async function bundleState(file: Uint8Array, b: Bundle, root: RootStatement): Promise<State> {
  return {
    root: { number: BigInt(root.version), hash: await sha256(b.root) },
    bundle: { number: BigInt(b.seq), hash: await sha256(file), previous: b.previous ?? undefined },
    snapshot: none,
  };
}

export function headState(h: Head): State {
  return {
    root: none,
    bundle: { number: BigInt(h.bundleSeq), hash: h.bundleHash },
    snapshot: { number: BigInt(h.snapshotSeq), hash: h.snapshotHash },
  };
}

export function snapshotState(s: Snapshot): State {
  return { ...nothing, snapshot: { number: s.seq, hash: s.hash } };
}

/** accept returns the state to keep after next was verified, or refuses next. */
export function accept(old: State, next: State): State {
  return {
    root: acceptMark(old.root, next.root),
    bundle: acceptMark(old.bundle, next.bundle),
    snapshot: acceptMark(old.snapshot, next.snapshot),
  };
}

function acceptMark(old: Mark, next: Mark): Mark {
  if (next.number === 0n) return old;
  if (next.number < old.number) throw new Refusal("rollback", "older than one already seen");
  const same = next.number === old.number;
  const follows = next.number === old.number + 1n && next.previous !== undefined && old.number > 0n;
  if ((same && !equal(next.hash, old.hash)) || (follows && !equal(next.previous!, old.hash))) {
    throw new Refusal("fork", "differs from the one already seen");
  }
  return same && next.previous === undefined ? old : next;
}
