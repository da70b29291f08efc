package desk

import (
	"context"

	"github.com/signet-city/signet/licenses"
)

// Approve is the compare-and-swap alone, without what the page checks before.
func (s *Service) Approve(ctx context.Context, person, id, agency string) (bool, error) {
	return s.decide(ctx, person, &application{ID: id, Agency: agency, Request: licenses.Request{Type: "food-business"}}, approved, note{})
}

// Finish ends an application as one of two processes that complete it at once.
func (s *Service) Finish(ctx context.Context, id, license string) (string, error) {
	a := &application{ID: id, Agency: "donghu-amr"}
	to := issued
	if license == "" {
		to = failed
	}
	err := s.finish(ctx, a, to, license, note{})
	return string(a.State), err
}

// QueueQuery and SweepQuery are the statements behind the lists and the sweeper.
const (
	QueueQuery = "SELECT id FROM license_applications WHERE " + queueQuery
	SweepQuery = "SELECT id FROM license_applications WHERE " + sweepQuery
)
