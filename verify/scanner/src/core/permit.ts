import { decodeBase45 } from "./base45.ts";
import { equal, isText, malformed, maxInteger, maxTime, sha256, tooLarge, utf8, type Bytes } from "./bytes.ts";
import { majorNint, majorText, Reader, sigStructure } from "./cbor.ts";
import { inflate, type Dictionaries } from "./inflate.ts";
import { signatureSize, type PublicKey } from "./key.ts";

// EL1, the permit in a QR code. The numbers of the rules are docs/spec/el1.md's.

const prefix = utf8("EL1:");
export const maxChars = 3391;
const maxInflated = 8192;
const maxSignature = 96;
const maxFields = 60;
const firstField = 4;

/** Value is text or an integer. */
export type Value = string | number;

/** Permit is a parsed permit. Until verify has said yes, nothing in it is known to be true. */
export interface Permit {
  kid: Bytes;
  alg: number;
  id: Bytes;
  issuedAt: number;
  notBefore: number;
  expires: number;
  status: { list: number; index: number };
  confirmation: Bytes | null;
  type: number;
  number: string;
  holderName: string;
  holderID: string;
  fields: Map<number, Value>; // in the order of their numbers
  signed: Bytes; // the Sig_structure
  signature: Bytes;
}

/** parsePermit reads a permit without verifying its signature. */
export function parsePermit(text: Uint8Array, dictionaries: Dictionaries): Permit {
  if (text.length > maxChars) tooLarge("characters"); // rule 2
  if (!equal(text.subarray(0, prefix.length), prefix)) malformed("no prefix");
  const packed = decodeBase45(text.subarray(prefix.length));
  if (!packed) malformed("not Base45");
  return parseCOSE(inflate(packed, maxInflated, dictionaries));
}

function parseCOSE(b: Bytes): Permit {
  const r = new Reader(b);
  r.literal(0xd2, 0x84); // rule 12
  const bodyProtected = r.bytes(32);
  r.literal(0xa0); // rule 16
  const payload = r.bytes(maxInflated);
  const signature = r.bytes(maxSignature).slice();
  r.end();

  const h = new Reader(bodyProtected); // rule 13
  h.literal(0xa2, 1);
  const alg = h.int(1 << 16);
  h.literal(4);
  const kid = h.fixed(8).slice();
  h.end();
  if (signatureSize(alg) !== signature.length) malformed("algorithm, or a signature of another length"); // rules 14, 18

  return { kid, alg, ...parsePayload(payload), signed: sigStructure(bodyProtected, prefix, payload), signature };
}

function parsePayload(b: Uint8Array): Omit<Permit, "kid" | "alg" | "signed" | "signature"> {
  const r = new Reader(b); // rule 19
  const pairs = r.map(7);
  if (pairs < 6) malformed("claims missing");
  r.literal(4);
  const expires = r.uint(maxTime);
  r.literal(5);
  const notBefore = r.uint(maxTime);
  r.literal(6);
  const issuedAt = r.uint(maxTime);
  r.literal(7);
  const id = r.fixed(16).slice();
  let confirmation: Bytes | null = null;
  if (pairs === 7) {
    r.literal(8, 0xa1, 1);
    confirmation = r.take(coseKeyLength(r)).slice();
  }
  r.literal(0x3a, 0x00, 0x01, 0x11, 0x6f); // -70000
  const fields = parseFields(r);
  r.literal(0x3a, 0x00, 0x01, 0x11, 0x70, 0x82); // -70001, array of 2
  const status = { list: r.uint(2 ** 32 - 1), index: r.uint(2 ** 20 - 1) }; // rule 25
  r.end();
  if (notBefore >= expires) malformed("ends before it begins");
  return { id, issuedAt, notBefore, expires, status, confirmation, ...fields };
}

// The shapes of a COSE_Key (rule 23): what stands before each coordinate, whose size
// is last.
const coseKeys = [
  { start: [0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 32], between: [0x22, 0x58, 32], size: 32 },
  { start: [0xa4, 0x01, 0x02, 0x20, 0x02, 0x21, 0x58, 48], between: [0x22, 0x58, 48], size: 48 },
  { start: [0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 32], between: null, size: 32 },
];

/** coseKeyLength returns the length of the COSE_Key that comes next. */
function coseKeyLength(r: Reader): number {
  for (const k of coseKeys) {
    const first = k.start.length + k.size;
    const all = first + (k.between ? k.between.length + k.size : 0);
    const b = r.ahead(all);
    if (!b || !k.start.every((c, i) => b[i] === c)) continue;
    if (k.between && !k.between.every((c, i) => b[first + i] === c)) continue;
    return all;
  }
  return malformed("confirmation key");
}

function text(r: Reader, limit: number): string {
  const s = r.text(limit);
  if (!isText(s, limit)) malformed("text empty, or with characters that it may not have"); // rules 31 to 33
  return s;
}

function parseFields(r: Reader): Pick<Permit, "type" | "number" | "holderName" | "holderID" | "fields"> {
  const pairs = r.map(firstField + maxFields);
  if (pairs < firstField) malformed("fields missing");
  r.literal(0);
  const type = r.uint(maxInteger);
  r.literal(1);
  const number = text(r, 128);
  r.literal(2);
  const holderName = text(r, 512);
  r.literal(3);
  const holderID = text(r, 64);
  const fields = new Map<number, Value>();
  let last = firstField - 1;
  for (let i = firstField; i < pairs; i++) {
    const no = r.uint(65535);
    if (no <= last) malformed("fields not in order");
    last = no;
    fields.set(no, value(r));
  }
  return { type, number, holderName, holderID, fields };
}

function value(r: Reader): Value {
  switch (r.major()) {
    case majorText:
      return text(r, 2048);
    case majorNint:
      return r.int(maxInteger);
  }
  return r.uint(maxInteger);
}

/** verifyPermit checks the signature under the key and the algorithm that the bundle gives (rules 37 to 40). */
export async function verifyPermit(p: Permit, key: PublicKey): Promise<boolean> {
  return key.alg === p.alg && (await key.verify(p.signed, p.signature));
}

/** signedHash names what was signed (rule 42). */
export async function signedHash(p: Permit): Promise<Bytes> {
  return (await sha256(p.signed)).slice(0, 16);
}
