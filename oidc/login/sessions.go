package login

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Session is a session as its person sees it.
type Session struct {
	ID       string
	ACR      string
	AuthTime time.Time
	Seen     time.Time // the last use, to the minute
	Browser  string    // family and system, "" for unknown
	Network  string    // see networkOf, "" for unknown

	place []byte
}

// Sessions returns the sessions in force of a person, the newest first, at most a
// hundred.
func (s *Service) Sessions(ctx context.Context, person string) (list []Session, err error) {
	now := s.o.Now()
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, acr, auth_time, seen, browser, place FROM login_sessions
			WHERE person = $1 AND expires > $2 AND seen > $3 ORDER BY id DESC LIMIT 100`, person, db.Micros(now), db.Micros(now.Add(-idle)))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var e Session
			var authTime, seen int64
			if err := rows.Scan(&e.ID, &e.ACR, &authTime, &seen, &e.Browser, &e.place); err != nil {
				return err
			}
			e.AuthTime, e.Seen = db.Time(authTime), db.Time(seen)
			list = append(list, e)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	for i := range list {
		list[i].Network = s.openPlace(ctx, list[i].place)
	}
	return list, nil
}

// EndSession ends one session of a person, by its ID. A session that is not theirs is
// none, and repeating it is harmless.
func (s *Service) EndSession(ctx context.Context, person, session string) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		var owner string
		rows, err := tx.QueryContext(ctx, `SELECT person FROM login_sessions WHERE id = $1 AND person = $2`, session, person)
		if err != nil {
			return err
		}
		for rows.Next() {
			err = rows.Scan(&owner)
		}
		if err := firstOf(err, rows.Err(), rows.Close()); err != nil || owner == "" {
			return err
		}
		return s.end(ctx, tx, "id", session, "person:"+person)
	})
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

func firstOf(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// SignOutAll ends every session of the person at a browser, that one too. Repeating it
// is harmless.
func (s *Service) SignOutAll(ctx context.Context, id *web.Identity) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		b := by{actor: "person:" + id.Person, session: id.Session}
		if err := s.endAll(ctx, tx, id.Person, b.actor); err != nil {
			return err
		}
		return s.remember(ctx, tx, id.Person, SignedOutAll, b)
	})
	if err != nil {
		return fmt.Errorf("sign out everywhere: %w", err)
	}
	return nil
}

// endOthers ends every session of a person but the one that changes something.
func (s *Service) endOthers(ctx context.Context, tx db.Tx, person string, b by) error {
	return s.endBut(ctx, tx, person, b.session, b.actor)
}

// endAll ends every session of a person, each with its event.
func (s *Service) endAll(ctx context.Context, tx db.Tx, person, actor string) error {
	return s.endBut(ctx, tx, person, "", actor)
}

func (s *Service) endBut(ctx context.Context, tx db.Tx, person, session, actor string) error {
	rows, err := tx.QueryContext(ctx, `SELECT id FROM login_sessions WHERE person = $1 AND id <> $2 ORDER BY id`, person, session)
	if err != nil {
		return err
	}
	var list []string
	for rows.Next() {
		var id string
		if err = rows.Scan(&id); err != nil {
			break
		}
		list = append(list, id)
	}
	if err := firstOf(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, id := range list {
		if err := s.end(ctx, tx, "id", id, actor); err != nil {
			return err
		}
	}
	return nil
}

// SignOutPerson ends every session of a person at an office's word. Repeating it is
// harmless. It fails with ErrAccount if the person has no account.
func (s *Service) SignOutPerson(ctx context.Context, actor, person string) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET disabled = disabled WHERE person = $1`, person))
		if err == nil && n == 0 {
			err = ErrAccount
		}
		if err != nil {
			return err
		}
		if err := s.endAll(ctx, tx, person, actor); err != nil {
			return err
		}
		if _, err := audit.Append(ctx, tx, audit.Event{Kind: "login.account.sign_out", Actor: actor, Object: "person:" + person}); err != nil {
			return err
		}
		return s.remember(ctx, tx, person, SignedOutByOffice, by{actor: actor})
	})
	if err != nil {
		return fmt.Errorf("sign person out: %w", err)
	}
	return nil
}

// Disable closes an account: its sessions end, and nobody signs in with it until
// Enable, who is answered like whoever mistypes. Repeating it is harmless. It fails
// with ErrAccount if the person has none.
func (s *Service) Disable(ctx context.Context, actor, person string) error {
	return s.setDisabled(ctx, actor, person, db.Micros(s.o.Now()), Disabled)
}

// Enable opens an account again that Disable has closed. Repeating it is harmless. It
// fails with ErrAccount if the person has none.
func (s *Service) Enable(ctx context.Context, actor, person string) error {
	return s.setDisabled(ctx, actor, person, 0, Enabled)
}

func (s *Service) setDisabled(ctx context.Context, actor, person string, since int64, kind Kind) error {
	change := ` AND disabled = 0`
	if since == 0 {
		change = ` AND disabled <> 0`
	}
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		// The row's lock keeps sign-ins of this moment before or behind.
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET disabled = $2 WHERE person = $1`+change, person, since))
		if err != nil {
			return err
		}
		if n == 0 {
			var one int
			err := tx.QueryRowContext(ctx, `SELECT 1 FROM login_accounts WHERE person = $1`, person).Scan(&one)
			return noRows(err, ErrAccount)
		}
		if err := s.endAll(ctx, tx, person, actor); err != nil {
			return err
		}
		if _, err := audit.Append(ctx, tx, audit.Event{Kind: "login.account." + string(kind), Actor: actor, Object: "person:" + person}); err != nil {
			return err
		}
		return s.remember(ctx, tx, person, kind, by{actor: actor})
	})
	if err != nil {
		return fmt.Errorf("%s account: %w", kind, err)
	}
	return nil
}

// errPasskeyGone says that there is no such passkey.
var errPasskeyGone = web.Refuse(fault.NotFound, web.Text{ZH: "没有这个通行密钥，可能已被移除。", EN: "There is no such passkey. It may have been removed."})

// isDisabled reports whether a person's account is closed.
func (s *Service) isDisabled(ctx context.Context, person string) (bool, error) {
	var since int64
	err := s.o.DB.Read(ctx, func(tx db.Tx) error {
		return noRows(tx.QueryRowContext(ctx, `SELECT disabled FROM login_accounts WHERE person = $1`, person).Scan(&since), ErrAccount)
	})
	if err != nil {
		return false, fmt.Errorf("find account: %w", err)
	}
	return since != 0, nil
}
