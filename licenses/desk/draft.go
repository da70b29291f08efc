package desk

import (
	"context"
	"database/sql"
	"encoding/json/v2"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

const (
	maxDrafts       = 50 // of a clerk at the desk of one agency
	maxHolderDrafts = 10 // of an applicant for one holder
)

var (
	errNoDraft    = fault.New(fault.NotFound, "no such draft")
	errManyDrafts = web.Refuse(fault.Conflict, web.Text{ZH: "您在本部门已有 50 份草稿。请先提交或丢弃一份，再保存新的草稿",
		EN: "You have 50 drafts at this desk: submit one or throw one away before you save another"})
	errManyHolderDrafts = web.Refuse(fault.Conflict, web.Text{ZH: "您已有 10 份草稿。请先提交或丢弃一份，再保存新的草稿",
		EN: "You have 10 drafts: send one or throw one away before you save another"})
)

// shelf is the list in which its author finds a draft: at the desk of an agency, or
// among what they apply for themselves or for a firm.
type shelf struct {
	agency       string // "" for an applicant's
	kind, holder string // "" for a clerk's
}

func (l shelf) full(n int) error {
	switch {
	case l.agency != "" && n >= maxDrafts:
		return errManyDrafts
	case l.agency == "" && n >= maxHolderDrafts:
		return errManyHolderDrafts
	}
	return nil
}

// draft is one with whose it is. Its Agency is the one to ask, as the form has it.
type draft struct {
	licenses.Draft
	person string
	shelf  shelf
}

// draftBody is what is sealed.
type draftBody struct {
	Agency string            `json:"agency,omitempty"` // that an applicant chose
	Values map[string]string `json:"values"`
}

// A draft is bound to its author and key: moved to another row, it does not open.
func draftAAD(person, id string) []byte { return []byte("license draft " + person + " " + id) }

// unsent is the condition that nothing was submitted under the form's key. On
// PostgreSQL a draft that is saved while its form is being submitted can outlive it,
// and the release before this one submits and knows no drafts: such a row is no draft
// any more, until the sweeper finds it.
const unsent = `NOT EXISTS (SELECT 1 FROM license_applications a WHERE a.submitter = license_drafts.person
	AND a.request_key = license_drafts.id)`

// saveDraft keeps a draft in place of what was kept under its key before. It returns
// the id of the application if the form has been submitted, and then keeps nothing.
func (s *Service) saveDraft(ctx context.Context, d *draft) (application string, err error) {
	if _, err := db.IDBytes(d.ID); err != nil {
		return "", errStale
	}
	body := draftBody{Values: d.Values}
	if d.shelf.agency == "" {
		body.Agency = d.Agency
	}
	plain, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		return "", errors.New("encode draft") // its error could quote the data
	}
	sealed, err := s.sealer.Seal(ctx, plain, draftAAD(d.person, d.ID))
	if err != nil {
		return "", fmt.Errorf("save draft: %w", err)
	}
	now := db.Micros(s.now())
	err = s.db.Update(ctx, func(tx db.Tx) error {
		kept, err := moved(ctx, tx, `UPDATE license_drafts SET type = $1, body = $2, changed_at = $3
			WHERE person = $4 AND id = $5 AND agency = $6 AND kind = $7 AND holder = $8`,
			d.Type, sealed, now, d.person, d.ID, d.shelf.agency, d.shelf.kind, d.shelf.holder)
		if err != nil {
			return err
		}
		// Asked only now: a submission that held the row has been committed.
		if application, err = submittedAs(ctx, tx, d.person, d.ID); err != nil {
			return err
		}
		switch {
		case application != "":
			return endDraft(ctx, tx, d.person, d.ID)
		case kept:
			return nil
		}
		return d.add(ctx, tx, sealed, now)
	})
	if err != nil {
		return "", fmt.Errorf("save draft: %w", err)
	}
	if application == "" {
		s.metrics.drafts.WithLabelValues("saved").Inc()
	}
	return application, nil
}

// add puts a draft on a shelf where it was not before, if there is room.
func (d *draft) add(ctx context.Context, tx db.Tx, sealed []byte, now int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO license_drafters (person, begun) VALUES ($1, 1)
		ON CONFLICT (person) DO UPDATE SET begun = license_drafters.begun + 1`, d.person)
	if err != nil {
		return err
	}
	var n int
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM license_drafts WHERE person = $1 AND agency = $2 AND kind = $3 AND holder = $4
		AND id <> $5 AND `+unsent, d.person, d.shelf.agency, d.shelf.kind, d.shelf.holder, d.ID).Scan(&n)
	if err != nil {
		return err
	}
	if err := d.shelf.full(n); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO license_drafts (person, id, agency, kind, holder, type, body, created_at, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (person, id) DO UPDATE SET agency = excluded.agency, kind = excluded.kind,
		holder = excluded.holder, type = excluded.type, body = excluded.body, changed_at = excluded.changed_at`,
		d.person, d.ID, d.shelf.agency, d.shelf.kind, d.shelf.holder, d.Type, sealed, now, now)
	return err
}

// submittedAs returns the application that was submitted under a form's key, "" for
// none.
func submittedAs(ctx context.Context, tx db.Tx, person, key string) (id string, err error) {
	err = tx.QueryRowContext(ctx, "SELECT id FROM license_applications WHERE submitter = $1 AND request_key = $2", person, key).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, err
}

// endDraft removes the draft of a form that has been submitted, if there is one.
func endDraft(ctx context.Context, tx db.Tx, person, key string) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM license_drafts WHERE person = $1 AND id = $2", person, key)
	return err
}

// findDraft returns a person's draft by its form's key, or what the form has become:
// of that only the application is known. It fails with errNoDraft.
func (s *Service) findDraft(ctx context.Context, person, id string) (*draft, error) {
	if _, err := db.IDBytes(id); err != nil {
		return nil, errNoDraft
	}
	d := &draft{person: person, Draft: licenses.Draft{ID: id}}
	var sealed []byte
	var changed int64
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		if d.Application, err = submittedAs(ctx, tx, person, id); err != nil || d.Application != "" {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT agency, kind, holder, type, body, changed_at FROM license_drafts WHERE person = $1 AND id = $2", person, id).
			Scan(&d.shelf.agency, &d.shelf.kind, &d.shelf.holder, &d.Type, &sealed, &changed)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errNoDraft
	case err != nil:
		return nil, fmt.Errorf("find draft: %w", err)
	case d.Application != "":
		return d, nil
	}
	plain, err := s.sealer.Open(ctx, sealed, draftAAD(person, id))
	if err != nil {
		return nil, fmt.Errorf("open draft: %w", err)
	}
	var body draftBody
	if json.Unmarshal(plain, &body) != nil { // its error could quote the data
		return nil, errors.New("decode draft")
	}
	d.Agency, d.Values, d.Changed = body.Agency, body.Values, db.Time(changed)
	if d.shelf.agency != "" {
		d.Agency = d.shelf.agency
	}
	return d, nil
}

// drafts returns what a person has on a shelf, what was changed last first, without
// its contents.
func (s *Service) drafts(ctx context.Context, person string, on shelf) (list []licenses.Draft, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, type, changed_at FROM license_drafts WHERE person = $1 AND agency = $2 AND kind = $3
			AND holder = $4 AND `+unsent+" ORDER BY changed_at DESC, id DESC", person, on.agency, on.kind, on.holder)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			d := licenses.Draft{Agency: on.agency}
			var changed int64
			if err := rows.Scan(&d.ID, &d.Type, &changed); err != nil {
				return err
			}
			d.Changed = db.Time(changed)
			list = append(list, d)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list drafts: %w", err)
	}
	return list, nil
}

// dropDraft throws away a draft on a person's shelf, or fails with errNoDraft.
func (s *Service) dropDraft(ctx context.Context, person, id string, on shelf) error {
	if _, err := db.IDBytes(id); err != nil {
		return errNoDraft
	}
	var ok bool
	err := s.db.Update(ctx, func(tx db.Tx) (err error) {
		ok, err = moved(ctx, tx, "DELETE FROM license_drafts WHERE person = $1 AND id = $2 AND agency = $3 AND kind = $4 AND holder = $5",
			person, id, on.agency, on.kind, on.holder)
		return err
	})
	if err != nil {
		return fmt.Errorf("throw draft away: %w", err)
	}
	if !ok {
		return errNoDraft
	}
	s.metrics.drafts.WithLabelValues("thrown away").Inc()
	return nil
}
