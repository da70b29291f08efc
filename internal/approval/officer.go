package approval

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// MinOfficers is how many officers there are at least: while one of them is the
// subject, two others can act. MaxOfficers bounds the list.
const (
	MinOfficers = 3
	MaxOfficers = 64
)

// Officer is a security officer.
type Officer struct {
	Person      string // id in the registry
	Added       time.Time
	AddedBy     string       // request, or "founding"
	Credentials []Credential // those in use
}

// addedByFounding marks what no request stands behind.
const addedByFounding = "founding"

var (
	errOfficer = web.Refuse(fault.Denied, web.Text{ZH: "只有安全官可以办理此事项。", EN: "only a security officer may do this"})
	errTooFew  = web.Refuse(fault.Conflict, web.Text{ZH: "安全官不得少于三名。", EN: "there must be at least three security officers"})
	errTooMany = web.Refuse(fault.Conflict, web.Text{ZH: "安全官人数已达上限。", EN: "there are as many security officers as there may be"})
	errFounded = web.Refuse(fault.Conflict, web.Text{ZH: "安全官已设立，变更须经申请和批准。", EN: "there are security officers already: they change by approved requests"})
	errPerson  = fault.New(fault.Invalid, "at least three officers are named, each once")
)

// Founding names the first officers.
type Founding struct {
	Officers []string // persons, at least three
	Quorum   Quorum
	Actor    string // of the events, as "ceremony"
}

// Found makes the first officers and returns a code for each, with which they
// enrol their first credential. As long as none of them has done so, it may be
// called again with the same people: codes that were lost are replaced. It fails
// with kind Invalid for fewer than three people, for people who are not in the
// registry and for a quorum that is none, and with kind Conflict when there are
// officers already.
func (s *Service) Found(ctx context.Context, f Founding) ([]Code, error) {
	if err := s.checkOfficers(ctx, f.Officers); err != nil {
		return nil, fmt.Errorf("found officers: %w", err)
	}
	quorum, err := f.Quorum.encode()
	if err != nil {
		return nil, fmt.Errorf("found officers: %w", err)
	}
	now := s.o.Now()
	codes, handles := newCodes(f.Officers, now), newHandles(len(f.Officers))
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		version, err := advance(ctx, tx)
		if err != nil {
			return err
		}
		if err := clearFounding(ctx, tx, f.Officers); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE approval_state SET quorum = $1 WHERE one = 1`, quorum); err != nil {
			return err
		}
		for i, person := range f.Officers {
			if err := addOfficer(ctx, tx, officerRow{person, handles[i], version, now, addedByFounding}, f.Actor); err != nil {
				return err
			}
			if err := insertEnrolment(ctx, tx, codes[i].row(addedByFounding+":"+db.NewID(), "")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("found officers: %w", err)
	}
	return codes, nil
}

// clearFounding makes room for a founding that is repeated. It fails with
// errFounded if there is anything that it must not touch.
func clearFounding(ctx context.Context, tx db.Tx, persons []string) error {
	old, err := readOfficers(ctx, tx)
	if err != nil || len(old) == 0 {
		return err
	}
	var used int64
	err = tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM officer_credentials) + (SELECT COUNT(*) FROM approval_requests)
		+ (SELECT COUNT(*) FROM officers WHERE removed_at <> 0)`).Scan(&used)
	if err != nil {
		return err
	}
	same := len(old) == len(persons)
	for _, o := range old {
		same = same && slices.Contains(persons, o.Person)
	}
	if used > 0 || !same {
		return errFounded
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM officer_enrolments`); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM officers`)
	return err
}

// checkOfficers fails with kind Invalid unless at least three different people of
// the registry are named.
func (s *Service) checkOfficers(ctx context.Context, persons []string) error {
	distinct := slices.Compact(slices.Sorted(slices.Values(persons)))
	if len(persons) < MinOfficers || len(persons) > MaxOfficers || len(distinct) != len(persons) {
		return errPerson
	}
	for _, id := range persons {
		if _, err := s.person(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// newHandles returns what names officers to their authenticators. It says nothing
// about them and differs from what they sign in with, or one passkey would
// overwrite the other.
func newHandles(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = make([]byte, 32)
		_, _ = rand.Read(list[i]) // never fails
	}
	return list
}

// officerRow is a row of officers that is written.
type officerRow struct {
	person  string
	handle  []byte // unless they have one
	since   int64
	at      time.Time
	addedBy string
}

// addOfficer writes an officer with the event. Somebody who was removed before
// comes back as new, with their old handle.
func addOfficer(ctx context.Context, tx db.Tx, o officerRow, actor string) error {
	ok, err := db.Changed(tx.ExecContext(ctx, `INSERT INTO officers (person, handle, since, added_at, added_by) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (person) DO UPDATE SET since = excluded.since, added_at = excluded.added_at, added_by = excluded.added_by, removed_at = 0
		WHERE officers.removed_at <> 0`, o.person, o.handle, o.since, db.Micros(o.at), o.addedBy))
	if err != nil {
		return err
	}
	if !ok {
		return errIsOfficer
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "officer.add", Actor: actor, Object: actorOf(o.person), Data: map[string]any{"by": o.addedBy}})
	return err
}

// removeOfficer ends an officer, their credentials and what they might enrol. It
// does not count who is left.
func removeOfficer(ctx context.Context, tx db.Tx, person, by, actor string, now time.Time) error {
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE officers SET removed_at = $2 WHERE person = $1 AND removed_at = 0`, person, db.Micros(now)))
	if err != nil {
		return err
	}
	if !ok {
		return errNoOfficer
	}
	if err := voidEnrolments(ctx, tx, person, now); err != nil {
		return err
	}
	list, err := readCredentials(ctx, tx, `person = $1 AND removed_at = 0 ORDER BY id`, person)
	if err != nil {
		return err
	}
	for _, c := range list {
		if err := removeCredential(ctx, tx, c, actor, now); err != nil {
			return err
		}
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "officer.remove", Actor: actor, Object: actorOf(person), Data: map[string]any{"by": by}})
	return err
}

// Officers returns the officers with the credentials that they have in use, in the
// order of their coming.
func (s *Service) Officers(ctx context.Context) (list []Officer, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		if list, err = readOfficers(ctx, tx); err != nil {
			return err
		}
		credentials, err := readCredentials(ctx, tx, `removed_at = 0 ORDER BY id`)
		for i := range list {
			for _, c := range credentials {
				if c.Person == list[i].Person {
					list[i].Credentials = append(list[i].Credentials, c.Credential)
				}
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list officers: %w", err)
	}
	return list, nil
}

func readOfficers(ctx context.Context, tx db.Tx) (list []Officer, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT person, added_at, added_by FROM officers WHERE removed_at = 0 ORDER BY since, person`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var o Officer
		var added int64
		if err := rows.Scan(&o.Person, &added, &o.AddedBy); err != nil {
			return nil, err
		}
		o.Added = db.Time(added)
		list = append(list, o)
	}
	return list, rows.Err()
}

// IsOfficer reports whether a person is a security officer now. It is asked of the
// database each time, so that a removal takes effect at once.
func (s *Service) IsOfficer(ctx context.Context, person string) (is bool, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		_, err := officerSince(ctx, tx, person)
		is = err == nil
		if errors.Is(err, errOfficer) {
			return nil
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("find officer: %w", err)
	}
	return is, nil
}

// officerSince returns the version of the set with which an officer came. It fails
// with errOfficer for anybody else.
func officerSince(ctx context.Context, tx db.Tx, person string) (since int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT since FROM officers WHERE person = $1 AND removed_at = 0`, person).Scan(&since)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errOfficer
	}
	return since, err
}

// wasOfficer fails with errOfficer for anybody who is no officer, and with errLate
// for one who came after a version of the set.
func wasOfficer(ctx context.Context, tx db.Tx, person string, version int64) error {
	since, err := officerSince(ctx, tx, person)
	if err == nil && since > version {
		return errLate
	}
	return err
}

func countOfficers(ctx context.Context, tx db.Tx) (n int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM officers WHERE removed_at = 0`).Scan(&n)
	return n, err
}
