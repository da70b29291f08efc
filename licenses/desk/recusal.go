package desk

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// Whoever will hold the licence, or acts for the firm that will, decides nothing
// about it: neither with their own application nor with one that somebody else of
// their firm, or a colleague for them, has sent in.
var (
	textParty = web.Text{ZH: "此申请是您本人的，或属于您担任法定代表人、受托人（含提交之后曾任）的企业，应当回避，请由其他工作人员办理。",
		EN: "This application is your own, or of a firm that you act for or acted for since it was sent in. Somebody else has to deal with it."}
	textPartyLine = web.Text{ZH: "未办理：与您本人或您代表的企业有关，应当回避", EN: "Not done: it is yours, or of a firm that you act for"}
	errParty      = web.Refuse(fault.Denied, textParty)
)

// holderID returns the person for whom an application is, "" for a firm's and where
// the register knows nobody by that number: then it is no clerk's.
func (s *Service) holderID(ctx context.Context, tx db.Tx, a *application) (string, error) {
	number := a.Request.Holder.Resident
	if number == "" {
		return "", nil
	}
	found, err := s.registry.FindPeople(ctx, tx, registry.Resident, []string{number})
	if fault.KindOf(err) == fault.Invalid { // a number that the register no longer takes
		return "", nil
	}
	return found[number].ID, err
}

// party reports whether an application is the person's own, in the caller's
// transaction. holder is what holderID returned. Who acted for a firm when the
// application was sent in, or since, has a part in it as who does now.
func (s *Service) party(ctx context.Context, tx db.Tx, person string, a *application, holder string, now time.Time) (bool, error) {
	if uscc := a.Request.Holder.USCC; uscc != "" {
		return s.registry.ActedFor(ctx, tx, person, uscc, a.Created, now)
	}
	return holder == person, nil
}

// parties returns those of the applications, by id, in which the person has a part.
func (s *Service) parties(ctx context.Context, person string, list ...*application) (map[string]bool, error) {
	found, now := map[string]bool{}, s.now()
	err := s.db.Read(ctx, func(tx db.Tx) error {
		for _, a := range list { // a page of them: each is a look-up by key
			holder, err := s.holderID(ctx, tx, a)
			if err != nil {
				return err
			}
			is, err := s.party(ctx, tx, person, a, holder, now)
			if err != nil {
				return err
			}
			found[a.ID] = is
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("check holders: %w", err)
	}
	return found, nil
}

// recusal returns what fails with errParty, in the transaction of a change, if whoever
// writes to an application in the agency's name has a part in it. Those who typed it in
// themselves complete it.
func (s *Service) recusal(ctx context.Context, a *application, author, person string) (check func(tx db.Tx) error, err error) {
	none := func(db.Tx) error { return nil }
	if author == byHolder {
		return none, nil
	}
	if typed, err := s.typed(ctx, person, a); typed || err != nil {
		return none, err
	}
	var holder string
	err = s.db.Read(ctx, func(tx db.Tx) error {
		holder, err = s.holderID(ctx, tx, a)
		return err
	})
	now := s.now()
	return func(tx db.Tx) error {
		is, err := s.party(ctx, tx, person, a, holder, now)
		if err == nil && is {
			err = errParty
		}
		return err
	}, err
}

// typed reports whether a clerk submitted an application at the desk.
func (s *Service) typed(ctx context.Context, person string, a *application) (bool, error) {
	if a.Submitter != person {
		return false, nil
	}
	asked, err := s.asked(ctx, []*application{a})
	_, fromHolder := asked[a.ID]
	return err == nil && !fromHolder, err
}
