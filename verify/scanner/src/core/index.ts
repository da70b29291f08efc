// The core of the page: bytes and a time in, a verdict out. It has neither clock,
// network nor storage. The page uses it, and certs-test/vectors holds it against Go.

export { adler32, equal, fromUTF8, hex, Refusal, sha256, utf8, type Bytes, type Fault } from "./bytes.ts";
export { applyDelta, maxDelta, parseDelta, verifyDelta, type Delta } from "./delta.ts";
export { PublicKey, publicKey } from "./key.ts";
export { parsePermit, signedHash, verifyPermit, type Permit } from "./permit.ts";
export { readFile, trimmed, type Picture, type Unread } from "./read.ts";
export { accept, bundleState, headState, nothing, rootState, snapshotState, type Mark, type State } from "./state.ts";
export { lookup, parseSnapshot, verifySnapshot, type Snapshot } from "./status.ts";
export { maxBundle, maxGenuine, maxHead, maxRoot, openBundle, openHead, openRoot, parseGenuine, type Genuine, type Head, type RootStatement } from "./trust.ts";
export { check, loadDelta, loadStatus, loadTrust, type Basis, type Result, type Trust, type Verdict } from "./verify.ts";
export { certificateKey } from "./x509.ts";
