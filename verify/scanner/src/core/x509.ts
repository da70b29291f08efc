import { malformed, tooLarge } from "./bytes.ts";
import { PublicKey } from "./key.ts";

// The key in the root's certificate. Nothing else in it counts: what is pinned is the
// key (docs/spec/trust.md).

const sequence = 0x30;
const maxCertificate = 16 << 10;

/** element returns where the contents of a DER element begin and end. */
function element(b: Uint8Array, at: number, tag?: number): [begin: number, end: number] {
  if (at + 2 > b.length || (tag !== undefined && b[at] !== tag)) malformed("DER");
  let begin = at + 2;
  let length = b[at + 1]!;
  if (length >= 0x80) {
    const size = length & 0x7f;
    if (size < 1 || size > 3 || begin + size > b.length) malformed("DER length");
    length = 0;
    for (let i = 0; i < size; i++) length = (length << 8) | b[begin + i]!;
    begin += size;
  }
  if (begin + length > b.length) malformed("DER ends early");
  return [begin, begin + length];
}

/** certificateKey returns the public key of a certificate in DER. */
export function certificateKey(der: Uint8Array): PublicKey {
  if (der.length > maxCertificate) tooLarge("certificate");
  const [outer, end] = element(der, 0, sequence);
  if (end !== der.length) malformed("bytes after the certificate");
  let [at] = element(der, outer, sequence); // tbsCertificate
  if (der[at] === 0xa0) [, at] = element(der, at); // version
  for (let i = 0; i < 5; i++) [, at] = element(der, at); // serial, algorithm, issuer, validity, subject
  const [, after] = element(der, at, sequence);
  return new PublicKey(der.subarray(at, after));
}
