package desk

import (
	"context"

	"github.com/signet-city/signet/internal/registry"
)

// Approve is the compare-and-swap alone, without what the page checks before: of the
// step at which the application stands.
func (s *Service) Approve(ctx context.Context, person, id, agencyID string) (bool, error) {
	return s.Decide(ctx, person, id, agencyID, "approve", "")
}

// Decide is the same for any verdict, of a step that the page is said to have shown,
// by a reviewer of the agency.
func (s *Service) Decide(ctx context.Context, person, id, agencyID, what, step string) (bool, error) {
	list, err := s.find(ctx, "id = $1", id)
	if err != nil {
		return false, err
	}
	a := list[0]
	d := decision{verdict: verdict(what), step: a.State, round: a.Round}
	if step != "" {
		d.step = state(step)
	}
	if a.Agency = agencyID; d.verdict != approve {
		d.why.Reason = "理由"
	}
	return s.decide(ctx, &clerk{person: person, agency: agency{ID: agencyID}, reviews: []string{agencyID}}, a, d)
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

// SweepQuery is the statement behind the sweeper.
const SweepQuery = "SELECT id FROM license_applications WHERE " + sweepQuery

// QueueQuery is the statement behind the lists.
func QueueQuery(in string, estates ...registry.Estate) (string, []any) {
	return queueQuery(estates, state(in), last, listRows+1)
}

// The statements behind the sweeper of drafts, and its measures.
const (
	OldDraftsQuery  = oldDraftsQuery
	SentDraftsQuery = sentDraftsQuery
	DraftPage       = draftPage
	DraftPages      = draftPages
)

// SeeOldDrafts looks for drafts as the sweeper does, and returns what removes them as
// they were seen then.
func (s *Service) SeeOldDrafts(ctx context.Context, before int64) (remove func() (int, error), err error) {
	list, err := s.seeDrafts(ctx, oldDraftsQuery, before, draftPage)
	return func() (int, error) { return s.removeDrafts(ctx, list) }, err
}
