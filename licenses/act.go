package licenses

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Act is something that an agency does to an issued licence.
type Act string

// The acts.
const (
	Suspend Act = "suspend"
	Resume  Act = "resume"
	Revoke  Act = "revoke"
)

const maxReason = 500 // characters

// edge returns the states from which an act leads, and where to.
func (a Act) edge() (from []Status, to Status) {
	switch a {
	case Suspend:
		return []Status{Issued}, Suspended
	case Resume:
		return []Status{Suspended}, Issued
	case Revoke:
		return []Status{Issued, Suspended, replacing}, Revoked
	}
	return nil, ""
}

// Act changes the status of a licence of the caller's agency, or of one whose place
// it has taken, and returns the licence. The agency has authority for the type; a
// person who holds the licence, or acts for the firm that does, fails with ErrParty.
// With an idempotency key, a repetition of the same act is answered like the first;
// without one ("") it is a conflict. Nor does anybody act on a licence whose next
// version is being signed, but where that is held up it is revoked with its next
// version: a key that does not sign keeps no permit in force.
func (s *Service) Act(ctx context.Context, caller web.Caller, id string, act Act, reason, key string) (*License, error) {
	if err := checkAct(act, reason, key); err != nil {
		return nil, err
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	owner, err := s.owner(ctx, caller, id, now)
	if err != nil {
		return nil, fmt.Errorf("%s licence: %w", act, err)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{id, string(act), reason}, "\x00")))
	var changed bool
	err = s.db.Update(ctx, func(tx db.Tx) (err error) {
		changed, err = s.act(ctx, tx, caller, owner, id, act, reason, key, sum[:], now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s licence: %w", act, err)
	}
	if changed {
		s.metrics.acts.WithLabelValues(string(act)).Inc()
		s.changed()
	}
	return s.Find(ctx, caller.Agency, id)
}

func checkAct(act Act, reason, key string) error {
	if _, to := act.edge(); to == "" {
		return fault.New(fault.Invalid, "the act is suspend, resume or revoke")
	}
	if n := utf8.RuneCountInString(reason); n < 1 || n > maxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return fault.InvalidInput("a reason is required", fault.Problem{Path: "/reason",
			Message: fmt.Sprintf("want 1 to %d characters, none of them a control character", maxReason)})
	}
	if key == "" {
		return nil
	}
	return checkKey(key)
}

// act does the work of Act in a transaction and reports whether it changed
// anything.
func (s *Service) act(ctx context.Context, tx db.Tx, caller web.Caller, owner, id string, act Act, reason, key string, hash []byte, now time.Time) (bool, error) {
	var was Status
	var place, end int64
	err := tx.QueryRowContext(ctx, "SELECT "+state+", l.place, l.not_after FROM licenses l LEFT JOIN license_signing g ON g.license = l.id "+
		"WHERE l.id = $1 AND l.agency = $2", id, owner).Scan(&was, &place, &end)
	if errors.Is(err, sql.ErrNoRows) {
		return false, ErrNotFound
	}
	if err != nil {
		return false, err
	}
	if key != "" {
		if fresh, err := useKey(ctx, tx, caller.ClientID, key, id, hash, now); err != nil || !fresh {
			return false, err
		}
	}
	if err := s.recuse(ctx, tx, caller, id, now); err != nil {
		return false, err
	}
	from, to := act.edge()
	if was.expiredAt(db.Time(end), now) == Expired {
		return false, cannot(Expired, from)
	}
	states := make([]any, len(from))
	for i, f := range from {
		states[i] = string(f)
	}
	args := append([]any{string(to), reason, db.Micros(now), id, db.Micros(now.Add(-sweepGrace))}, states...)
	moved, err := ids(ctx, tx, `UPDATE licenses SET status = $1, reason = $2, changed_at = $3 WHERE id = $4 AND (status <> '`+replacing+`' OR `+heldUp+` < $5)
		AND status IN (`+placeholders(6, len(from))+`) AND NOT EXISTS (SELECT 1 FROM license_signing g WHERE g.license = licenses.id) RETURNING id`, args...)
	if err != nil {
		return false, err
	}
	if len(moved) == 0 {
		return false, cannot(was, from)
	}
	if err := s.noteChange(ctx, tx, place, to); err != nil {
		return false, err
	}
	data := map[string]any{"from": string(was), "to": string(to), "reason": reason}
	if to == Revoked {
		if err := s.revokeNext(ctx, tx, id, reason, now, data); err != nil {
			return false, err
		}
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: EventAct + "." + string(act), Actor: caller.Actor(), Object: "license:" + id, Data: data})
	return err == nil, err
}

// cannot says why an act from these states changed nothing.
func cannot(was Status, from []Status) error {
	if slices.Contains(from, was) {
		return fault.New(fault.Conflict, "the licence is being replaced: try again in a moment")
	}
	return fault.New(fault.Conflict, fmt.Sprintf("a licence that is %s cannot be changed so", was))
}

// useKey claims an idempotency key for an act. fresh is false if the same act
// has claimed it before.
func useKey(ctx context.Context, tx db.Tx, client, key, id string, hash []byte, now time.Time) (fresh bool, err error) {
	new, err := ids(ctx, tx, `INSERT INTO license_acts (client, request_key, request_hash, license, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (client, request_key) DO NOTHING RETURNING license`, client, key, hash, id, db.Micros(now))
	if err != nil || len(new) > 0 {
		return err == nil, err
	}
	var before []byte
	err = tx.QueryRowContext(ctx, "SELECT request_hash FROM license_acts WHERE client = $1 AND request_key = $2", client, key).Scan(&before)
	if err == nil && !bytes.Equal(before, hash) {
		return false, errReplayed
	}
	return false, err
}
