import { adler32, compare, equal, isText, malformed, maxInteger, maxTime, Refusal, sha256, tooLarge, type Bytes } from "./bytes.ts";
import { members, need, Reader, sigStructure } from "./cbor.ts";
import { PublicKey, publicKey } from "./key.ts";
import { peek } from "./peek.ts";

// Root statement, bundle, head and genuine file. The numbers of the rules are
// docs/spec/trust.md's.

const typRoot = "application/signet-root+cose";
const typBundle = "application/signet-bundle+cose";
const typHead = "application/signet-head+cose";

export const maxRoot = 64 << 10;
export const maxBundle = 16 << 20;
export const maxHead = 16 << 10;
export const maxGenuine = 64 << 20;
const maxBundleLife = 92 * 86400;
const maxHeadLife = 31 * 86400;
const maxElements = 1 << 16;
/** How far a verifier's clock may be behind the signer's, in seconds. */
export const skew = 300;

export interface Names {
  zh: string;
  en: string;
}

export interface Signer {
  kid: Bytes;
  key: PublicKey;
  from: number;
  until: number;
}

export interface RootStatement {
  version: number;
  issuedAt: number;
  expires: number;
  bundle: Signer[];
  status: Signer[];
  log: Signer[];
  next: PublicKey | null;
}

export interface Agency {
  id: string;
  uscc: string;
  names: Names;
  level: string;
  parent: string;
  area: string;
  successor: string;
}

export interface Key {
  kid: Bytes;
  key: PublicKey;
  certHash: Bytes;
  agency: string;
  signFrom: number;
  signUntil: number;
  verifyUntil: number;
  state: string;
  compromisedAt: number;
  genuine: Bytes | null;
}

export interface Authority {
  agency: string;
  type: string;
  area: string;
  from: number;
  until: number; // 0 is open
}

export interface Field {
  no: number;
  name: string;
  names: Names;
  list: string;
}

export interface Code {
  code: number;
  value: string;
  names: Names;
}

export interface CodeList {
  id: string;
  codes: Code[];
}

export interface Type {
  code: number;
  id: string;
  names: Names;
  holderKind: string;
  fields: Field[];
  lists: CodeList[];
  dictionary: Bytes | null;
  maxStatusAge: number;
  reissue: number;
}

export interface StatusList {
  no: number;
  uri: string;
}

export interface Bundle {
  seq: number;
  issuedAt: number;
  expires: number;
  previous: Bytes | null;
  agencies: Agency[];
  keys: Key[];
  authority: Authority[];
  types: Type[];
  lists: StatusList[];
  root: Bytes;
}

export interface Head {
  bundleSeq: number;
  bundleHash: Bytes;
  snapshotSeq: number;
  snapshotHash: Bytes;
  checkpoint: Bytes | null;
  issuedAt: number;
  expires: number;
}

/** kidOf names a root key or a signer (rule 8). */
export async function kidOf(spki: Uint8Array): Promise<Bytes> {
  return (await sha256(spki)).slice(0, 8);
}

// The file and its signatures.

interface Signature {
  kid: Uint8Array;
  alg: number;
  bodyProtected: Uint8Array;
  value: Uint8Array;
}

interface File {
  payload: Uint8Array;
  signatures: Signature[];
}

function parseFile(b: Uint8Array, limit: number, typ: string): File {
  if (b.length > limit) tooLarge("file"); // rule 2
  const r = new Reader(b);
  r.literal(0x82); // rule 1
  const payload = r.bytes(limit);
  const signatures: Signature[] = [];
  const n = r.array(4);
  if (n < 1) malformed("no signature");
  for (let i = 0; i < n; i++) {
    r.literal(0xd2, 0x84);
    const bodyProtected = r.bytes(128);
    r.literal(0xa0, 0xf6); // rule 7: no unprotected header, no payload
    const value = r.bytes(4096);
    if (value.length === 0) malformed("empty signature");
    const h = new Reader(bodyProtected); // rule 6
    h.literal(0xa3, 1);
    const alg = h.int64(); // of a stranger's signature, anything (rule 11)
    h.literal(4);
    const kid = h.fixed(8);
    h.literal(16);
    if (h.text(128) !== typ) malformed("typ of another kind of object");
    h.end();
    if (signatures.some((s) => equal(s.kid, kid))) malformed("two signatures by one key");
    signatures.push({ kid, alg, bodyProtected, value });
  }
  r.end();
  return { payload, signatures };
}

/** verify wants every signature by a permitted key to hold, and one at least (rules 9 to 11). */
async function verify(f: File, permitted: { kid: Bytes; key: PublicKey }[]): Promise<void> {
  let found = false;
  for (const s of f.signatures) {
    for (const k of permitted) {
      if (!equal(k.kid, s.kid)) continue;
      const signed = sigStructure(s.bodyProtected, new Uint8Array(), f.payload);
      if (s.alg !== k.key.alg || !(await k.key.verify(signed, s.value))) throw new Refusal("bad_signature", "of a permitted signer");
      found = true;
    }
  }
  if (!found) throw new Refusal("no_permitted_signer", "");
}

/** current refuses what now is not in (rules 19 and 20). */
function current(o: { issuedAt: number; expires: number }, now: number): void {
  if (now >= o.expires) throw new Refusal("expired", "");
  if (now + skew < o.issuedAt) throw new Refusal("made_after_now", "");
}

/** permitted returns the signers whose window an object of that time lies in. */
function permitted(signers: Signer[], issuedAt: number): Signer[] {
  return signers.filter((s) => s.from <= issuedAt && issuedAt < s.until);
}

// Members.

const time = (r: Reader) => r.uint(maxTime);
const anyText = (r: Reader) => r.text(maxBundle);

/** optional refuses what stands there and says nothing. */
function optional<T extends { length: number } | number>(v: T): T {
  if (typeof v === "number" ? v === 0 : v.length === 0) malformed("empty member");
  return v;
}

function list<T>(r: Reader, read: (r: Reader) => T): T[] {
  const out: T[] = [];
  for (let n = r.array(maxElements); n > 0; n--) out.push(read(r));
  return out;
}

function names(r: Reader): Names {
  r.literal(0xa2, 1);
  const zh = anyText(r);
  r.literal(2);
  return { zh, en: anyText(r) };
}

function checkNames(n: Names): void {
  if (!isText(n.zh, 256) || !isText(n.en, 256)) malformed("names");
}

const isWord = (s: string) => /^[a-z0-9-]{1,40}$/.test(s);
const isArea = (s: string) => /^[0-9]{6}$/.test(s);
const isUSCC = (s: string) => /^[0-9A-HJ-NPQRTUWXY]{18}$/.test(s);

/** rises wants strict order, so that nothing comes twice. */
function rises<T>(of: T[], order: (a: T, b: T) => number): void {
  for (let i = 1; i < of.length; i++) if (order(of[i - 1]!, of[i]!) >= 0) malformed("not in order, or twice");
}

/** byText orders as bytes of UTF-8 do; UTF-16 differs from it above U+FFFF. */
function byText(a: string, b: string): number {
  const x = [...a];
  const y = [...b];
  for (let i = 0; i < x.length && i < y.length; i++) {
    const d = x[i]!.codePointAt(0)! - y[i]!.codePointAt(0)!;
    if (d !== 0) return d;
  }
  return x.length - y.length;
}

function checkTimes(from: number, until: number, life = Infinity): void {
  if (from >= until) malformed("times not in order");
  if (until - from > life) malformed("life longer than allowed");
}

// Root statement.

interface RawSigner {
  kid: Uint8Array;
  alg: number;
  spki: Uint8Array;
  from: number;
  until: number;
}

function rawSigner(r: Reader): RawSigner {
  r.literal(0xa5, 1); // rule 27
  const kid = r.fixed(8);
  r.literal(2);
  const alg = r.int(maxInteger);
  r.literal(3);
  const spki = r.bytes(maxRoot);
  r.literal(4);
  const from = time(r);
  r.literal(5);
  return { kid, alg, spki, from, until: time(r) };
}

async function signers(raw: RawSigner[], seen: Set<string>): Promise<Signer[]> {
  if (raw.length > 64) tooLarge("signers of a kind");
  rises(raw, (a, b) => compare(a.kid, b.kid));
  const out: Signer[] = [];
  for (const s of raw) {
    const name = s.kid.join();
    if (seen.has(name)) malformed("key with two purposes"); // rule 17
    seen.add(name);
    if (!equal(s.kid, await kidOf(s.spki))) malformed("kid of a signer is not its key's");
    checkTimes(s.from, s.until);
    out.push({ kid: s.kid.slice() as Bytes, key: publicKey(s.alg, s.spki), from: s.from, until: s.until });
  }
  return out;
}

async function parseRoot(b: Uint8Array): Promise<{ root: RootStatement; file: File }> {
  const file = parseFile(b, maxRoot, typRoot);
  const r = new Reader(file.payload); // rule 26
  let version: number | undefined;
  let issuedAt: number | undefined;
  let expires: number | undefined;
  let raw: [RawSigner[], RawSigner[], RawSigner[]] = [[], [], []];
  let next: Uint8Array | undefined;
  members(r, {
    1: () => (version = r.uint(maxInteger)),
    2: () => (issuedAt = time(r)),
    3: () => (expires = time(r)),
    4: () => (raw[0] = optional(list(r, rawSigner))),
    5: () => (raw[1] = optional(list(r, rawSigner))),
    6: () => (raw[2] = optional(list(r, rawSigner))),
    7: () => (next = optional(r.bytes(maxRoot))),
  });
  r.end();
  if (need(version) === 0) malformed("version");
  checkTimes(need(issuedAt), need(expires));
  const nextKey = next ? new PublicKey(next) : null;
  const seen = new Set<string>();
  const root: RootStatement = {
    version: need(version),
    issuedAt: need(issuedAt),
    expires: need(expires),
    bundle: await signers(raw[0], seen),
    status: await signers(raw[1], seen),
    log: await signers(raw[2], seen),
    next: nextKey,
  };
  return { root, file };
}

/** openRoot reads a root statement that the pinned root signed, and that has begun and not expired (rules 12 to 14). */
export async function openRoot(b: Uint8Array, pin: PublicKey, now: number): Promise<RootStatement> {
  const { root, file } = await parseRoot(b);
  await verify(file, [{ kid: await kidOf(pin.spki), key: pin }]);
  current(root, now);
  return root;
}

/** statusSigner finds the signer of a snapshot or head made at that time (rule 16). */
export function statusSigner(root: RootStatement, kid: Uint8Array, issuedAt: number): Signer | undefined {
  return permitted(root.status, issuedAt).find((s) => equal(s.kid, kid));
}

// Bundle.

function agency(r: Reader): Agency {
  let id: string | undefined;
  let names_: Names | undefined;
  let level: string | undefined;
  let area: string | undefined;
  let uscc = "";
  let parent = "";
  let successor = "";
  members(r, {
    1: () => (id = anyText(r)),
    2: () => (uscc = optional(anyText(r))),
    3: () => (names_ = names(r)),
    4: () => (level = anyText(r)),
    5: () => (parent = optional(anyText(r))),
    6: () => (area = anyText(r)),
    7: () => (successor = optional(anyText(r))),
  });
  return { id: need(id), uscc, names: need(names_), level: need(level), parent, area: need(area), successor };
}

function checkAgency(a: Agency, known: Set<string>): void {
  const city = a.area.endsWith("00");
  if (!isWord(a.id)) malformed("id of an agency");
  if (a.uscc !== "" && !isUSCC(a.uscc)) malformed("USCC");
  checkNames(a.names);
  if (!isArea(a.area)) malformed("area");
  if (!(a.level === "city" && city) && !(a.level === "district" && !city)) malformed("level, or an area of another level");
  for (const other of [a.parent, a.successor]) {
    if (other !== "" && (!known.has(other) || other === a.id)) malformed("parent or successor");
  }
}

interface RawKey extends Omit<Key, "key" | "kid" | "certHash" | "genuine"> {
  kid: Uint8Array;
  alg: number;
  spki: Uint8Array;
  certHash: Uint8Array;
  genuine: Uint8Array | null;
}

function key(r: Reader): RawKey {
  const k: Partial<RawKey> = { compromisedAt: 0, genuine: null };
  members(r, {
    1: () => (k.kid = r.fixed(8)),
    2: () => (k.alg = r.int(maxInteger)),
    3: () => (k.spki = r.bytes(maxBundle)),
    4: () => (k.certHash = r.fixed(32)),
    5: () => (k.agency = anyText(r)),
    6: () => (k.signFrom = time(r)),
    7: () => (k.signUntil = time(r)),
    8: () => (k.verifyUntil = time(r)),
    9: () => (k.state = anyText(r)),
    10: () => (k.compromisedAt = optional(time(r))),
    11: () => (k.genuine = optional(r.bytes(maxBundle))),
  });
  for (const v of [k.kid, k.alg, k.spki, k.certHash, k.agency, k.signFrom, k.signUntil, k.verifyUntil, k.state]) need<unknown>(v);
  return k as RawKey;
}

const keyStates = ["published", "active", "retiring", "retired", "compromised"];

function checkKey(k: RawKey, agencies: Set<string>): Key {
  const compromised = k.state === "compromised";
  if (!equal(k.kid, k.certHash.subarray(0, 8))) malformed("kid is not of the certificate"); // rule 30
  if (!agencies.has(k.agency)) malformed("unknown agency");
  checkTimes(k.signFrom, k.signUntil);
  if (k.verifyUntil < k.signUntil) malformed("signing and verifying times");
  if (!keyStates.includes(k.state)) malformed("state");
  if (compromised !== (k.compromisedAt !== 0)) malformed("time of compromise");
  if (k.genuine && (!compromised || k.genuine.length !== 32)) malformed("hash of the genuine file");
  return {
    kid: k.kid.slice() as Bytes,
    key: publicKey(k.alg, k.spki),
    certHash: k.certHash.slice() as Bytes,
    agency: k.agency,
    signFrom: k.signFrom,
    signUntil: k.signUntil,
    verifyUntil: k.verifyUntil,
    state: k.state,
    compromisedAt: k.compromisedAt,
    genuine: k.genuine ? (k.genuine.slice() as Bytes) : null,
  };
}

function authority(r: Reader): Authority {
  const open = r.map(5);
  if (open < 4) malformed("authority");
  r.literal(1); // rule 32
  const agency = anyText(r);
  r.literal(2);
  const type = anyText(r);
  r.literal(3);
  const area = anyText(r);
  r.literal(4);
  const from = time(r);
  if (open === 4) return { agency, type, area, from, until: 0 };
  r.literal(5);
  return { agency, type, area, from, until: optional(time(r)) };
}

function checkAuthority(a: Authority, agencies: Set<string>, types: Set<string>): void {
  if (!agencies.has(a.agency) || !types.has(a.type) || !isArea(a.area)) malformed("authority");
  if (a.until !== 0) checkTimes(a.from, a.until);
}

function field(r: Reader): Field {
  const pairs = r.map(4);
  if (pairs < 3) malformed("field");
  r.literal(1);
  const no = r.uint(maxInteger);
  r.literal(2);
  const name = anyText(r);
  r.literal(3);
  const of = names(r);
  if (pairs === 3) return { no, name, names: of, list: "" };
  r.literal(4);
  return { no, name, names: of, list: optional(anyText(r)) };
}

function code(r: Reader): Code {
  r.literal(0xa3, 1);
  const code = r.uint(maxInteger);
  r.literal(2);
  const value = anyText(r);
  r.literal(3);
  return { code, value, names: names(r) };
}

function codeList(r: Reader): CodeList {
  r.literal(0xa2, 1);
  const id = anyText(r);
  r.literal(2);
  return { id, codes: list(r, code) };
}

function type(r: Reader): Type {
  const t: Partial<Type> = { fields: [], lists: [], dictionary: null, reissue: 0 };
  members(r, {
    1: () => (t.code = r.uint(maxInteger)), // rule 33
    2: () => (t.id = anyText(r)),
    3: () => (t.names = names(r)),
    4: () => (t.holderKind = anyText(r)),
    5: () => (t.fields = optional(list(r, field))),
    6: () => (t.lists = optional(list(r, codeList))),
    7: () => (t.dictionary = optional(r.bytes(maxBundle)).slice() as Bytes),
    8: () => (t.maxStatusAge = time(r)),
    9: () => (t.reissue = optional(time(r))),
  });
  for (const v of [t.code, t.id, t.names, t.holderKind, t.maxStatusAge]) need<unknown>(v);
  return t as Type;
}

function checkType(t: Type): void {
  if (t.code === 0) malformed("code of a type");
  if (!isWord(t.id)) malformed("id of a type");
  checkNames(t.names);
  if (t.holderKind !== "firm" && t.holderKind !== "person") malformed("kind of holder");
  if (t.maxStatusAge === 0) malformed("oldest status allowed");
  if (t.fields.length > 60 || t.lists.length > 64 || (t.dictionary?.length ?? 0) > 16384) tooLarge("fields, lists or dictionary");
  rises(t.fields, (a, b) => a.no - b.no);
  rises(t.lists, (a, b) => byText(a.id, b.id));
  const lists = new Set<string>();
  for (const l of t.lists) {
    if (!isText(l.id, 40) || l.codes.length === 0) malformed("code list");
    rises(l.codes, (a, b) => a.code - b.code);
    const values = new Set<string>();
    for (const c of l.codes) {
      if (!isText(c.value, 512) || values.has(c.value)) malformed("code");
      checkNames(c.names);
      values.add(c.value);
    }
    lists.add(l.id);
  }
  const known = new Set<string>();
  for (const f of t.fields) {
    if (f.no < 4 || f.no > 65535 || !isText(f.name, 40) || known.has(f.name)) malformed("field");
    checkNames(f.names);
    if (f.list !== "" && !lists.has(f.list)) malformed("field of an unknown code list");
    known.add(f.name);
  }
}

function statusList(r: Reader): StatusList {
  r.literal(0xa2, 1);
  const no = r.uint(0xffffffff);
  r.literal(2);
  return { no, uri: anyText(r) };
}

function parseBundle(payload: Uint8Array): Bundle {
  const r = new Reader(payload); // rule 28
  const b: Partial<Bundle> = { previous: null, agencies: [], authority: [], types: [], lists: [] };
  let raw: RawKey[] = [];
  members(r, {
    1: () => (b.seq = r.uint(maxInteger)),
    2: () => (b.issuedAt = time(r)),
    3: () => (b.expires = time(r)),
    4: () => (b.previous = optional(r.bytes(maxBundle)).slice() as Bytes),
    5: () => (b.agencies = optional(list(r, agency))),
    6: () => (raw = optional(list(r, key))),
    7: () => (b.authority = optional(list(r, authority))),
    8: () => (b.types = optional(list(r, type))),
    9: () => (b.lists = optional(list(r, statusList))),
    10: () => (b.root = r.bytes(maxBundle).slice() as Bytes),
  });
  r.end();
  for (const v of [b.seq, b.issuedAt, b.expires, b.root]) need<unknown>(v);
  const whole = b as Bundle;
  whole.keys = checkBundle(whole, raw);
  return whole;
}

/** checkBundle says what is wrong with a bundle, and returns its keys. */
function checkBundle(b: Bundle, raw: RawKey[]): Key[] {
  if (b.seq === 0) malformed("seq");
  checkTimes(b.issuedAt, b.expires, maxBundleLife);
  if (b.previous ? b.previous.length !== 32 : b.seq > 1) malformed("hash of the bundle before");
  if (b.agencies.length > 8192 || b.types.length > 4096 || b.lists.length > 16384) tooLarge("agencies, types or lists");
  rises(b.agencies, (x, y) => byText(x.id, y.id));
  rises(raw, (x, y) => compare(x.kid, y.kid));
  rises(b.authority, (x, y) => byText(x.agency, y.agency) || byText(x.type, y.type) || byText(x.area, y.area) || x.from - y.from);
  rises(b.types, (x, y) => x.code - y.code);
  rises(b.lists, (x, y) => x.no - y.no);
  const agencies = new Set(b.agencies.map((a) => a.id));
  for (const a of b.agencies) checkAgency(a, agencies);
  const types = new Set<string>();
  const dictionaries = new Set<number>();
  for (const t of b.types) {
    if (types.has(t.id)) malformed("two types with one id");
    types.add(t.id);
    checkType(t);
    if (!t.dictionary) continue;
    const id = adler32(t.dictionary);
    if (dictionaries.has(id)) malformed("two dictionaries with one checksum");
    dictionaries.add(id);
  }
  const keys = raw.map((k) => checkKey(k, agencies));
  for (const a of b.authority) checkAuthority(a, agencies, types);
  for (const l of b.lists) if (!isText(l.uri, 512)) malformed("address of a status list");
  return keys;
}

/**
 * openBundle reads a bundle by a trust-list signer that its root statement permits,
 * where the pinned root signed that statement (rule 15). What the bundle lists is
 * read only after its signature (rule 18).
 */
export async function openBundle(b: Uint8Array, pin: PublicKey, now: number): Promise<{ bundle: Bundle; root: RootStatement }> {
  const file = parseFile(b, maxBundle, typBundle);
  const outline = peek(file.payload);
  const root = await openRoot(outline.root, pin, now);
  await verify(file, permitted(root.bundle, outline.issuedAt));
  const bundle = parseBundle(file.payload);
  current(bundle, now);
  return { bundle, root };
}

// Head.

/** openHead reads a head by a status signer of a root statement that openRoot or openBundle returned (rules 16 and 36). */
export async function openHead(b: Uint8Array, root: RootStatement, now: number): Promise<Head> {
  const file = parseFile(b, maxHead, typHead);
  const r = new Reader(file.payload);
  const h: Partial<Head> = { checkpoint: null };
  members(r, {
    1: () => (h.bundleSeq = r.uint(maxInteger)),
    2: () => (h.bundleHash = r.fixed(32).slice() as Bytes),
    3: () => (h.snapshotSeq = r.uint(maxInteger)),
    4: () => (h.snapshotHash = r.fixed(32).slice() as Bytes),
    5: () => (h.checkpoint = optional(r.bytes(maxHead)).slice() as Bytes),
    6: () => (h.issuedAt = time(r)),
    7: () => (h.expires = time(r)),
  });
  r.end();
  for (const v of [h.bundleSeq, h.bundleHash, h.snapshotSeq, h.snapshotHash, h.issuedAt, h.expires]) need<unknown>(v);
  const head = h as Head;
  if (head.bundleSeq === 0 || head.snapshotSeq === 0) malformed("seq");
  if ((head.checkpoint?.length ?? 0) > 8192) tooLarge("checkpoint");
  checkTimes(head.issuedAt, head.expires, maxHeadLife);
  await verify(file, permitted(root.status, head.issuedAt));
  current(head, now);
  return head;
}

// Genuine permits of a stolen key.

/** Genuine is the file of rule 35. */
export interface Genuine {
  hash: Bytes;
  entries: Bytes;
}

export async function parseGenuine(b: Bytes): Promise<Genuine> {
  if (b.length > maxGenuine) tooLarge("genuine file");
  if (b.length % 16 !== 0) malformed("length of a genuine file");
  for (let i = 16; i < b.length; i += 16) {
    if (compare(b.subarray(i - 16, i), b.subarray(i, i + 16)) >= 0) malformed("entries not in order, or twice");
  }
  return { hash: await sha256(b), entries: b };
}

export function isGenuine(g: Genuine, hash: Uint8Array): boolean {
  let low = 0;
  let high = g.entries.length / 16;
  while (low < high) {
    const mid = (low + high) >> 1;
    const d = compare(g.entries.subarray(16 * mid, 16 * mid + 16), hash);
    if (d === 0) return true;
    if (d < 0) low = mid + 1;
    else high = mid;
  }
  return false;
}

