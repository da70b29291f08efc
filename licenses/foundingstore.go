package licenses

import (
	"context"
	"database/sql"
	"encoding/json/v2"
	"errors"
	"fmt"
	"log/slog"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// foundingBody is what is sealed of a founding: nobody is to read in a database what
// firms are planned.
type foundingBody struct {
	Name string         `json:"name"`
	Data map[string]any `json:"data"`
}

func foundingAAD(id string) []byte     { return []byte("license founding " + id) }
func foundingNoteAAD(id string) []byte { return []byte("license founding note " + id) }

func (s *Service) sealFounding(ctx context.Context, f *Founding) ([]byte, error) {
	plain, err := json.Marshal(foundingBody{f.Name, f.Data}, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return s.ring.Seal(ctx, plain, foundingAAD(f.ID))
}

// insert writes the founding with the state that it has and reports whether its key was
// new. The event of one that waits is written with it; that of one that is founded is
// the founding's.
func (f *Founding) insert(ctx context.Context, tx db.Tx, body []byte) (bool, error) {
	res, err := tx.ExecContext(ctx, `INSERT INTO license_foundings (id, agency, person, submitter, client, request_key, request_hash, body, state, decider,
		firm, license, cert_order, created_at, decided_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (client, request_key) DO NOTHING`, f.ID, f.Agency, f.Person, f.Submitter, f.client, f.key, f.hash, body, string(f.State), f.Decider,
		f.Firm, f.LicenseID, f.Order, db.Micros(f.Created), foundingTime(f), db.Micros(f.Created))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 || f.State != FoundingSubmitted {
		return n > 0, err
	}
	return true, f.event(ctx, tx, EventFoundingSubmit, f.Submitter)
}

// foundingTime is when it was decided, 0 for never.
func foundingTime(f *Founding) int64 {
	if f.Decided.IsZero() {
		return 0
	}
	return db.Micros(f.Decided)
}

// where is what an event says of the agencies.
func (f *Founding) where() map[string]any {
	data := map[string]any{"agency": f.Registrar()}
	if f.Office != "" {
		data["asked"] = f.Agency
	}
	return data
}

func (f *Founding) event(ctx context.Context, tx db.Tx, kind, actor string) error {
	_, err := audit.Append(ctx, tx, audit.Event{Kind: kind, Actor: actor, Object: "founding:" + f.ID, Data: f.where()})
	return err
}

// move takes a founding that waits to the state that f has, by compare-and-swap, and
// reports whether it did. note is why, sealed.
func (f *Founding) move(ctx context.Context, tx db.Tx, note []byte) (bool, error) {
	res, err := tx.ExecContext(ctx, `UPDATE license_foundings SET state = $1, decider = $2, note = $3, firm = $4, license = $5, cert_order = $6, decided_at = $7, changed_at = $8,
		office = $9 WHERE id = $10 AND state = 'submitted'`, string(f.State), f.Decider, note, f.Firm, f.LicenseID, f.Order, foundingTime(f), foundingTime(f), f.Office, f.ID)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

const foundingColumns = `id, agency, office, person, submitter, client, request_key, request_hash, body, state, decider, note, firm, license, cert_order, created_at, decided_at`

// findFoundings returns the foundings for which where holds.
func (s *Service) findFoundings(ctx context.Context, where string, args ...any) (list []*Founding, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT `+foundingColumns+` FROM license_foundings WHERE `+where, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			f, err := s.scanFounding(ctx, rows)
			if err != nil {
				return err
			}
			list = append(list, f)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("find foundings: %w", err)
	}
	return list, nil
}

func (s *Service) scanFounding(ctx context.Context, rows *sql.Rows) (*Founding, error) {
	f, body, note, err := readFounding(rows)
	if err != nil {
		return nil, err
	}
	return f, s.openFounding(ctx, f, body, note)
}

// readFounding reads a row of foundingColumns. What is sealed of it stays so.
func readFounding(rows *sql.Rows) (f *Founding, body, note []byte, err error) {
	f = &Founding{}
	var created, decided int64
	err = rows.Scan(&f.ID, &f.Agency, &f.Office, &f.Person, &f.Submitter, &f.client, &f.key, &f.hash, &body, &f.State, &f.Decider, &note, &f.Firm, &f.LicenseID, &f.Order, &created, &decided)
	if err != nil {
		return nil, nil, nil, err
	}
	f.Created = db.Time(created)
	if decided != 0 {
		f.Decided = db.Time(decided)
	}
	return f, body, note, nil
}

// openFounding adds to f what is sealed of it.
func (s *Service) openFounding(ctx context.Context, f *Founding, body, note []byte) error {
	plain, err := s.ring.Open(ctx, body, foundingAAD(f.ID))
	if err != nil {
		return fmt.Errorf("open founding %s: %w", f.ID, err)
	}
	var b foundingBody
	if json.Unmarshal(plain, &b) != nil { // its error could quote the data
		return errors.New("decode founding " + f.ID)
	}
	f.Name, f.Data = b.Name, b.Data
	if len(note) > 0 {
		reason, err := s.ring.Open(ctx, note, foundingNoteAAD(f.ID))
		if err != nil {
			return fmt.Errorf("open note of founding %s: %w", f.ID, err)
		}
		f.Reason = string(reason)
	}
	return nil
}

// oneFounding returns the founding for which where holds, ErrNoFounding for none.
func (s *Service) oneFounding(ctx context.Context, where string, args ...any) (*Founding, error) {
	list, err := s.findFoundings(ctx, where, args...)
	if err == nil && len(list) != 1 {
		err = ErrNoFounding
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// withLicense adds the licence to a founding that has one, and signs it if nobody has
// come to that yet. What cannot be signed now is the sweeper's.
func (s *Service) withLicense(ctx context.Context, f *Founding) (err error) {
	if f.LicenseID == "" {
		return nil
	}
	if f.License, err = s.Any(ctx, f.LicenseID); err != nil || f.License.Status != Signing {
		return err
	}
	if err := s.finish(ctx, []*License{f.License}); err != nil {
		s.log.WarnContext(ctx, "licence of a new firm left to the sweeper", slog.String("license", f.LicenseID), slog.Any("error", err))
	}
	return nil
}
