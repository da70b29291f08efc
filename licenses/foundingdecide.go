package licenses

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/web"
)

// FoundingDecision is what a clerk says to an application for a new firm.
type FoundingDecision struct {
	Approve bool
	Reason  string // of a rejection, for the applicant: 1 to 500 characters
}

// CountFoundings counts what FoundingsAt returns, up to most of them.
func (s *Service) CountFoundings(ctx context.Context, agency string, state FoundingState, most int) (n int, err error) {
	agencies, err := s.registered(ctx, agency)
	if err != nil {
		return 0, fmt.Errorf("count foundings: %w", err)
	}
	err = s.db.Read(ctx, func(tx db.Tx) error {
		n = 0
		for some := range slices.Chunk(agencies, arms) {
			query, args := foundingsQuery(some, state, "", most)
			var more int
			if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM ("+query+") AS waiting", args...).Scan(&more); err != nil {
				return err
			}
			n = min(n+more, most)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count foundings: %w", err)
	}
	return n, nil
}

// FoundingAt returns a founding that an agency was asked for, or one whose place it has
// taken, with its licence. It fails with ErrNoFounding for another agency's.
func (s *Service) FoundingAt(ctx context.Context, agency, id string) (*Founding, error) {
	f, err := s.oneFounding(ctx, `id = $1`, id)
	if err != nil {
		return nil, err
	}
	if heir, err := s.registry.Inherits(ctx, agency, f.Agency, FirmType); err != nil || !heir {
		return nil, cmp.Or(err, error(ErrNoFounding))
	}
	return f, s.withLicense(ctx, f)
}

// DecideFounding founds the firm of an application that waits, or rejects it. Approving
// checks everything again as it is now: what is wrong (see Problems) leaves it waiting.
// The same decision of the same clerk, sent again, is answered with what became of it.
// It fails with ErrNoFounding for another agency's, Denied for the applicant's own, for an
// agency without authority and for one whose place another has taken, Conflict for one that was dealt with otherwise, and
// Unavailable while the agency has no key to sign with.
func (s *Service) DecideFounding(ctx context.Context, caller web.Caller, id string, d FoundingDecision) (*Founding, error) {
	f, result, err := s.decideFounding(ctx, caller, id, d)
	if s.countFounding(err, result); err != nil {
		return nil, fmt.Errorf("decide on founding: %w", err)
	}
	return f, nil
}

func (s *Service) decideFounding(ctx context.Context, caller web.Caller, id string, d FoundingDecision) (f *Founding, result string, err error) {
	if f, err = s.FoundingAt(ctx, caller.Agency, id); err != nil {
		return nil, "", err
	}
	if caller.Person == f.Person {
		return nil, "", errOwnFounding
	}
	if f.State != FoundingSubmitted {
		return s.lateFounding(ctx, caller, id, d)
	}
	a, err := s.registers(ctx, caller.Agency, f)
	if err != nil {
		return nil, "", err
	}
	if a.ID != f.Agency {
		f.Office = a.ID
	}
	won := false
	switch {
	case !d.Approve:
		result = "rejected"
		won, err = s.reject(ctx, f, caller.Actor(), d.Reason)
	default:
		result = "founded"
		m := making{agency: a, actor: caller.Actor(), take: func(ctx context.Context, tx db.Tx) (bool, error) { return f.move(ctx, tx, nil) }}
		if m.rep, err = s.registry.PersonByID(ctx, f.Person); err == nil {
			f.State = FoundingDone
			won, err = s.carryOut(ctx, f, m)
		}
	}
	if won {
		return f, result, nil
	}
	if Problems(err) != nil { // a decision that was faster may be what has taken the name
		if now, again := s.oneFounding(ctx, `id = $1`, id); again != nil || now.State == FoundingSubmitted {
			return nil, "", cmp.Or(again, err)
		}
		err = nil
	}
	if err != nil {
		return nil, "", err
	}
	return s.lateFounding(ctx, caller, id, d)
}

// lateFounding answers a decision on what is decided.
func (s *Service) lateFounding(ctx context.Context, caller web.Caller, id string, d FoundingDecision) (*Founding, string, error) {
	f, err := s.FoundingAt(ctx, caller.Agency, id)
	if err != nil {
		return nil, "", err
	}
	want := FoundingRejected
	if d.Approve {
		want = FoundingDone
	}
	if f.State != want || f.Decider != caller.Actor() {
		s.metrics.foundings.WithLabelValues("late").Inc()
		return nil, "", errFoundingDone
	}
	return f, "replayed", nil
}

const maxFoundingReason = 500 // characters

func (s *Service) reject(ctx context.Context, f *Founding, actor, reason string) (bool, error) {
	if n := utf8.RuneCountInString(reason); n == 0 || n > maxFoundingReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return false, refuse("the reason is not as it should be", Problem{"/reason", text("须为 1 至 500 个字，不得含有不可见字符", "has 1 to 500 visible characters")})
	}
	note, err := s.ring.Seal(ctx, []byte(reason), foundingNoteAAD(f.ID))
	if err != nil {
		return false, fmt.Errorf("seal reason: %w", err)
	}
	f.State, f.Decider, f.Decided, f.Reason = FoundingRejected, actor, s.now(), reason
	return s.endFounding(ctx, f, EventFoundingReject, note)
}
