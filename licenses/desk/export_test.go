package desk

import "context"

// Approve is the compare-and-swap alone, without what the page checks before.
func (s *Service) Approve(ctx context.Context, person, id, agency string) (bool, error) {
	list, err := s.find(ctx, "id = $1", id)
	if err != nil {
		return false, err
	}
	list[0].Agency = agency
	return s.decide(ctx, person, list[0], approved, note{})
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
