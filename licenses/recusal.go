package licenses

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// TextParty says that a person has a part in what they would decide.
var TextParty = web.Text{ZH: "您是持证人，或是持证企业的法定代表人或受托人，应当回避，请由其他工作人员办理。",
	EN: "You hold this licence, or act for the firm that does. Somebody else has to deal with it."}

// ErrParty is returned, with kind Denied, where a person would act on a licence that
// they hold themselves, or that is held by a firm for which they act.
var ErrParty = web.Refuse(fault.Denied, TextParty)

// Party reports whether the person holds a licence, or acts now for the firm that
// does. It fails with ErrNotFound if there is no such licence.
func (s *Service) Party(ctx context.Context, person, license string) (is bool, err error) {
	now := s.now()
	err = s.db.Read(ctx, func(tx db.Tx) error {
		is, err = s.party(ctx, tx, person, license, now)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("check holder: %w", err)
	}
	return is, nil
}

func (s *Service) party(ctx context.Context, tx db.Tx, person, license string, now time.Time) (bool, error) {
	var kind, holder string
	err := tx.QueryRowContext(ctx, "SELECT holder_kind, holder FROM licenses WHERE id = $1", license).Scan(&kind, &holder)
	if errors.Is(err, sql.ErrNoRows) {
		return false, ErrNotFound
	}
	if err != nil {
		return false, err
	}
	if kind == HolderFirm {
		return s.registry.ActedFor(ctx, tx, person, holder, now, now)
	}
	return holder == person, nil
}

// recuse fails with ErrParty for a person who has a part in the licence, in the
// caller's transaction. A program is an agency's system and nobody's delegate.
func (s *Service) recuse(ctx context.Context, tx db.Tx, caller web.Caller, license string, now time.Time) error {
	if caller.Person == "" {
		return nil
	}
	is, err := s.party(ctx, tx, caller.Person, license, now)
	if err == nil && is {
		err = ErrParty
	}
	return err
}
