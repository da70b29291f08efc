// Package licenses keeps licences: their types, their life and their permits.
//
// A licence is a record of an agency about a holder. Issuing one takes two
// transactions: the first writes the record (state signing), its place in a
// status list and the intent event; then the agency's key signs the permit
// (package permit); the second writes the permit and the outcome event. A sweeper
// completes what a crash left in between, so that every acknowledged licence is
// recorded, signed, indexed once and logged.
//
// It refuses an agency without authority for the type, a holder that the registry
// does not know, data that breaks the type's schema, and a second use of an
// idempotency key with another body.
package licenses
