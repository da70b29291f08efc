package desk

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json/v2"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/licenses"
)

// state is where an application stands.
type state string

const (
	submitted state = "submitted"
	reviewed  state = "reviewed" // by the first of two
	approved  state = "approved" // on its way to a licence
	rejected  state = "rejected"
	issued    state = "issued"
	failed    state = "failed"
)

// application is what one clerk has asked for.
type application struct {
	ID        string
	Agency    string // that was asked
	Office    string // whose clerk decided on it, "" for the agency that was asked
	State     state
	Request   licenses.Request
	Submitter string // person
	Reviewer  string // person who took the first of two reviews, "" before
	Returner  string // person who sent it back to the first review last
	Round     int    // how often it was sent back
	Decider   string // person, "" while it waits
	Note      note
	License   string // id, once it is issued
	Created   time.Time
	Reviewed  time.Time // zero before
	Decided   time.Time
}

// note is why an application came to nothing. It is sealed: a clerk writes freely.
type note struct {
	Reason   string    `json:"reason,omitempty"`   // of a rejection, or for sending it back
	Problems []trouble `json:"problems,omitempty"` // of a failure
}

type trouble struct {
	Path string `json:"path"`
	ZH   string `json:"zh"`
	EN   string `json:"en"`
}

// The kinds of the events that this package writes. Their object is
// "application:ID".
const (
	eventSubmit  = "license.application.submit"
	eventApprove = "license.application.approve"
	eventReject  = "license.application.reject"
	eventIssue   = "license.application.issue"
	eventFail    = "license.application.fail"
)

var errNoApplication = fault.New(fault.NotFound, "no such application")

// errUsed says that a form's key was used for something else.
type errUsed struct{ application string }

func (errUsed) Error() string { return "the form's key was used with other data" }

// The sealed columns are bound to their row.
func bodyAAD(id string) []byte { return []byte("license application " + id) }
func noteAAD(id string) []byte { return []byte("license application note " + id) }

// claim is an application that a clerk sends in, with the key of their form.
type claim struct {
	agency, person, key string
	request             licenses.Request
	body                []byte
	hashes              [][]byte            // of agency and body; the one to write first
	by                  *licenses.Applicant // nil for a clerk
}

// prepare encodes the request and the keyed hashes, one for each generation of the
// secret, that tell a repeated form from a changed one.
func (s *Service) prepare(ctx context.Context, c *claim) (err error) {
	if c.body, err = json.Marshal(c.request, json.Deterministic(true)); err != nil {
		return fmt.Errorf("encode application: %w", err)
	}
	c.hashes, err = s.sealer.Lookups(ctx, "desk.application", append([]byte(c.agency+"\x00"), c.body...))
	return err
}

// replayed returns the application that came of the form before, "" for none. It
// fails with errUsed if that was another request.
func (s *Service) replayed(ctx context.Context, c *claim) (id string, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		id, err = s.earlier(ctx, tx, c)
		return err
	})
	return id, err
}

// earlier compares with the hash, and with the data themselves where that says
// nothing: the secret that it was made under may have been replaced since.
func (s *Service) earlier(ctx context.Context, tx db.Tx, c *claim) (id string, err error) {
	var agency string
	var hash, sealed []byte
	err = tx.QueryRowContext(ctx, "SELECT id, agency, request_hash, body FROM license_applications WHERE submitter = $1 AND request_key = $2",
		c.person, c.key).Scan(&id, &agency, &hash, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(c.hashes, func(h []byte) bool { return bytes.Equal(h, hash) }) {
		return id, nil
	}
	body, err := s.sealer.Open(ctx, sealed, bodyAAD(id))
	if err != nil {
		return "", fmt.Errorf("open application: %w", err)
	}
	if agency != c.agency || !bytes.Equal(body, c.body) {
		return "", errUsed{id}
	}
	return id, nil
}

// submit records an application that has been checked, once for each key, and
// returns its id.
func (s *Service) submit(ctx context.Context, c *claim) (id string, fresh bool, err error) {
	made := db.NewID()
	sealed, err := s.sealer.Seal(ctx, c.body, bodyAAD(made))
	if err != nil {
		return "", false, fmt.Errorf("submit application: %w", err)
	}
	now := db.Micros(s.now())
	err = s.db.Update(ctx, func(tx db.Tx) error {
		id = made
		fresh, err = moved(ctx, tx, `INSERT INTO license_applications (id, agency, type, body, state, submitter, request_key,
			request_hash, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (submitter, request_key) DO NOTHING`,
			made, c.agency, c.request.Type, sealed, string(submitted), c.person, c.key, c.hashes[0], now, now)
		if err != nil {
			return err
		}
		if !fresh {
			if id, err = s.earlier(ctx, tx, c); err != nil {
				return err
			}
		}
		if err := endDraft(ctx, tx, c.person, c.key); err != nil || !fresh {
			return err
		}
		if err := c.applied(ctx, tx, made); err != nil {
			return err
		}
		return record(ctx, tx, eventSubmit, "person:"+c.person, made, map[string]any{"agency": c.agency, "type": c.request.Type})
	})
	if err != nil {
		return "", false, fmt.Errorf("submit application: %w", err)
	}
	return id, fresh, nil
}

// moved runs a statement and reports whether it changed a row.
func moved(ctx context.Context, tx db.Tx, query string, args ...any) (bool, error) {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

func record(ctx context.Context, tx db.Tx, kind, actor, id string, data map[string]any) error {
	_, err := audit.Append(ctx, tx, audit.Event{Kind: kind, Actor: actor, Object: "application:" + id, Data: data})
	return err
}

func (s *Service) sealNote(ctx context.Context, id string, n note) ([]byte, error) {
	plain, err := json.Marshal(n, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode note: %w", err)
	}
	return s.sealer.Seal(ctx, plain, noteAAD(id))
}

const columns = "id, agency, office, body, state, submitter, reviewer, returner, round, decider, note, license, created_at, reviewed_at, decided_at"

// find returns the applications for which where holds.
func (s *Service) find(ctx context.Context, where string, args ...any) (list []*application, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT "+columns+" FROM license_applications WHERE "+where, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			a, err := s.scan(ctx, rows)
			if err != nil {
				return err
			}
			list = append(list, a)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("find applications: %w", err)
	}
	return list, nil
}

func (s *Service) scan(ctx context.Context, rows *sql.Rows) (*application, error) {
	var a application
	var body, why []byte
	var created, first, decided int64
	err := rows.Scan(&a.ID, &a.Agency, &a.Office, &body, &a.State, &a.Submitter, &a.Reviewer, &a.Returner, &a.Round, &a.Decider, &why, &a.License, &created, &first, &decided)
	if err != nil {
		return nil, err
	}
	a.Created, a.Reviewed, a.Decided = db.Time(created), timeOrZero(first), db.Time(decided)
	if err := s.open(ctx, body, bodyAAD(a.ID), &a.Request); err != nil {
		return nil, err
	}
	if len(why) == 0 {
		return &a, nil
	}
	return &a, s.open(ctx, why, noteAAD(a.ID), &a.Note)
}

func (s *Service) open(ctx context.Context, sealed, aad []byte, v any) error {
	plain, err := s.sealer.Open(ctx, sealed, aad)
	if err != nil {
		return fmt.Errorf("open application: %w", err)
	}
	if json.Unmarshal(plain, v) != nil { // its error could quote the data
		return errors.New("decode application")
	}
	return nil
}
