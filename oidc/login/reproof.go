package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// Whoever has lost everything goes to an identity desk with their document. A clerk who
// has seen both gives them a code on paper, which lets them set a new password and a new
// key of codes, once, within a day. With it go all that was there before: passkeys,
// recovery codes and sessions. The code is no session and no factor of a sign-in.
const (
	reproofLife      = 24 * time.Hour
	reproofsPerClerk = 20 // in any 24 hours
	clerkDay         = 24 * time.Hour
)

var (
	errReproofCode = web.Refuse(fault.Denied, web.Text{ZH: "代码不正确、已使用或已过期。请核对后重试，或到身份核验窗口重新办理。",
		EN: "The code is not correct, was used, or is too old. Check it and try again, or ask the identity desk for another."})
	errReproofOver = web.Refuse(fault.Conflict, web.Text{ZH: "该代码已使用、已作废或已过期，未作任何更改。",
		EN: "The code was used, withdrawn or has expired. Nothing was changed."})
	errReproofNobody = web.Refuse(fault.NotFound, web.Text{ZH: "此人没有可用的账户（未开通或已停用）。",
		EN: "This person has no account that is open."})
	errReproofSelf = web.Refuse(fault.Denied, web.Text{ZH: "不能为本人办理，请由其他窗口人员办理。",
		EN: "You cannot do this for yourself. Ask a colleague."})
	errReproofMany = web.Refuse(fault.Denied, web.Text{ZH: fmt.Sprintf("您在24小时内已发出%d个代码，已达上限。", reproofsPerClerk),
		EN: fmt.Sprintf("You have given out %d codes in 24 hours, which is as many as you may.", reproofsPerClerk)})
	errReproofShown = web.Refuse(fault.Conflict, web.Text{ZH: "该代码已显示过一次，不再显示。如未打印，请作废后重新办理。",
		EN: "This code has been shown, and is not shown again. If it was not printed, withdraw it and begin again."})
)

// sighting is what a clerk confirms: that they have seen somebody and their document.
type sighting struct {
	clerk, agency, person string
	session               string // the clerk's
	document              registry.Kind
	request               string // of the page, so that it counts once
}

// reproof is a row of login_reproofs that is not over.
type reproof struct {
	ID, person, agency string
	Created, Expires   time.Time
}

// beginReproof makes a code for a person, shown once, and voids the one before. It
// fails with errReproofSelf, errReproofNobody, errReproofMany and errReproofShown.
func (s *Service) beginReproof(ctx context.Context, g sighting) (code string, made reproof, err error) {
	if g.clerk == g.person {
		return "", reproof{}, errReproofSelf
	}
	code = newReproofCode()
	folded, _ := foldReproofCode(code)
	now := time.UnixMicro(s.o.Now().UnixMicro()).UTC()
	made = reproof{ID: db.NewID(), person: g.person, agency: g.agency, Created: now, Expires: now.Add(reproofLife)}
	replaced := false
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := s.mayBegin(ctx, tx, g, now); err != nil {
			return err
		}
		if replaced, err = s.endReproof(ctx, tx, "person", g.person, "", "person:"+g.clerk); err != nil {
			return err
		}
		// The hash is made at the last moment: the longer ago, the likelier a generation
		// of its key has been retired.
		lookups, err := s.reproofLookups(ctx, folded)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO login_reproofs (id, person, hash, clerk, agency, request, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			made.ID, g.person, lookups[0], g.clerk, g.agency, g.request, db.Micros(made.Created), db.Micros(made.Expires))
		if err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "identity.reproof.begin", Actor: "person:" + g.clerk, Object: "person:" + g.person,
			Data: map[string]any{"reproof": made.ID, "agency": g.agency, "document": string(g.document)}})
		if err != nil {
			return err
		}
		return s.remember(ctx, tx, g.person, ReproofBegun, by{agency: g.agency})
	})
	if err != nil {
		return "", reproof{}, fmt.Errorf("begin re-proofing: %w", err)
	}
	if replaced {
		s.metrics.reproofs.WithLabelValues("replaced").Inc()
	}
	s.metrics.reproofs.WithLabelValues("begun").Inc()
	return code, made, nil
}

// mayBegin holds both accounts, so that what it counts stays so, and checks the rules.
// Accounts are held in the order of their ids: two clerks who see each other's
// customers, or each other, do not wait for each other for ever.
func (s *Service) mayBegin(ctx context.Context, tx db.Tx, g sighting, now time.Time) error {
	both := []string{g.clerk, g.person}
	slices.Sort(both)
	for _, person := range both {
		ok, err := holdAccount(ctx, tx, person)
		if err != nil {
			return err
		}
		if !ok && person == g.person {
			return errReproofNobody
		}
		if !ok {
			return ErrSession
		}
	}
	if err := stands(ctx, tx, g.clerk, g.session); err != nil {
		return err
	}
	var n int64
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM login_reproofs WHERE request = $1`, g.request).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return errReproofShown
	}
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM login_reproofs WHERE clerk = $1 AND created > $2`, g.clerk, db.Micros(now.Add(-clerkDay))).Scan(&n)
	if err == nil && n >= reproofsPerClerk {
		err = errReproofMany
	}
	return err
}

// holdAccount locks an account's row until the transaction ends, and reports whether
// the account is open.
func holdAccount(ctx context.Context, tx db.Tx, person string) (open bool, err error) {
	n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET disabled = disabled WHERE person = $1 AND disabled = 0`, person))
	return n == 1, err
}

// endReproof ends what is open where a column has that value, with its event, and
// reports whether there was any. Agency, unless it is "", must be that of the desk.
func (s *Service) endReproof(ctx context.Context, tx db.Tx, column, value, agency, actor string) (ended bool, err error) {
	var id, person, desk string
	err = tx.QueryRowContext(ctx, `UPDATE login_reproofs SET ended = $2 WHERE `+column+` = $1 AND ended = 0 AND ($3 = '' OR agency = $3) RETURNING id, person, agency`,
		value, db.Micros(s.o.Now()), agency).Scan(&id, &person, &desk)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "identity.reproof.cancel", Actor: actor, Object: "person:" + person,
		Data: map[string]any{"reproof": id, "agency": desk}})
	if err != nil {
		return false, err
	}
	return true, s.remember(ctx, tx, person, ReproofCancelled, by{agency: desk})
}

// cancelReproof voids a code of the clerk's desk. Repeating it is harmless, and a code
// of another desk is none.
func (s *Service) cancelReproof(ctx context.Context, clerk, agency, id string) error {
	ended := false
	err := s.o.DB.Update(ctx, func(tx db.Tx) (err error) {
		ended, err = s.endReproof(ctx, tx, "id", id, agency, "person:"+clerk)
		return err
	})
	if err != nil {
		return fmt.Errorf("cancel re-proofing: %w", err)
	}
	if ended {
		s.metrics.reproofs.WithLabelValues("cancelled").Inc()
	}
	return nil
}

// openReproofs returns a clerk's codes that still work, the newest first.
func (s *Service) openReproofs(ctx context.Context, clerk string) (list []reproof, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, agency, created, expires FROM login_reproofs
			WHERE clerk = $1 AND created > $2 AND ended = 0 ORDER BY created DESC, id`, clerk, db.Micros(s.o.Now().Add(-reproofLife)))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var p reproof
			var created, expires int64
			if err := rows.Scan(&p.ID, &p.agency, &created, &expires); err != nil {
				return err
			}
			p.Created, p.Expires = db.Time(created), db.Time(expires)
			list = append(list, p)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list codes: %w", err)
	}
	return list, nil
}

// reproofLookups returns the hashes by which a folded code is found, the one to write
// first. They are keyed: 44 bits would not last against whoever reads the database.
func (s *Service) reproofLookups(ctx context.Context, code string) ([][]byte, error) {
	return s.o.Sealer.Lookups(ctx, "login.reproof", []byte(code))
}

// findReproof returns what a code that somebody typed is for. It fails with
// errReproofCode, whatever is wrong, and *waitError.
func (s *Service) findReproof(ctx context.Context, typed, address string) (found reproof, err error) {
	code, ok := foldReproofCode(typed)
	if !ok { // nothing is looked up, so it is no try
		s.metrics.refused(methodDesk, reasonCredentials)
		return reproof{}, errReproofCode
	}
	back, err := s.admitCode(ctx, address)
	if err != nil {
		if _, ok := errors.AsType[*waitError](err); ok {
			s.metrics.refused(methodDesk, reasonLimit)
		}
		return reproof{}, err
	}
	lookups, err := s.reproofLookups(ctx, code)
	if err != nil {
		back()
		return reproof{}, err
	}
	for _, hash := range lookups {
		found, err = s.readReproof(ctx, hash)
		if !errors.Is(err, sql.ErrNoRows) {
			break
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		s.metrics.refused(methodDesk, reasonCredentials)
		return reproof{}, errReproofCode
	}
	back()
	if err != nil {
		return reproof{}, fmt.Errorf("find code: %w", err)
	}
	return found, nil
}

func (s *Service) readReproof(ctx context.Context, hash []byte) (found reproof, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT r.id, r.person, r.agency FROM login_reproofs r JOIN login_accounts a ON a.person = r.person
			WHERE r.hash = $1 AND r.ended = 0 AND r.expires > $2 AND a.disabled = 0`, hash, db.Micros(s.o.Now())).
			Scan(&found.ID, &found.person, &found.agency)
	})
	return found, err
}

// accountOf returns what is sealed of a person's account, and opened.
func (s *Service) accountOf(ctx context.Context, person string) (sealed []byte, a sealedAccount, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		return noRows(tx.QueryRowContext(ctx, `SELECT sealed FROM login_accounts WHERE person = $1`, person).Scan(&sealed), ErrAccount)
	})
	if err != nil {
		return nil, a, err
	}
	a, err = s.openAccount(ctx, person, sealed)
	return sealed, a, err
}

// reproofByID returns what a code is for that somebody has shown. It fails with
// errReproofOver.
func (s *Service) reproofByID(ctx context.Context, id string) (found reproof, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		return noRows(tx.QueryRowContext(ctx, `SELECT id, person, agency FROM login_reproofs WHERE id = $1 AND ended = 0 AND expires > $2`,
			id, db.Micros(s.o.Now())).Scan(&found.ID, &found.person, &found.agency), errReproofOver)
	})
	if err != nil {
		return reproof{}, fmt.Errorf("find code: %w", err)
	}
	return found, nil
}

// useReproof gives the account a new password and a new key of codes, once, and takes
// everything from it that was there before. It fails with errReproofOver, and then
// nothing has changed.
func (s *Service) useReproof(ctx context.Context, found reproof, password string, secret []byte, step int64, v visit) error {
	old, account, err := s.accountOf(ctx, found.person)
	if err != nil {
		return fmt.Errorf("use code of a desk: %w", err)
	}
	account.TOTP = secret
	sealed, err := s.sealAccount(ctx, found.person, account)
	if err != nil {
		return fmt.Errorf("use code of a desk: %w", err)
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	b := by{actor: "person:" + found.person, visit: v, agency: found.agency}
	err = s.change(ctx, found.person, Reproofed, b, true, func(tx db.Tx) error {
		// The account's row is locked first, as by everybody who signs in with it or
		// changes it.
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET password = $2, sealed = $3, totp_step = $4 WHERE person = $1 AND disabled = 0 AND sealed = $5`,
			found.person, hash, sealed, step, old))
		if err != nil {
			return err
		}
		if n == 0 {
			return errReproofOver
		}
		return s.replaceAll(ctx, tx, found, b)
	})
	if err != nil {
		return fmt.Errorf("use code of a desk: %w", err)
	}
	s.metrics.reproofs.WithLabelValues("used").Inc()
	return nil
}

// replaceAll uses the code up and removes passkeys, recovery codes and recoveries.
func (s *Service) replaceAll(ctx context.Context, tx db.Tx, found reproof, b by) error {
	now := db.Micros(s.o.Now())
	n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_reproofs SET ended = $2 WHERE id = $1 AND ended = 0 AND expires > $2`, found.ID, now))
	if err == nil && n == 0 {
		err = errReproofOver
	}
	if err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM login_passkeys WHERE person = $1`,
		`DELETE FROM login_codes WHERE person = $1`,
		`DELETE FROM login_recoveries WHERE person = $1`,
	} {
		if _, err := tx.ExecContext(ctx, query, found.person); err != nil {
			return err
		}
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "identity.reproof.use", Actor: b.actor, Object: "person:" + found.person,
		Data: map[string]any{"reproof": found.ID, "agency": found.agency}})
	return err
}
