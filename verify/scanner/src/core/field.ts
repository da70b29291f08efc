import type { Permit, Value } from "./permit.ts";
import type { Agency, Names } from "./trust.ts";
import type { LicenceType } from "./verify.ts";

/** ShownField is one thing that a permit says (docs/spec/verdicts.md, rule 25). */
export interface ShownField {
  name: string;
  zh: string;
  en: string;
  value: string;
  value_zh?: string;
  value_en?: string;
}

const fixed: Record<string, Names> = {
  type: { zh: "证照类型", en: "Type of licence" },
  issuer: { zh: "签发机关", en: "Issued by" },
  number: { zh: "编号", en: "Number" },
  holder: { zh: "持有人", en: "Holder" },
  issued_on: { zh: "签发日期", en: "Issued on" },
  valid_from: { zh: "有效期起", en: "Valid from" },
  valid_until: { zh: "有效期至", en: "Valid until" },
};
const uscc: Names = { zh: "统一社会信用代码", en: "Unified social credit code" };
const document: Names = { zh: "证件号码", en: "Identity number, masked" };

/** permitFields returns what the permit says, in the order in which a person reads it. */
export function permitFields(p: Permit, type: LicenceType, agency: Agency): ShownField[] {
  const of = (name: string, value: string, names = fixed[name]!): ShownField => ({ name, ...names, value });
  return [
    { ...of("type", type.id), value_zh: type.names.zh, value_en: type.names.en },
    { ...of("issuer", agency.id), value_zh: agency.names.zh, value_en: agency.names.en },
    of("number", p.number),
    of("holder", p.holderName),
    of("holder_id", p.holderID, type.holderKind === "person" ? document : uscc),
    of("issued_on", day(p.issuedAt)),
    of("valid_from", firstDay(p.notBefore)),
    of("valid_until", lastDay(p.expires)),
    ...[...p.fields].map(([no, value]) => ownField(type, no, value)),
  ];
}

/** ownField names one field. What the bundle does not know yet is shown by its number (rule 26). */
function ownField(type: LicenceType, no: number, value: Value): ShownField {
  const known = type.byNo.get(no);
  if (!known) return { name: String(no), zh: "", en: "", value: String(value) };
  const f: ShownField = { name: known.name, ...known.names, value: String(value) };
  const code = typeof value === "number" && value >= 0 ? type.byList.get(known.list)?.get(value) : undefined;
  return code ? { ...f, value: code.value, value_zh: code.names.zh, value_en: code.names.en } : f;
}

// Shanghai has had no summer time since 1991.
const offset = 8 * 3600;
const two = (n: number) => String(n).padStart(2, "0");

function day(seconds: number): string {
  const d = new Date((seconds + offset) * 1000);
  return `${String(d.getUTCFullYear()).padStart(4, "0")}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
}

function moment(seconds: number): string {
  const d = new Date((seconds + offset) * 1000);
  return `${day(seconds)}T${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}+08:00`;
}

const midnight = (seconds: number) => (seconds + offset) % 86400 === 0;

/** firstDay writes a beginning: a day when it is 00:00 in Shanghai, else the time (rule 27). */
function firstDay(seconds: number): string {
  return midnight(seconds) ? day(seconds) : moment(seconds);
}

/** lastDay writes an end: the last day when it is 24:00 in Shanghai, else the time. */
function lastDay(seconds: number): string {
  return midnight(seconds) ? day(seconds - 86400) : moment(seconds);
}
