package desk

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/signet-city/signet/internal/db"
)

const (
	draftAge   = 30 * 24 * time.Hour // without a change
	draftPage  = 256                 // that one transaction removes
	draftPages = 8                   // of old drafts at a sweep: applications wait for it
)

// draftWalk is how far the sweeper has looked for drafts of submitted forms.
type draftWalk struct {
	mu         sync.Mutex
	person, id string // the last that it saw
}

// seenDraft is a row of license_drafts as it was seen.
type seenDraft struct {
	person, id string
	changed    int64
	sent       bool // its form has been submitted
}

const seenColumns = "person, id, changed_at, CASE WHEN " + unsent + " THEN 0 ELSE 1 END"

// SweepDrafts deletes drafts that nobody has changed for thirty days, and those of
// forms that have been submitted, and returns how many. A call takes a bounded number
// of them and of looks; the next one goes on.
func (s *Service) SweepDrafts(ctx context.Context) (n int, err error) {
	before := db.Micros(s.now().Add(-draftAge))
	for range draftPages {
		old, removed, err := s.sweepOld(ctx, before)
		n += removed
		if err != nil {
			return n, fmt.Errorf("sweep drafts: %w", err)
		}
		if old < draftPage {
			break
		}
	}
	removed, err := s.sweepSent(ctx)
	n += removed
	if n > 0 {
		s.metrics.drafts.WithLabelValues("swept").Add(float64(n))
		s.log.InfoContext(ctx, "drafts removed", slog.Int("count", n))
	}
	if err != nil {
		err = fmt.Errorf("sweep drafts: %w", err)
	}
	return n, err
}

const oldDraftsQuery = "SELECT " + seenColumns + " FROM license_drafts WHERE changed_at < $1 ORDER BY changed_at LIMIT $2"

// sweepOld removes a page of old drafts.
func (s *Service) sweepOld(ctx context.Context, before int64) (seen, removed int, err error) {
	list, err := s.seeDrafts(ctx, oldDraftsQuery, before, draftPage)
	if err != nil {
		return 0, 0, err
	}
	removed, err = s.removeDrafts(ctx, list)
	return len(list), removed, err
}

const sentDraftsQuery = "SELECT " + seenColumns + " FROM license_drafts WHERE (person, id) > ($1, $2) ORDER BY person, id LIMIT $3"

// sweepSent looks at the next page of all drafts and removes those of submitted forms.
// There are hardly any and none is shown, so nothing is lost if the walk takes hours.
func (s *Service) sweepSent(ctx context.Context) (removed int, err error) {
	s.walk.mu.Lock()
	defer s.walk.mu.Unlock()
	list, err := s.seeDrafts(ctx, sentDraftsQuery, s.walk.person, s.walk.id, draftPage)
	if err != nil {
		return 0, err
	}
	s.walk.person, s.walk.id = "", ""
	if len(list) == draftPage {
		s.walk.person, s.walk.id = list[draftPage-1].person, list[draftPage-1].id
	}
	return s.removeDrafts(ctx, slices.DeleteFunc(list, func(d seenDraft) bool { return !d.sent }))
}

func (s *Service) seeDrafts(ctx context.Context, query string, args ...any) (list []seenDraft, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var d seenDraft
			if err := rows.Scan(&d.person, &d.id, &d.changed, &d.sent); err != nil {
				return err
			}
			list = append(list, d)
		}
		return rows.Err()
	})
	return list, err
}

// removeDrafts removes drafts as they were seen: one that is saved in between has
// another time and stays.
func (s *Service) removeDrafts(ctx context.Context, list []seenDraft) (n int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	err = s.db.Update(ctx, func(tx db.Tx) error {
		n = 0
		for _, d := range list {
			ok, err := moved(ctx, tx, "DELETE FROM license_drafts WHERE person = $1 AND id = $2 AND changed_at = $3", d.person, d.id, d.changed)
			if err != nil {
				return err
			}
			if ok {
				n++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
