package approval

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// codeLife is how long leave to enrol a credential lasts.
const codeLife = 24 * time.Hour

// Code lets an officer enrol one credential. It is shown once, and handed to the
// officer in person: with their own sign-in it is what enrolling takes. Printing or
// logging a Code shows the person alone.
type Code struct {
	Person  string
	Code    string
	Expires time.Time
}

// String returns the person.
func (c Code) String() string { return "code for " + c.Person }

// GoString returns the person.
func (c Code) GoString() string { return c.String() }

// LogValue implements slog.LogValuer: the person.
func (c Code) LogValue() slog.Value { return slog.StringValue(c.String()) }

var (
	errCode = web.Refuse(fault.Denied, web.Text{ZH: "登记码不正确、已使用或已过期。", EN: "the enrolment code is wrong, used or expired"})
	errDraw = web.Refuse(fault.NotFound, web.Text{ZH: "没有可由您领取的登记码。", EN: "there is no enrolment code for you to draw"})
)

func newCodes(persons []string, now time.Time) []Code {
	codes := make([]Code, len(persons))
	for i, p := range persons {
		b := make([]byte, 32)
		_, _ = rand.Read(b) // never fails
		codes[i] = Code{p, base64.RawURLEncoding.EncodeToString(b), now.Add(codeLife)}
	}
	return codes
}

func codeHash(code string) []byte {
	sum := sha256.Sum256([]byte(code))
	return sum[:]
}

// enrolmentRow is a row of officer_enrolments that is written.
type enrolmentRow struct {
	id, person string
	code       []byte // hash, nil until it is drawn
	drawer     string
	expires    time.Time
}

func (c Code) row(id, drawer string) enrolmentRow {
	return enrolmentRow{id, c.Person, codeHash(c.Code), drawer, c.Expires}
}

func insertEnrolment(ctx context.Context, tx db.Tx, e enrolmentRow) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO officer_enrolments (id, person, code, drawer, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		e.id, e.person, e.code, e.drawer, db.Micros(e.expires))
	return err
}

// DrawCode returns the code that a request of kind officer.add or officer.enrol has
// given leave for, to the officer who approved it and nobody else. Drawing again
// makes a new code and voids the one before, should it not have arrived. It fails
// with kind NotFound when there is nothing to draw: for another officer, and once
// the code was used or 24 hours have passed.
func (s *Service) DrawCode(ctx context.Context, request, officer string) (Code, error) {
	now := s.o.Now()
	c := newCodes([]string{""}, now)[0]
	var expires int64
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		if _, err := lock(ctx, tx); err != nil {
			return err
		}
		if _, err := officerSince(ctx, tx, officer); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, `UPDATE officer_enrolments SET code = $3 WHERE id = $1 AND drawer = $2 AND used_at = 0 AND expires_at > $4
			RETURNING person, expires_at`, request, officer, codeHash(c.Code), db.Micros(now)).Scan(&c.Person, &expires)
		if errors.Is(err, sql.ErrNoRows) {
			return errDraw
		}
		if err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "officer.code", Actor: actorOf(officer), Object: actorOf(c.Person), Data: map[string]any{"by": request}})
		return err
	})
	if err != nil {
		return Code{}, fmt.Errorf("draw code: %w", err)
	}
	c.Expires = db.Time(expires)
	return c, nil
}

// findEnrolment returns the id of the leave that a code stands for. It fails with
// errCode for one that is not this person's, was used or has expired.
func findEnrolment(ctx context.Context, tx db.Tx, person, code string, now time.Time) (id string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT id FROM officer_enrolments WHERE code = $1 AND person = $2 AND used_at = 0 AND expires_at > $3`,
		codeHash(code), person, db.Micros(now)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errCode
	}
	return id, err
}

// useEnrolment is findEnrolment for the only time.
func useEnrolment(ctx context.Context, tx db.Tx, person, code string, now time.Time) (id string, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE officer_enrolments SET used_at = $3 WHERE code = $1 AND person = $2 AND used_at = 0 AND expires_at > $3 RETURNING id`,
		codeHash(code), person, db.Micros(now)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errCode
	}
	return id, err
}

// voidEnrolments ends whatever a person might still enrol.
func voidEnrolments(ctx context.Context, tx db.Tx, person string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE officer_enrolments SET expires_at = $2 WHERE person = $1 AND used_at = 0 AND expires_at > $2`, person, db.Micros(now))
	return err
}
