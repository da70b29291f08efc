package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

const (
	sweepEvery = 5 * time.Second
	sweepGrace = 15 * time.Second // an approval under way is left alone that long
	sweepPage  = 64
)

// complete turns an approved application into a licence, or records why that is
// impossible, and sets a to what became of it. Doing it twice, or in two places at
// once, is harmless. After an error the application stays approved.
func (s *Service) complete(ctx context.Context, a *application) error {
	license, refused, err := s.issue(ctx, a)
	if err != nil {
		s.metrics.completed.WithLabelValues("left").Inc()
		return fmt.Errorf("complete application %s: %w", a.ID, err)
	}
	if refused != nil {
		return s.finish(ctx, a, failed, "", noteOf(refused))
	}
	return s.finish(ctx, a, issued, license, note{})
}

// issue returns the id of the application's licence. The register is asked first
// for one that exists: it would refuse a request that was right when it was
// issued and no longer is.
func (s *Service) issue(ctx context.Context, a *application) (id string, refused, err error) {
	key := "desk-" + a.ID
	l, err := s.licenses.ByKey(ctx, ClientID, key)
	if err == nil {
		return l.ID, nil, nil
	}
	if !errors.Is(err, licenses.ErrNotFound) {
		return "", nil, err
	}
	// Whoever has the authority by now: it may have changed hands since the approval.
	office, _, err := s.registry.Office(ctx, a.Agency, a.Request.Type, s.now())
	if err != nil {
		return "", nil, err
	}
	results, err := s.licenses.Issue(ctx, web.Caller{ClientID: ClientID, Person: a.Decider, Agency: office},
		[]licenses.Keyed{{Key: key, Asked: a.Agency, Request: a.Request}})
	if err == nil {
		if err = results[0].Err; err == nil {
			return results[0].License.ID, nil, nil
		}
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Denied, fault.NotFound, fault.Conflict, fault.TooLarge:
		return "", err, nil
	default:
		return "", nil, err
	}
}

// noteOf keeps what the register says in both languages.
func noteOf(refused error) note {
	var n note
	for _, p := range licenses.Problems(refused) {
		n.Problems = append(n.Problems, trouble{p.Path, p.Text.ZH, p.Text.EN})
	}
	if n.Problems == nil {
		t := web.Text{ZH: "签发条件已不具备。", EN: "What the licence needs is no longer there."}
		if fault.KindOf(refused) == fault.Denied {
			t = web.Text{ZH: "签发时，本部门已没有办理此类证照的职权。", EN: "When it was to be issued, the agency no longer had authority for this type of licence."}
		}
		n.Problems = []trouble{{"", t.ZH, t.EN}}
	}
	return n
}

// finish ends an approved application. A licence outranks a failure: where two
// completed at once and only one saw the request as still right, it was issued.
func (s *Service) finish(ctx context.Context, a *application, to state, license string, why note) error {
	kind, data := eventIssue, where(a, a.Office)
	from := []any{string(approved), string(failed)}
	var sealed []byte
	if to == failed {
		kind, from[1] = eventFail, string(approved)
		var err error
		if sealed, err = s.sealNote(ctx, a.ID, why); err != nil {
			return err
		}
	}
	if to == issued {
		data["license"] = license
	}
	now := db.Micros(s.now())
	var ok bool
	err := s.db.Update(ctx, func(tx db.Tx) (err error) {
		ok, err = moved(ctx, tx, `UPDATE license_applications SET state = $1, license = $2, note = $3, changed_at = $4
			WHERE id = $5 AND state IN ($6, $7)`, string(to), license, sealed, now, a.ID, from[0], from[1])
		if err != nil || !ok {
			return err
		}
		return record(ctx, tx, kind, "system", a.ID, data)
	})
	if err != nil {
		return fmt.Errorf("finish application: %w", err)
	}
	if ok {
		s.metrics.completed.WithLabelValues(string(to)).Inc()
		a.State, a.License, a.Note = to, license, why
		return nil
	}
	list, err := s.find(ctx, "id = $1", a.ID) // somebody else was faster
	if err == nil && len(list) == 1 {
		*a = *list[0]
	}
	return err
}

// Run completes what a crash, or a key that was away, left approved, and removes old
// drafts, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "desk sweep", slog.Any("error", err))
		}
		if _, err := s.SweepDrafts(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "desk sweep of drafts", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep completes applications that have been approved for longer than an issue
// takes, and returns how many. It goes on after one that cannot be completed now;
// the error is the first of them.
func (s *Service) Sweep(ctx context.Context) (n int, err error) {
	return s.sweep(ctx, s.now().Add(-sweepGrace))
}

const sweepQuery = "state = 'approved' AND id > $1 AND decided_at < $2 ORDER BY id LIMIT $3"

func (s *Service) sweep(ctx context.Context, before time.Time) (n int, first error) {
	seen := 0
	for after := ""; ctx.Err() == nil; {
		list, err := s.find(ctx, sweepQuery, after, db.Micros(before), sweepPage)
		if err != nil {
			return n, err
		}
		for _, a := range list {
			after = a.ID
			seen++
			if err := s.complete(ctx, a); err == nil {
				n++
			} else if first == nil {
				first = err
			}
		}
		if len(list) < sweepPage {
			break
		}
	}
	s.metrics.approved.Set(float64(seen - n))
	if n > 0 {
		s.log.InfoContext(ctx, "applications completed", slog.Int("count", n))
	}
	return n, first
}
