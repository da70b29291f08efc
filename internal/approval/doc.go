// Package approval holds the rule that two people stand behind what matters: one
// security officer asks, another approves, and what was approved is done once.
//
// A request names an operation and its parameters. It is resolved when it is made:
// everything that the operation would do is written out as canonical JSON, and
// that is what is shown, signed and done.
//
//	open → approved → done | failed
//	open → rejected | withdrawn | expired
//	open → failed, where the situation changed before the approval
//
// Approving is signing a statement (APR1, docs/spec/apr1.md) that contains the
// resolved request, with a credential that is registered for approvals and serves
// nothing else: a passkey whose owner is verified, or a key on the officer's own
// machine. The statement, its signature, the event and the new state are one
// transaction, so a request is approved at most once. It is resolved again at the
// approval and again before it runs; where that gives anything else than was
// signed, the request has failed. The run is announced in the log before it
// begins; what a crash leaves approved, Sweep completes.
//
// Officers are persons of the registry, so that nobody approves their own request
// by another login, post or delegation. Whoever a request is about neither makes
// nor approves it. Only those may approve who were officers when the request was
// made and still are. There are at least three. Officers and their credentials
// change only by requests, by the one-time codes that such a request gives, or by a
// quorum of keys kept offline, which can do nothing else (see ApplyQuorum).
//
// The package owns no pages and no addresses, and it does not prove who calls:
// every person it is given must have been proved by the caller.
package approval
