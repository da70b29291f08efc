import { equal, malformed, tooLarge, type Bytes } from "./bytes.ts";

// The COSE algorithms (RFC 9053 section 2) and their keys. A SubjectPublicKeyInfo of
// each has one form in DER: a fixed beginning, and then the point.
interface Algorithm {
  id: number;
  size: number; // of a signature, in bytes
  spki: Uint8Array; // what stands before the point
  point: number; // bytes
  curve?: Curve;
  key: EcKeyImportParams | { name: "Ed25519" };
  verify: EcdsaParams | { name: "Ed25519" };
}

interface Curve {
  p: bigint;
  b: bigint;
}

function fromHex(s: string): Uint8Array {
  return Uint8Array.from(s.match(/../g) ?? [], (h) => parseInt(h, 16));
}

const algorithms: Algorithm[] = [
  {
    id: -7, // ES256
    size: 64,
    spki: fromHex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
    point: 65,
    curve: {
      p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
      b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    },
    key: { name: "ECDSA", namedCurve: "P-256" },
    verify: { name: "ECDSA", hash: "SHA-256" },
  },
  {
    id: -35, // ES384
    size: 96,
    spki: fromHex("3076301006072a8648ce3d020106052b81040022036200"),
    point: 97,
    curve: {
      p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
      b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    },
    key: { name: "ECDSA", namedCurve: "P-384" },
    verify: { name: "ECDSA", hash: "SHA-384" },
  },
  {
    id: -8, // EdDSA with Ed25519
    size: 64,
    spki: fromHex("302a300506032b6570032100"),
    point: 32,
    key: { name: "Ed25519" },
    verify: { name: "Ed25519" },
  },
];

/** signatureSize returns the bytes of an algorithm's signatures, undefined for one that is not known. */
export function signatureSize(alg: number): number | undefined {
  return algorithms.find((a) => a.id === alg)?.size;
}

function number(b: Uint8Array): bigint {
  let n = 0n;
  for (const c of b) n = (n << 8n) | BigInt(c);
  return n;
}

/** onCurve holds for an uncompressed point of y² = x³ - 3x + b. */
function onCurve(c: Curve, point: Uint8Array): boolean {
  if (point[0] !== 4) return false;
  const half = (point.length - 1) / 2;
  const x = number(point.subarray(1, 1 + half));
  const y = number(point.subarray(1 + half));
  return x < c.p && y < c.p && (y * y - (x * x - 3n) * x - c.b) % c.p === 0n;
}

/** PublicKey is a key with the algorithm that it signs with. */
export class PublicKey {
  readonly alg: number;
  readonly spki: Bytes;
  private readonly a: Algorithm;
  private readonly point: Bytes;
  private imported: Promise<CryptoKey> | undefined;

  /** The constructor refuses another encoding than DER, other kinds of keys, and points that are on no curve. */
  constructor(spki: Uint8Array) {
    if (spki.length > 256) tooLarge("public key");
    const a = algorithms.find((a) => spki.length === a.spki.length + a.point && equal(spki.subarray(0, a.spki.length), a.spki));
    if (!a) malformed("public key");
    this.a = a;
    this.alg = a.id;
    this.spki = spki.slice();
    this.point = this.spki.subarray(a.spki.length);
    if (a.curve && !onCurve(a.curve, this.point)) malformed("public key on no curve");
  }

  /**
   * verify says whether the signature is the key's. It fails only where the browser
   * does not have the algorithm.
   */
  async verify(message: Uint8Array, signature: Uint8Array): Promise<boolean> {
    if (signature.length !== this.a.size) return false;
    this.imported ??= crypto.subtle.importKey("raw", this.point, this.a.key, false, ["verify"]);
    return crypto.subtle.verify(this.a.verify, await this.imported, signature as Bytes, message as Bytes);
  }
}

/** publicKey reads a SubjectPublicKeyInfo of a key that alg signs with. */
export function publicKey(alg: number, spki: Uint8Array): PublicKey {
  const k = new PublicKey(spki);
  if (k.alg !== alg) malformed("public key of another algorithm");
  return k;
}
