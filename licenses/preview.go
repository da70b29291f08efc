package licenses

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// CheckReplace says what Replace would make of a licence now, without doing it: the
// next version with its data and dates, unsigned, or why there can be none (see
// Replace; Problems names what is wrong with the data). The key is not looked at.
func (s *Service) CheckReplace(ctx context.Context, caller web.Caller, id string, r Replacement) (*License, error) {
	l, err := s.checkReplace(ctx, caller, id, r)
	if err != nil {
		return nil, fmt.Errorf("check replacement: %w", err)
	}
	return l, nil
}

func (s *Service) checkReplace(ctx context.Context, caller web.Caller, id string, r Replacement) (*License, error) {
	if err := checkAct(Revoke, r.Reason, ""); err != nil {
		return nil, err
	}
	agency, err := s.registry.FindAgency(ctx, caller.Agency)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, "this client belongs to no agency", err)
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	if _, err := s.owner(ctx, caller, id, now); err != nil {
		return nil, err
	}
	err = s.db.Read(ctx, func(tx db.Tx) error { return s.recuse(ctx, tx, caller, id, now) })
	if err != nil {
		return nil, err
	}
	old, err := s.Any(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &draft{key: db.NewID()}
	if err := s.succeed(ctx, d, old, agency, r, now); err != nil {
		return nil, err
	}
	if err := s.fits(d, &draft{record: d.record}, agency); err != nil {
		return nil, err
	}
	d.lic.Number = old.Number // fits has measured with one of its own
	s.fill(d.lic, d.record)
	return d.lic, nil
}

// Offers reports whether a licence, as it stands, may be replaced that way now, by
// its type's rule. Nothing is asked of the data, nor of who asks.
func (s *Service) Offers(l *License, kind Kind) bool {
	t, now := s.newest(l.Type), s.now()
	if t == nil || l.Status != Issued || !now.Before(l.NotAfter) || l.Version >= maxVersion {
		return false
	}
	switch kind {
	case Renewed:
		return !now.Before(t.renewFrom(l.NotAfter))
	case Changed:
		return true
	case Reprinted:
		return t.Reprint
	}
	return false
}
