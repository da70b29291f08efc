package licenses

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// maxVersion is what fits into the identifier of GB/T 36904.
const maxVersion = 999

// Version is one of the licences that share a number.
type Version struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	Kind    Kind   `json:"kind,omitempty"` // how it took the place of the one before; "" for the first
}

// The column licenses.number is unique: from the second version on it holds the
// number and the version, after a point that no number has.
func versionedNumber(number string, version int) string {
	if version == 1 {
		return number
	}
	return fmt.Sprintf("%s.%03d", number, version)
}

func splitNumber(stored string) (number string, version int) {
	number, v, ok := strings.Cut(stored, ".")
	if !ok {
		return stored, 1
	}
	version, _ = strconv.Atoi(v) // written by versionedNumber
	return number, version
}

// History returns the versions of a licence by its number, the first one first, or
// nil while there is only that.
func (s *Service) History(ctx context.Context, number string) (list []Version, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, "SELECT version, license, replaces, kind FROM license_replacements WHERE number = $1 ORDER BY version", number)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var v Version
			var before string
			if err := rows.Scan(&v.Version, &v.ID, &before, &v.Kind); err != nil {
				return err
			}
			if len(list) == 0 {
				list = append(list, Version{Version: 1, ID: before})
			}
			list = append(list, v)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list versions of a licence: %w", err)
	}
	return list, nil
}

// supersede ends the licence whose place a signed one takes, in the transaction
// that stores the new permit: there is no moment with two permits or with none. Where
// the old one was revoked before, so was the new one: see revokeNext.
func (s *Service) supersede(ctx context.Context, tx db.Tx, l *License, now time.Time) (audit.Event, error) {
	var old string
	var place int64
	err := tx.QueryRowContext(ctx, `UPDATE licenses SET status = $1, changed_at = $2 WHERE status = $3
		AND id = (SELECT replaces FROM license_replacements WHERE license = $4) RETURNING id, place`,
		string(Revoked), db.Micros(now), replacing, l.ID).Scan(&old, &place)
	if errors.Is(err, sql.ErrNoRows) {
		return revokedBefore(ctx, tx, l)
	}
	if err != nil {
		return audit.Event{}, err
	}
	return audit.Event{Kind: EventAct + ".replace", Actor: "system", Object: "license:" + old,
		Data: map[string]any{"from": string(Issued), "to": string(Replaced), "by": l.ID}}, s.noteChange(ctx, tx, place, Revoked)
}

// revokedBefore tells in the log, behind the outcome, that a licence was revoked while
// it was being signed.
func revokedBefore(ctx context.Context, tx db.Tx, l *License) (audit.Event, error) {
	var old string
	err := tx.QueryRowContext(ctx, `SELECT o.id FROM license_replacements r JOIN licenses o ON o.id = r.replaces JOIN licenses n ON n.id = r.license
		WHERE r.license = $1 AND o.status = $2 AND n.status = $2`, l.ID, string(Revoked)).Scan(&old)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("licence %s replaces none that waits for it", l.ID)
	}
	return audit.Event{Kind: EventAct + ".revoke", Actor: "system", Object: "license:" + l.ID,
		Data: map[string]any{"from": string(Issued), "to": string(Revoked), "with": old}}, err
}

// heldUp is since when the next version of a licence has been waiting to be signed.
const heldUp = `(SELECT w.created_at FROM license_replacements r JOIN license_signing w ON w.license = r.license WHERE r.replaces = licenses.id)`

// revokeNext revokes the version of a revoked licence that is being signed, if there
// is one, and names it in the event's data: that permit counts neither now nor when it
// is signed.
func (s *Service) revokeNext(ctx context.Context, tx db.Tx, id, reason string, now time.Time, data map[string]any) error {
	var next string
	var place int64
	err := tx.QueryRowContext(ctx, `UPDATE licenses SET status = $1, reason = $2, changed_at = $3 WHERE status = $4
		AND id = (SELECT license FROM license_replacements WHERE replaces = $5) RETURNING id, place`,
		string(Revoked), reason, db.Micros(now), string(Issued), id).Scan(&next, &place)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	data["next"] = next
	return s.noteChange(ctx, tx, place, Revoked)
}

// checkReplaced says whether the licence before a signed version has ended.
func checkReplaced(ctx context.Context, tx db.Tx, l *License) error {
	if l.Version == 1 {
		return nil
	}
	ended, err := ids(ctx, tx, `SELECT o.id FROM license_replacements r JOIN licenses o ON o.id = r.replaces
		WHERE r.license = $1 AND o.status = $2 AND r.version = $3`, l.ID, string(Revoked), l.Version)
	if err == nil && len(ended) != 1 {
		err = errors.New("has not ended the licence that it replaces")
	}
	return err
}
