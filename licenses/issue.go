package licenses

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json/v2"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses/permit"
)

// Batch is the most requests that one call of Issue takes.
const Batch = 256

// Keyed is a request with its idempotency key, unique per client.
type Keyed struct {
	Key   string
	Asked string // the agency that was asked for it, whose place the caller's has taken; "" for the caller's own
	Request
}

// Result is what became of one request: a licence, or an error.
type Result struct {
	License  *License
	Replayed bool // the key had been used before, with the same request
	Err      error
}

// Issue issues up to Batch licences in two transactions and returns a result for
// each request, in order. What it returns as issued is durable. The error is for
// failures of the whole: nothing is then known of any request, and all can be
// sent again with the same keys.
func (s *Service) Issue(ctx context.Context, caller web.Caller, requests []Keyed) ([]Result, error) {
	if len(requests) > Batch {
		return nil, fault.New(fault.TooLarge, fmt.Sprintf("at most %d licences at a time", Batch))
	}
	agency, err := s.registry.FindAgency(ctx, caller.Agency)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, "this client belongs to no agency", err)
	}
	drafts, err := s.drafts(ctx, agency, requests)
	if err != nil {
		return nil, err
	}
	if err := s.answered(ctx, caller, drafts); err != nil {
		return nil, fmt.Errorf("issue licences: %w", err)
	}
	well := slices.DeleteFunc(slices.Clone(drafts), func(d *draft) bool { return d.err != nil || d.replayed })
	if len(well) > 0 {
		if err := s.begin(ctx, caller, agency, well); err != nil {
			s.metrics.issued.WithLabelValues("failed").Add(float64(len(well)))
			return nil, fmt.Errorf("issue licences: %w", err)
		}
	}
	return s.results(drafts), nil
}

// drafts checks the requests and finds their holders.
func (s *Service) drafts(ctx context.Context, agency registry.Agency, requests []Keyed) ([]*draft, error) {
	now := s.now().UTC().Truncate(time.Microsecond)
	drafts := make([]*draft, len(requests))
	for i, r := range requests {
		d := &draft{req: r.Request, key: r.Key}
		drafts[i] = d
		if d.err = checkKey(r.Key); d.err != nil {
			continue
		}
		if d.err = s.check(d, agency, now); d.err != nil {
			continue
		}
		may, err := s.mayFor(ctx, agency, r.Asked, r.Type, now)
		if err != nil {
			return nil, fmt.Errorf("issue licences: %w", err)
		}
		if !may {
			d.err = fault.New(fault.Denied, "this agency has no authority for the licence type")
		}
	}
	return drafts, s.resolve(ctx, drafts)
}

// begin numbers, records and signs the drafts that are well.
func (s *Service) begin(ctx context.Context, caller web.Caller, agency registry.Agency, drafts []*draft) error {
	key, signer, err := s.ring.Active(ctx, keys.PurposePermit, agency.ID)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "the agency has no permit key in use", err)
	}
	if err := s.number(ctx, agency, drafts); err != nil {
		return err
	}
	drafts = slices.DeleteFunc(slices.Clone(drafts), func(d *draft) bool {
		d.err = s.seal(ctx, caller, d)
		return d.err != nil
	})
	if len(drafts) == 0 {
		return nil
	}
	fresh, err := s.record(ctx, caller, drafts)
	if err != nil {
		return err
	}
	var sign []*License
	for _, d := range drafts {
		if fresh[d.lic.ID] {
			sign = append(sign, d.lic)
		}
	}
	if err := s.complete(ctx, sign, key, signer); err != nil {
		return err
	}
	return s.replay(ctx, caller, slices.DeleteFunc(drafts, func(d *draft) bool { return fresh[d.lic.ID] }))
}

// number gives each draft its place in the status lists and its number.
func (s *Service) number(ctx context.Context, agency registry.Agency, drafts []*draft) error {
	places, err := s.counters.take(ctx, placeCounter, len(drafts))
	if err != nil {
		return err
	}
	for i, d := range drafts {
		t := s.typeOf(d.lic)
		series := fmt.Sprintf("%s%s%d", t.NumberPrefix, agency.Area, d.lic.Created.In(shanghai).Year())
		n, err := s.counters.take(ctx, "number "+series, 1)
		if err != nil {
			return err
		}
		d.lic.place, d.lic.Number = places[i], fmt.Sprintf("%s%07d", series, n[0]+1)
	}
	return nil
}

// seal makes sure that a permit can be made of the draft before anything is
// recorded, and encrypts its record.
func (s *Service) seal(ctx context.Context, caller web.Caller, d *draft) (err error) {
	s.fill(d.lic, d.record)
	d.lic.client = caller.ClientID
	claims, err := s.claims(d.lic, d.lic.Created)
	if err != nil {
		return fault.InvalidInput("the data do not fit a permit", fault.Problem{Path: "/data", Message: err.Error()})
	}
	if err := claims.Validate(); err != nil {
		return fault.InvalidInput("the data do not fit a permit", fault.Problem{Path: "/data", Message: err.Error()})
	}
	if d.lic.hash = d.hash; d.hash == nil {
		if d.lic.hash, err = d.req.hash(); err != nil {
			return err
		}
	}
	plain, err := json.Marshal(d.record, json.Deterministic(true))
	if err != nil {
		return err
	}
	d.sealed, err = s.ring.Seal(ctx, plain, recordAAD(d.lic.ID))
	return err
}

// record writes the drafts with their intent events, as being signed, and returns
// the ids of those that are new; the others' keys have been used before. The
// status that it writes is the one after signing: see license_signing.
func (s *Service) record(ctx context.Context, caller web.Caller, drafts []*draft) (fresh map[string]bool, err error) {
	args := s.rows(drafts)
	err = s.db.Update(ctx, func(tx db.Tx) (err error) {
		fresh, err = recordTx(ctx, tx, caller.Actor(), drafts, args)
		return err
	})
	return fresh, err
}

const recordCols = 15

// rows returns the values that recordTx writes: recordCols for each draft.
func (s *Service) rows(drafts []*draft) []any {
	args := make([]any, 0, len(drafts)*recordCols)
	for _, d := range drafts {
		l := d.lic
		args = append(args, l.ID, l.Number, l.Type, l.Agency, s.typeOf(l).Holder, l.holderRef, d.sealed, string(Issued), l.place,
			l.client, l.requestKey, l.hash, db.Micros(l.NotAfter), db.Micros(l.Created), db.Micros(l.Changed))
	}
	return args
}

// recordTx is record in the caller's transaction, with what rows made of the drafts.
func recordTx(ctx context.Context, tx db.Tx, actor string, drafts []*draft, args []any) (fresh map[string]bool, err error) {
	fresh = map[string]bool{}
	for values, some := range db.Inserts(recordCols, args) {
		found, err := ids(ctx, tx, `INSERT INTO licenses (id, number, type, agency, holder_kind, holder, record, status, place, client,
			request_key, request_hash, not_after, created_at, changed_at) VALUES `+values+`
			ON CONFLICT (client, request_key) DO NOTHING RETURNING id`, some...)
		if err != nil {
			return nil, err
		}
		maps.Copy(fresh, found)
	}
	signing := make([]any, 0, len(fresh)*2)
	events := make([]audit.Event, 0, len(fresh))
	for _, d := range drafts {
		if l := d.lic; fresh[l.ID] {
			signing = append(signing, l.ID, db.Micros(l.Created))
			events = append(events, audit.Event{Kind: EventIntent, Actor: actor, Object: "license:" + l.ID,
				Data: map[string]any{"number": l.Number, "type": l.Type, "agency": l.Agency, "place": l.place, "request": l.hash}})
		}
	}
	for values, some := range db.Inserts(2, signing) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO license_signing (license, created_at) VALUES `+values, some...); err != nil {
			return nil, err
		}
	}
	_, err = audit.Append(ctx, tx, events...)
	return fresh, err
}

// ids runs a statement that returns identifiers.
func ids(ctx context.Context, tx db.Tx, query string, args ...any) (map[string]bool, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	found := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		found[id] = true
	}
	return found, rows.Err()
}

// signed is a permit on its way into the database.
type signed struct {
	lic    *License
	text   string
	sealed []byte
	hash   [16]byte // of the Sig_structure: what a list of genuine permits would hold
}

// complete signs licences in state signing and records the outcome. Where
// somebody else was faster, their permit stands and is loaded.
func (s *Service) complete(ctx context.Context, list []*License, key keys.Key, signer crypto.Signer) error {
	if len(list) == 0 {
		return nil
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	done, err := s.sign(ctx, list, key, signer, now)
	if err != nil {
		return err
	}
	moved, err := s.outcome(ctx, done, key.ID, now)
	if err != nil {
		return err
	}
	s.metrics.issued.WithLabelValues("issued").Add(float64(len(moved)))
	for _, d := range done {
		if moved[d.lic.ID] && d.lic.Version > 1 {
			s.metrics.acts.WithLabelValues("replace").Inc()
			s.changed()
		}
		if moved[d.lic.ID] && d.lic.Version == 1 {
			d.lic.Status, d.lic.Permit, d.lic.Changed = Issued, d.text, now
		} else if err := s.reload(ctx, d.lic); err != nil { // a later version may have been revoked meanwhile
			return err
		}
	}
	return nil
}

func (s *Service) sign(ctx context.Context, list []*License, key keys.Key, signer crypto.Signer, now time.Time) ([]signed, error) {
	alg, err := permit.Algorithm(key.Alg)
	if err != nil {
		return nil, err
	}
	by := permit.Signer{KID: permit.KID(key.Certificate), Alg: alg, Key: signer}
	done := make([]signed, len(list))
	for i, l := range list {
		claims, err := s.claims(l, now)
		if err != nil {
			return nil, err
		}
		text, hash, err := permit.Encode(claims, by, s.typeOf(l).dictionary())
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, "the agency's permit key does not sign now", err)
		}
		sealed, err := s.ring.Seal(ctx, []byte(text), permitAAD(l.ID))
		if err != nil {
			return nil, err
		}
		done[i] = signed{lic: l, text: text, sealed: sealed, hash: hash}
	}
	return done, nil
}

// outcome ends the signing of the licences and returns those whose signing it
// ended: who deletes the row in license_signing writes the permit, and nobody else.
func (s *Service) outcome(ctx context.Context, done []signed, key string, now time.Time) (moved map[string]bool, err error) {
	var args []any
	for i := range 1 << bits.Len(uint(len(done)-1)) { // a power of two, for few texts: the last one is repeated
		args = append(args, done[min(i, len(done)-1)].lic.ID)
	}
	query := `DELETE FROM license_signing WHERE license IN (` + placeholders(1, len(args)) + `) RETURNING license`
	err = s.db.Update(ctx, func(tx db.Tx) error {
		if moved, err = ids(ctx, tx, query, args...); err != nil || len(moved) == 0 {
			return err
		}
		permits := make([]any, 0, len(moved)*4)
		events := make([]audit.Event, 0, len(moved))
		for _, d := range done {
			if !moved[d.lic.ID] {
				continue
			}
			permits = append(permits, d.lic.ID, key, db.Micros(now), d.sealed)
			events = append(events, audit.Event{Kind: EventOutcome, Actor: "system", Object: "license:" + d.lic.ID,
				Data: map[string]any{"number": d.lic.Number, "key": key, "signed": d.hash[:]}})
		}
		for values, some := range db.Inserts(4, permits) {
			if _, err := tx.ExecContext(ctx, `INSERT INTO permits (license, key, issued_at, body) VALUES `+values, some...); err != nil {
				return err
			}
		}
		for _, d := range done {
			if d.lic.Version == 1 || !moved[d.lic.ID] {
				continue
			}
			e, err := s.supersede(ctx, tx, d.lic, now)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		_, err := audit.Append(ctx, tx, events...)
		return err
	})
	return moved, err
}

// The kinds of the events that this package writes.
const (
	EventIntent  = "license.issue.intent"
	EventOutcome = "license.issue.outcome"
	EventAct     = "license.act" // .suspend, .resume, .revoke, .replace
)

// reload reads the licence once more, into l.
func (s *Service) reload(ctx context.Context, l *License) error {
	return s.db.Read(ctx, func(tx db.Tx) error {
		found, err := s.find(ctx, tx, "l.id = $1", l.ID)
		if err != nil {
			return err
		}
		if len(found) != 1 || found[0].Permit == "" {
			return fmt.Errorf("licence %s has neither been signed nor is it waiting", l.ID)
		}
		*l = *found[0]
		return nil
	})
}

// replay answers drafts whose keys have been used: with the licence of then, or
// with a conflict.
func (s *Service) replay(ctx context.Context, caller web.Caller, drafts []*draft) error {
	for _, d := range drafts {
		var found []*License
		err := s.db.Read(ctx, func(tx db.Tx) (err error) {
			found, err = s.find(ctx, tx, "l.client = $1 AND l.request_key = $2", caller.ClientID, d.key)
			return err
		})
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return errors.New("a licence with a used key is gone")
		}
		l := found[0]
		if !bytes.Equal(l.hash, d.lic.hash) {
			d.err = errReplayed
			continue
		}
		if l.Status == Signing {
			if err := s.finish(ctx, []*License{l}); err != nil {
				return err
			}
		}
		d.lic, d.replayed = l, true
	}
	return nil
}

// finish completes licences with their agencies' keys of today.
func (s *Service) finish(ctx context.Context, list []*License) error {
	byAgency := map[string][]*License{}
	for _, l := range list {
		byAgency[l.Agency] = append(byAgency[l.Agency], l)
	}
	for agency, some := range byAgency {
		key, signer, err := s.ring.Active(ctx, keys.PurposePermit, agency)
		if err != nil {
			return fault.Wrap(fault.Unavailable, "the agency has no permit key in use", err)
		}
		if err := s.complete(ctx, some, key, signer); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) results(drafts []*draft) []Result {
	results := make([]Result, len(drafts))
	for i, d := range drafts {
		switch {
		case d.err != nil:
			s.metrics.issued.WithLabelValues("refused").Inc()
			results[i] = Result{Err: d.err}
		case d.replayed:
			s.metrics.issued.WithLabelValues("replayed").Inc()
			results[i] = Result{License: d.lic, Replayed: true}
		default:
			results[i] = Result{License: d.lic}
		}
	}
	return results
}
