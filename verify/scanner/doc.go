// Package scanner is the page at /verify/ that tells anybody whether a permit is
// genuine, in force and not revoked, with no network.
//
// The page is TypeScript (src/), made into dist/ by npm and embedded here; this
// package only serves it. It computes verdicts by docs/spec/verdicts.md, as package
// verify does; certs-test/vectors holds the two against each other. In the
// browser:
//
//   - src/core is pure: bytes and a time in, a verdict out. Its signatures are
//     WebCrypto's; CBOR, Base45, inflate, Golomb codes and the rules are its own.
//   - src/update.ts brings the trust material up to date, the snapshot by a delta
//     where one leads to what the head names; src/store.ts keeps it in IndexedDB, and
//     src/sw.ts keeps the page; so that both are there without a network.
//   - src/decode.ts finds codes in pictures, in a worker that is ended when a
//     picture takes it too long.
//
// # What the page can promise
//
// The page and the root's certificate come from the same server, which belongs to
// the issuer. Whoever controls that server at somebody's first visit can give him
// another page or another root, and no page can help that. What this one does is
// trust on first use: it keeps the first root that it saw, shows the root's
// fingerprint so that it can be compared with a printed one, and afterwards follows
// no other root but one that the root it knows has named in a root statement
// (docs/spec/trust.md, rule 13). A lower version or sequence number, or an equal one
// with other bytes, is refused (rule 23). Whoever needs more than that uses `signet
// verify --root`, with a root that came by another way.
//
// Everything that a permit, a picture, a file and an answer of the network say is
// taken for hostile: bounds come before work, nothing is put into the page but as
// text, and the policy below lets nothing in from elsewhere.
package scanner
