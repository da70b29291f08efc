// Package webhook tells other systems what happened: by signed calls to addresses that
// they named (Standard Webhooks), and by a feed that they read at their own pace.
//
// Both are made of the sealed audit log, so that what happens pays nothing for being
// told, and nothing is told that is not in the log. A follower reads the log in its
// order and moves its cursor in the transaction that writes the messages: none is
// skipped or written twice. internal/outbox delivers them at least once; a receiver
// knows a repetition by its webhook-id. The feed's cursor is a place in the same log.
//
// The package owns subscriptions, their secrets and signatures. What an event is called
// outside and which of its particulars are told is an Area's; none of it is personal.
// An agency sees what is about itself, the city sees all. docs/spec/webhooks.md
// describes both for those who receive.
package webhook
