package licenses

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// Kind is how one licence takes the place of another.
type Kind string

// The kinds of replacement.
const (
	Renewed   Kind = "renewed"   // for a further period, from a while before the end
	Changed   Kind = "changed"   // other data, the same dates
	Reprinted Kind = "reprinted" // the same, after the paper was lost or copied
)

// Replacement asks for the next version of a licence.
type Replacement struct {
	Kind     Kind           `json:"kind"`
	Reason   string         `json:"reason"`
	Data     map[string]any `json:"data,omitempty"`      // all of it; nil keeps the old ones, which a change may not
	NotAfter string         `json:"not_after,omitempty"` // of a renewal: last day, or RFC 3339 (exclusive); "" means as long as the type says
	Key      string         `json:"-"`                   // idempotency key, unique per client
}

// hash binds the key to the licence and what was asked.
func (r Replacement) hash(id string) ([]byte, error) {
	b, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("replace "+id+"\x00"), b...))
	return sum[:], nil
}

// Replace issues the next version of a licence that is in force: the same number
// and holder, a credential of its own with a place of its own in the status lists.
// The old one is replaced in the transaction that stores the new permit, and is in
// force until then. The caller's agency has issued it, or taken the place of the
// agency that did, and has authority for the type.
//
// It fails with kind Conflict if the licence is not in force, if another
// replacement was first or if it is too early to renew, with ErrParty for a person who
// has a part in the licence, and with kind Invalid, naming every problem, for data
// that break the type's schema of today.
func (s *Service) Replace(ctx context.Context, caller web.Caller, id string, r Replacement) (*License, error) {
	l, err := s.replace(ctx, caller, id, r)
	if err != nil {
		return nil, fmt.Errorf("replace licence: %w", err)
	}
	return l, nil
}

func (s *Service) replace(ctx context.Context, caller web.Caller, id string, r Replacement) (*License, error) {
	if err := checkAct(Revoke, r.Reason, r.Key); err != nil {
		return nil, err
	}
	if err := checkKey(r.Key); err != nil {
		return nil, err
	}
	agency, err := s.registry.FindAgency(ctx, caller.Agency)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, "this client belongs to no agency", err)
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	if _, err := s.owner(ctx, caller, id, now); err != nil {
		return nil, err
	}
	hash, err := r.hash(id)
	if err != nil {
		return nil, err
	}
	d := &draft{key: r.Key, hash: hash, lic: &License{hash: hash}}
	// Read before the key is looked for: whoever finds it replaced finds the key of
	// the one that did it.
	old, err := s.Any(ctx, id)
	if err != nil {
		return nil, err
	}
	if used, err := s.ByKey(ctx, caller.ClientID, r.Key); err == nil {
		return s.again(ctx, caller, d, used)
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if err := s.succeed(ctx, d, old, agency, r, now); err != nil {
		return nil, err
	}
	return s.beginReplacement(ctx, caller, d, old, r)
}

// again answers a key that was used before.
func (s *Service) again(ctx context.Context, caller web.Caller, d *draft, used *License) (*License, error) {
	if !bytes.Equal(used.hash, d.hash) {
		return nil, errReplayed
	}
	if err := s.replay(ctx, caller, []*draft{d}); err != nil {
		return nil, err
	}
	return d.lic, d.err
}

// succeed fills the draft of the version that comes after old.
func (s *Service) succeed(ctx context.Context, d *draft, old *License, agency registry.Agency, r Replacement, now time.Time) error {
	switch {
	case old.Status == Expired, old.Status == Issued && !now.Before(old.NotAfter):
		return fault.New(fault.Conflict, "a licence past its end cannot be replaced: it takes a new one")
	case old.Status != Issued:
		return fault.New(fault.Conflict, fmt.Sprintf("a licence that is %s cannot be replaced", old.Status))
	case old.Version >= maxVersion:
		return fault.New(fault.Conflict, "the licence has had as many versions as an identifier can name")
	}
	t := s.newest(old.Type)
	if r.Kind == Reprinted {
		t = s.typeOf(old)
	}
	if t == nil {
		return fault.New(fault.Unavailable, "this version of the licence type is not known here yet")
	}
	d.record = record{TypeVersion: t.Version, Issuer: agency.USCC, HolderName: old.holderName, HolderID: old.Holder, Data: old.Data,
		NotBefore: old.NotBefore.Unix(), NotAfter: old.NotAfter.Unix()}
	if err := d.apply(t, old, r, now); err != nil {
		return err
	}
	d.lic = &License{ID: db.NewID(), Number: old.Number, Version: old.Version + 1, Type: old.Type, TypeVersion: t.Version, Agency: agency.ID,
		Status: Signing, Created: now, Changed: now, holderRef: old.holderRef, requestKey: r.Key, hash: d.hash}
	if r.Kind == Reprinted {
		return nil
	}
	return s.rename(ctx, t.Holder, d)
}

// apply changes what the kind of replacement changes, or names every problem.
func (d *draft) apply(t *Type, old *License, r Replacement, now time.Time) error {
	var problems []Problem
	if r.Data != nil {
		d.record.Data = r.Data
	}
	switch r.Kind {
	case Renewed:
		if from := t.renewFrom(old.NotAfter); now.Before(from) {
			return fault.New(fault.Conflict, "it is too early to renew: from "+from.In(shanghai).Format(time.DateOnly)+" on")
		}
		problems = d.extend(t, old, r, now)
	case Changed:
		if r.Data == nil {
			problems = append(problems, Problem{"/data", text("为必填项", "is missing")})
		}
	case Reprinted:
		if !t.Reprint {
			return fault.New(fault.Conflict, "licences of this type are not printed once more")
		}
		if r.Data != nil {
			problems = append(problems, Problem{"/data", text("补证不能变更内容", "is the same in a reprint")})
		}
	default:
		return fault.New(fault.Invalid, "a licence is renewed, changed or reprinted")
	}
	if r.Kind != Renewed && r.NotAfter != "" {
		problems = append(problems, Problem{"/not_after", text("只能在延续时变更", "changes only when it is renewed")})
	}
	if r.Kind != Reprinted && d.record.Data != nil {
		if err := t.schema.Validate(d.record.Data); err != nil {
			problems = append(problems, schemaProblems(err)...)
		}
	}
	if len(problems) > 0 {
		return refuse("the request has problems", problems...)
	}
	return nil
}

// extend sets the period of a renewal. It begins today and not when the old one
// ends, since the old one counts no longer; it ends the type's years after the old
// end, and no later than any permit may.
func (d *draft) extend(t *Type, old *License, r Replacement, now time.Time) []Problem {
	day := now.In(shanghai)
	from := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, shanghai)
	until := old.NotAfter.In(shanghai).AddDate(t.Years, 0, 0)
	if most := from.AddDate(maxYears, 0, 0); until.After(most) {
		until = most
	}
	if r.NotAfter != "" {
		var problems []Problem
		if _, until, problems = dates(Request{NotAfter: r.NotAfter}, t.Years, now); len(problems) > 0 {
			return problems
		}
	}
	if !until.After(old.NotAfter) {
		return []Problem{{"/not_after", text("须晚于原有效期", "must come after the end of the licence that is renewed")}}
	}
	d.record.NotBefore, d.record.NotAfter = from.Unix(), until.Unix()
	return nil
}

// rename takes the holder's name of today.
func (s *Service) rename(ctx context.Context, kind string, d *draft) error {
	if kind == HolderFirm {
		f, err := s.registry.FindFirm(ctx, d.lic.holderRef)
		d.record.HolderName = f.Name
		return err
	}
	p, err := s.registry.PersonByID(ctx, d.lic.holderRef)
	d.record.HolderName = p.Name
	return err
}

// beginReplacement records the next version and signs it.
func (s *Service) beginReplacement(ctx context.Context, caller web.Caller, d *draft, old *License, r Replacement) (*License, error) {
	key, signer, err := s.ring.Active(ctx, keys.PurposePermit, d.lic.Agency)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "the agency has no permit key in use", err)
	}
	fresh, err := s.intend(ctx, caller, d, old, r)
	if err != nil {
		return nil, err
	}
	if !fresh {
		err := s.replay(ctx, caller, []*draft{d})
		return d.lic, errors.Join(err, d.err)
	}
	return d.lic, s.complete(ctx, []*License{d.lic}, key, signer)
}

// intend seals the draft and records it. It reports false if somebody was faster
// with the same key.
func (s *Service) intend(ctx context.Context, caller web.Caller, d *draft, old *License, r Replacement) (fresh bool, err error) {
	places, err := s.counters.take(ctx, placeCounter, 1)
	if err != nil {
		return false, err
	}
	d.lic.place = places[0]
	if err := s.seal(ctx, caller, d); err != nil {
		return false, err
	}
	err = s.db.Update(ctx, func(tx db.Tx) (err error) {
		fresh, err = s.recordReplacement(ctx, tx, caller, d, old, r)
		return err
	})
	return fresh, err
}

// recordReplacement takes the old licence by compare-and-swap, which makes one of
// several the winner, and writes the new one with its intent.
func (s *Service) recordReplacement(ctx context.Context, tx db.Tx, caller web.Caller, d *draft, old *License, r Replacement) (bool, error) {
	l := d.lic
	taken, err := ids(ctx, tx, `UPDATE licenses SET status = $1, changed_at = $2 WHERE id = $3 AND status = $4 AND not_after > $2
		AND NOT EXISTS (SELECT 1 FROM license_signing g WHERE g.license = licenses.id) RETURNING id`, replacing, db.Micros(l.Created), old.ID, string(Issued))
	if err != nil {
		return false, err
	}
	if len(taken) == 0 {
		used, err := ids(ctx, tx, "SELECT id FROM licenses WHERE client = $1 AND request_key = $2", caller.ClientID, l.requestKey)
		if err == nil && len(used) == 0 {
			err = fault.New(fault.Conflict, "the licence has been changed or replaced meanwhile")
		}
		return false, err
	}
	if err := s.recuse(ctx, tx, caller, old.ID, l.Created); err != nil {
		return false, err
	}
	made, err := ids(ctx, tx, `INSERT INTO licenses (id, number, type, agency, holder_kind, holder, record, status, place, client,
		request_key, request_hash, not_after, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (client, request_key) DO NOTHING RETURNING id`, l.ID, versionedNumber(l.Number, l.Version), l.Type, l.Agency, s.typeOf(l).Holder,
		l.holderRef, d.sealed, string(Issued), l.place, l.client, l.requestKey, l.hash, db.Micros(l.NotAfter), db.Micros(l.Created), db.Micros(l.Changed))
	if err != nil {
		return false, err
	}
	if len(made) == 0 {
		return false, errReplayed // and the old licence stays as it is
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO license_signing (license, created_at) VALUES ($1, $2)", l.ID, db.Micros(l.Created)); err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO license_replacements (license, replaces, number, version, kind) VALUES ($1, $2, $3, $4, $5)",
		l.ID, old.ID, l.Number, l.Version, string(r.Kind)); err != nil {
		return false, err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: EventIntent, Actor: caller.Actor(), Object: "license:" + l.ID,
		Data: map[string]any{"number": l.Number, "type": l.Type, "agency": l.Agency, "place": l.place, "request": l.hash,
			"version": int64(l.Version), "replaces": old.ID, "replacement": string(r.Kind), "reason": r.Reason}})
	return err == nil, err
}

func (s *Service) postReplace(kind Kind) func(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	return func(w http.ResponseWriter, r *http.Request, c web.Caller) error {
		var body struct {
			Reason   string         `json:"reason"`
			Data     map[string]any `json:"data"`
			NotAfter string         `json:"not_after"`
		}
		if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
			return err
		}
		l, err := s.Replace(r.Context(), c, r.PathValue("id"), Replacement{Kind: kind, Reason: body.Reason, Data: body.Data,
			NotAfter: body.NotAfter, Key: r.Header.Get("Idempotency-Key")})
		if err != nil {
			return err
		}
		w.Header().Set("Location", "/licenses/v1/licenses/"+l.ID)
		return web.WriteJSON(w, http.StatusCreated, l)
	}
}
