// Package audit records what happened. An Event is appended in the transaction
// of the change that it describes, sealed a moment later in a Merkle log, and
// published under /log/ as hashes that tell nothing about it.
//
// The entry of an event in the log is HMAC-SHA-256(salt, content), where content
// is the deterministic CBOR (RFC 8949 §4.2) of the event and the salt is 16 random
// bytes of its own; the entry of a certificate is the SHA-256 of its DER. The tree
// is that of RFC 6962; checkpoints and tiles are those of C2SP tlog-checkpoint and
// tlog-tiles. docs/spec/log.md has the details.
//
// A row of audit_events is pending while it has no sequence number. Seal takes
// the pending rows in the order (at, id), computes the new tree outside any
// transaction and commits both with a compare-and-swap on the only row of
// audit_head, so that any number of sequencers may run. The head that was
// committed is then signed and stored as a checkpoint; what a crash leaves
// unsigned, the next Seal signs. Nothing is served that no checkpoint covers.
//
// Witnesses, others who sign only what continues what they signed before, are sent
// each newest checkpoint, and their signatures are served below ours. Erase empties
// an event, whose entry stays, by an event that says so. Prove and Export hand out
// what events say, with what proves it.
//
// Verify trusts nothing that is stored but the signatures under the checkpoints:
// it recomputes every entry and every hash, and names what was edited, removed,
// reordered, truncated or forked.
//
// The package refuses events over a size bound and values that have no
// deterministic form.
package audit
