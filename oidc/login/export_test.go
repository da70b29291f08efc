package login

import (
	"context"
	"fmt"
)

// Pages and limits that tests need to see.
const (
	AskBurst     = askBurst
	PairBurst    = pairBurst
	AccountBurst = accountBurst
	MaxPasskeys  = maxPasskeys
	AccountTries = accountTries
	DeviceTries  = deviceTries
	TriesWindow  = triesWindow

	ReproofsPerClerk = reproofsPerClerk
	CodeAddressTries = codeAddressTries
)

// TOTPCode returns the code of a time step.
func TOTPCode(secret []byte, step int64) string { return totpCode(secret, step) }

// Sweep deletes what has expired.
func (s *Service) Sweep(ctx context.Context) error { return s.sweep(ctx) }

// OldHash returns a hash of the password with parameters that are no longer ours.
func OldHash(password string) string {
	p := phc{memory: 64, time: 1, lanes: 1, salt: []byte("0123456789abcdef")}
	p.hash = p.key(password, 32)
	return p.String()
}

// NewHash is how hashes begin that are made now.
func NewHash() string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$", current.memory, current.time, current.lanes)
}

// Prove checks username, password and code, with no limit on tries.
func (s *Service) Prove(ctx context.Context, username, password, code string) error {
	_, err := s.prove(ctx, username, password, code)
	return err
}

// Queries that must stay cheap while ten million rows wait to be swept.
const (
	FindSessionQuery = findSessionQuery
	SweepStep        = sweepStep
)

// SweepQueries returns the queries of the sweeper by what they delete.
func SweepQueries() map[string]string {
	m := map[string]string{}
	for _, q := range sweeps {
		m[q.what] = q.query
	}
	return m
}

// ReproofCodeOf returns the code of a desk that begins with nine characters.
func ReproofCodeOf(nine string) string { return nine + string(reproofCheck(nine)) }
