package licenses

import (
	"context"
	"time"

	"github.com/signet-city/signet/internal/web"
)

// Begin records requests with their intent and leaves them in signing, as a crash
// before the signature would.
func (s *Service) Begin(ctx context.Context, caller web.Caller, requests []Keyed) error {
	agency, err := s.registry.FindAgency(ctx, caller.Agency)
	if err != nil {
		return err
	}
	drafts, err := s.drafts(ctx, agency, requests)
	if err != nil {
		return err
	}
	if err := s.number(ctx, agency, drafts); err != nil {
		return err
	}
	for _, d := range drafts {
		if err := s.seal(ctx, caller, d); err != nil {
			return err
		}
	}
	_, err = s.record(ctx, caller, drafts)
	return err
}

// SweepBefore is Sweep without the grace.
func (s *Service) SweepBefore(ctx context.Context, at time.Time) (int, error) {
	return s.sweep(ctx, at)
}

// Check is the check character of Identifier.
func Check(s string) byte { return mod3736(s) }

// Routes lists the addresses that Mount serves.
func (s *Service) Routes() []string {
	all := []string{documentPattern}
	for _, r := range s.routes() {
		all = append(all, r.pattern)
	}
	return all
}

// BeginReplacement is Replace up to the signature, where a crash would end it.
func (s *Service) BeginReplacement(ctx context.Context, caller web.Caller, id string, r Replacement) error {
	agency, err := s.registry.FindAgency(ctx, caller.Agency)
	if err != nil {
		return err
	}
	old, err := s.Any(ctx, id)
	if err != nil {
		return err
	}
	d := &draft{key: r.Key}
	if d.hash, err = r.hash(id); err != nil {
		return err
	}
	if err := s.succeed(ctx, d, old, agency, r, s.now().UTC().Truncate(time.Microsecond)); err != nil {
		return err
	}
	_, err = s.intend(ctx, caller, d, old, r)
	return err
}

// CheckRows is how many foundings a check reads at once.
const CheckRows = checkRows
