import { adler32, equal, hex, Refusal, utf8, type Bytes } from "./bytes.ts";
import { applyDelta, parseDelta, verifyDelta } from "./delta.ts";
import { permitFields, type ShownField } from "./field.ts";
import type { PublicKey } from "./key.ts";
import { parsePermit, signedHash, verifyPermit, type Permit } from "./permit.ts";
import { bundleState, type State } from "./state.ts";
import { lookup, parseSnapshot, verifySnapshot, type Snapshot } from "./status.ts";
import { isGenuine, openBundle, skew, statusSigner, type Agency, type Authority, type Bundle, type Code, type Field, type Genuine, type Key, type Names, type RootStatement, type Type } from "./trust.ts";

// Verdicts. The numbers of the rules are docs/spec/verdicts.md's.

export type Verdict =
  | "valid"
  | "expired"
  | "not_yet_valid"
  | "revoked"
  | "suspended"
  | "unknown_issuer"
  | "issuer_not_allowed"
  | "key_compromised"
  | "bad_signature"
  | "malformed"
  | "too_large"
  | "live_copy"
  | "undetermined";

/** Result is what `signet verify --json` prints, member by member (rules 23 to 27). */
export interface Result {
  file: string;
  verdict: Verdict;
  reason: string;
  as_of: string | null;
  issuer: string;
  type: string;
  number: string;
  fields: ShownField[];
}

/** LicenceType is a type of the bundle, indexed. */
export interface LicenceType extends Type {
  byNo: Map<number, Field>;
  byList: Map<string, Map<number, Code>>;
}

interface LoadedKey extends Key {
  of: Agency;
}

/** Trust is a trust bundle ready for use. */
export interface Trust {
  root: RootStatement;
  bundle: Bundle;
  state: State;
  keys: Map<string, LoadedKey>; // by kid in hexadecimal
  types: Map<number, LicenceType>;
  authority: Map<string, Authority[]>; // by agency and type
  dictionaries: Map<number, Bytes>;
}

const grant = (agency: string, type: string) => `${agency} ${type}`; // ids hold no space

/** loadTrust opens a bundle from the pin down. It throws a Refusal, which Options.trustFault takes. */
export async function loadTrust(pin: PublicKey, file: Uint8Array, now: number): Promise<Trust> {
  const { bundle, root } = await openBundle(file, pin, now);
  const agencies = new Map(bundle.agencies.map((a) => [a.id, a]));
  const t: Trust = {
    root,
    bundle,
    state: await bundleState(file, bundle, root),
    keys: new Map(bundle.keys.map((k) => [hex(k.kid), { ...k, of: agencies.get(k.agency)! }])),
    types: new Map(),
    authority: new Map(),
    dictionaries: new Map(),
  };
  for (const type of bundle.types) {
    t.types.set(type.code, {
      ...type,
      byNo: new Map(type.fields.map((f) => [f.no, f])),
      byList: new Map(type.lists.map((l) => [l.id, new Map(l.codes.map((c) => [c.code, c]))])),
    });
    if (type.dictionary) t.dictionaries.set(adler32(type.dictionary), type.dictionary);
  }
  for (const a of bundle.authority) {
    const g = grant(a.agency, a.type);
    t.authority.set(g, [...(t.authority.get(g) ?? []), a]);
  }
  return t;
}

/** loadStatus reads a snapshot that a status signer of the root statement signed. It throws a Refusal. */
export async function loadStatus(t: Trust, file: Bytes): Promise<Snapshot> {
  const s = await parseSnapshot(file);
  const signer = statusSigner(t.root, s.kid, s.issuedAt);
  if (!signer) throw new Refusal("no_permitted_signer", "of the snapshot");
  if (!(await verifySnapshot(s, signer.key))) throw new Refusal("bad_signature", "of the snapshot");
  return s;
}

/**
 * loadDelta brings a snapshot that was loaded to a later one by a delta whose header a
 * status signer of the root statement signed, and returns that one with its file. It
 * throws a Refusal; then the whole snapshot has to be fetched.
 */
export async function loadDelta(t: Trust, base: Snapshot, b: Bytes): Promise<{ snapshot: Snapshot; file: Bytes }> {
  const d = parseDelta(b);
  const signer = statusSigner(t.root, d.kid, d.issuedAt);
  if (!signer) throw new Refusal("no_permitted_signer", "of the delta");
  if (!(await verifyDelta(d, signer.key))) throw new Refusal("bad_signature", "of the delta");
  return applyDelta(d, base);
}

/** Basis is what a verdict rests on besides the permit. */
export interface Basis {
  trust: Trust | null;
  /** Why there is no trust, where there was a file. */
  trustFault?: Refusal | null;
  status: Snapshot | null;
  statusFault?: Refusal | null;
  genuine?: Genuine[];
}

type Outcome = [verdict: Verdict, reason: string];

/** check says what a permit is worth at now, in seconds. Rules 1 to 3. */
export async function check(text: string | Uint8Array, b: Basis, now: number): Promise<Result> {
  const r: Result = {
    file: "",
    verdict: "undetermined",
    reason: "",
    as_of: b.status ? utc(b.status.issuedAt) : null,
    issuer: "",
    type: "",
    number: "",
    fields: [],
  };
  let p: Permit | null = null;
  try {
    p = parsePermit(typeof text === "string" ? utf8(text) : text, (id) => b.trust?.dictionaries.get(id));
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    if (e.fault === "too_large") return end(r, ["too_large", "over_a_bound"]);
    if (e.fault !== "unknown_dictionary") return end(r, ["malformed", "not_a_permit"]);
  }
  const reason = unusable(b, now);
  if (reason !== null || !b.trust) return end(r, ["undetermined", reason ?? "no_trust"]);
  if (!p) return end(r, ["undetermined", "dictionary_not_in_bundle"]); // rule 6
  return end(r, await judge(r, p, b.trust, b, now));
}

function end(r: Result, [verdict, reason]: Outcome): Result {
  r.verdict = verdict;
  r.reason = reason;
  return r;
}

function utc(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** unusable says why the trust cannot be used at now (rules 4 and 5). */
function unusable(b: Basis, now: number): string | null {
  if (!b.trust) {
    switch (b.trustFault?.fault) {
      case undefined:
        return "no_trust";
      case "expired":
        return "trust_expired";
      case "made_after_now":
        return "clock_before_trust";
    }
    return "trust_refused";
  }
  const { bundle, root } = b.trust;
  if (now >= Math.min(bundle.expires, root.expires)) return "trust_expired";
  if (now + skew < Math.max(bundle.issuedAt, root.issuedAt)) return "clock_before_trust";
  return null;
}

/** judge goes through rules 7 to 22, and fills in what is known by then (rule 24). */
async function judge(r: Result, p: Permit, t: Trust, b: Basis, now: number): Promise<Outcome> {
  const key = t.keys.get(hex(p.kid));
  if (!key) return ["unknown_issuer", "key_not_in_bundle"];
  if (!(await verifyPermit(p, key.key))) return ["bad_signature", "signature_does_not_verify"];
  r.issuer = key.of.id;

  const stolen = await compromise(p, key, b.genuine ?? []);
  if (stolen) return ["key_compromised", stolen];

  const type = t.types.get(p.type);
  if (!type) return ["undetermined", "type_not_in_bundle"];
  r.type = type.id;
  r.number = p.number;
  r.fields = permitFields(p, type, key.of);

  if (p.issuedAt < key.signFrom || p.issuedAt >= key.signUntil) return ["issuer_not_allowed", "outside_signing_window"];
  const refused = noAuthority(t.authority.get(grant(key.agency, type.id)) ?? [], key.of, p.issuedAt);
  if (refused) return ["issuer_not_allowed", refused];

  if (now >= p.expires) return ["expired", "past_end"];
  if (now >= key.verifyUntil) return ["expired", "key_past_verify_until"];
  if (now < p.notBefore) return ["not_yet_valid", "before_start"];
  if (now + skew < p.issuedAt) return ["not_yet_valid", "issued_after_now"];

  if (p.confirmation) return ["live_copy", "shown_without_its_phone"];
  return status(p, t, type, b, now);
}

/** compromise lets a stolen key's permits pass only when its genuine file lists them (rule 9). */
async function compromise(p: Permit, key: Key, files: Genuine[]): Promise<string> {
  if (key.state !== "compromised") return "";
  if (p.issuedAt >= key.compromisedAt) return "signed_after_compromise";
  const file = files.find((g) => key.genuine && equal(g.hash, key.genuine));
  if (!file) return "genuine_list_absent";
  return isGenuine(file, await signedHash(p)) ? "" : "not_on_genuine_list";
}

/** noAuthority says why no authority covers the permit, or "" (rule 12). */
function noAuthority(all: Authority[], agency: Agency, issuedAt: number): string {
  let reason = "no_authority";
  for (const a of all) {
    if (!covers(agency, a.area)) reason = "authority_outside_area";
    else if (issuedAt < a.from || (a.until !== 0 && issuedAt >= a.until)) reason = "authority_not_then";
    else return "";
  }
  return reason;
}

function covers(agency: Agency, area: string): boolean {
  return agency.level === "city" ? area.startsWith(agency.area.slice(0, 4)) : area === agency.area;
}

/** status asks the snapshot (rules 18 to 22). */
function status(p: Permit, t: Trust, type: LicenceType, b: Basis, now: number): Outcome {
  const s = b.status;
  if (!s) return ["undetermined", b.statusFault ? "status_refused" : "no_status"];
  if (!statusSigner(t.root, s.kid, s.issuedAt)) return ["undetermined", "status_refused"]; // withdrawn since it was read
  if (now + skew < s.issuedAt) return ["undetermined", "clock_before_status"];
  const state = lookup(s, p.status.list, p.status.index);
  if (!state) return ["undetermined", "list_not_covered"];
  if (now >= s.expires || now - s.issuedAt > type.maxStatusAge) {
    return ["undetermined", state === "valid" ? "status_too_old" : "status_too_old_listed"];
  }
  if (state === "revoked") return ["revoked", "listed_revoked"];
  if (state === "suspended") return ["suspended", "listed_suspended"];
  return ["valid", ""];
}

export type { Names };
