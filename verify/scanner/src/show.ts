import type { Result, Verdict } from "./core/index.ts";
import { many, reasons, texts, words, type Lang } from "./text.ts";

// How a result looks. Everything goes into the page as text.

/** make builds an element. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, of: Partial<HTMLElementTagNameMap[K]> = {}, ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  const e = Object.assign(document.createElement(tag), of);
  e.append(...children);
  return e;
}

/** Tone is how a verdict looks: each has its own colour, shape and border. */
type Tone = "valid" | "bad" | "wait";

export function toneOf(v: Verdict): Tone {
  if (v === "valid") return "valid";
  return v === "undetermined" || v === "not_yet_valid" ? "wait" : "bad";
}

/** worst orders results so that a good permit never hides a bad one beside it. */
export function worst(a: Result, b: Result): number {
  const rank = (r: Result) => ({ bad: 0, wait: 1, valid: 2 })[toneOf(r.verdict)];
  return rank(a) - rank(b);
}

const locale = (lang: Lang) => (lang === "zh" ? "zh-CN" : "en-GB");

export function when(lang: Lang, seconds: number): string {
  return new Intl.DateTimeFormat(locale(lang), { dateStyle: "long", timeStyle: "short", timeZone: "Asia/Shanghai" }).format(new Date(seconds * 1000));
}

/** ago says how long before now that was. */
export function ago(lang: Lang, seconds: number, now: number): string {
  const passed = now - seconds;
  const f = new Intl.RelativeTimeFormat(locale(lang), { numeric: "auto" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]] as const) {
    if (Math.abs(passed) >= size) return f.format(-Math.trunc(passed / size), unit);
  }
  return f.format(0, "minute");
}

/** asOfLine says how old the status is, in parts that stay on one line each. */
export function asOfLine(lang: Lang, seconds: number | null, now: number): HTMLElement[] {
  if (seconds === null) return [make("span", { textContent: texts.noStatus[lang] })];
  const age = ago(lang, seconds, now);
  return [make("span", { textContent: `${texts.asOf[lang]} ${when(lang, seconds)}` }), make("span", { textContent: lang === "zh" ? `（${age}）` : ` (${age})` })];
}

/** spaced lets a line break between two parts. */
export function spaced(parts: HTMLElement[]): (Node | string)[] {
  return parts.flatMap((p, i) => (i === 0 ? [p] : [document.createElement("wbr"), p]));
}

export interface Places {
  verdict: HTMLOutputElement;
  details: HTMLElement;
  many: HTMLElement;
  others: HTMLElement;
}

/** showResult puts one of several results into the page. */
export function showResult(at: Places, all: Result[], shown: number, lang: Lang, now: number, choose: (i: number) => void): void {
  const r = all[shown]!;
  const asOf = r.as_of === null ? null : Date.parse(r.as_of) / 1000;
  const v = at.verdict;
  v.className = `verdict ${toneOf(r.verdict)}`;
  v.dataset["verdict"] = r.verdict;
  v.dataset["reason"] = r.reason;
  v.dataset["asOf"] = r.as_of ?? "";
  v.replaceChildren(
    make("span", { className: "word", textContent: words[r.verdict][lang] }),
    make("span", { className: "why", textContent: (reasons[r.reason] ?? reasons["not_a_permit"]!)[lang] }),
    make("span", { className: "asof" }, ...spaced(asOfLine(lang, asOf, now))),
  );
  at.details.replaceChildren(...(r.fields.length > 0 ? [make("h2", { textContent: texts.contents[lang] }), fieldsOf(r, lang)] : []));
  at.many.hidden = at.others.hidden = all.length < 2;
  at.many.textContent = many(all.length)[lang];
  at.others.replaceChildren(...all.map((o, i) => {
    const b = make("button", { type: "button", textContent: `${i + 1}. ${words[o.verdict][lang]}${o.number ? ` · ${o.number}` : ""}`, onclick: () => choose(i) });
    b.setAttribute("aria-pressed", String(i === shown));
    return b;
  }));
}

function fieldsOf(r: Result, lang: Lang): HTMLElement {
  const list = make("dl", { className: "summary" });
  for (const f of r.fields) {
    const name = (lang === "zh" ? f.zh : f.en) || f.name;
    const value = (lang === "zh" ? f.value_zh : f.value_en) ?? shownValue(f.name, f.value, lang);
    list.append(make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value })));
  }
  return list;
}

/** shownValue writes the days of a permit as people do. */
function shownValue(name: string, value: string, lang: Lang): string {
  if (!["issued_on", "valid_from", "valid_until"].includes(name) || !/^\d{4}-\d\d-\d\d$/.test(value)) return value;
  return new Intl.DateTimeFormat(locale(lang), { dateStyle: "long", timeZone: "UTC" }).format(new Date(value + "T00:00:00Z"));
}
