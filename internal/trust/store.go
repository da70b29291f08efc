package trust

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// kind is a kind of object.
type kind string

const (
	kindBundle   kind = "bundle"
	kindSnapshot kind = "snapshot"
	kindHead     kind = "head"
)

var kinds = []kind{kindSnapshot, kindBundle, kindHead}

// kept is how many snapshots and heads stay stored. Bundles all stay: each names
// the one before it.
const kept = 64

// actor stands in the events.
const actor = "system"

// errLost says that another replica published first.
var errLost = errors.New("another replica was first")

// object is something published. Times are seconds UTC.
type object struct {
	kind            kind
	seq             uint64
	hash            [32]byte // of body
	body            []byte
	inputs          string // what it was made from
	issued, expires int64
	covers          []uint32 // the lists of a snapshot

	snapshot *status.Snapshot // where it is one
	changes  []byte           // a new snapshot's, since the one before it; nil where there is no telling
}

// name stands in the events.
func (o *object) name() string { return fmt.Sprintf("%s:%d", o.kind, o.seq) }

// isFresh says whether the object was made from these inputs and less than the
// given share of its life has passed. Nothing is a fresh object, nor is what a clock
// that was ahead has dated further into the future than verifiers accept.
func (o *object) isFresh(inputs string, share float64, now time.Time) bool {
	if o == nil || o.inputs != inputs {
		return false
	}
	age := now.Unix() - o.issued
	return age >= -trust.Skew && float64(age) < share*float64(o.expires-o.issued)
}

// seqOf returns the sequence number, 0 for no object.
func (o *object) seqOf() uint64 {
	if o == nil {
		return 0
	}
	return o.seq
}

// produce publishes one object: it allocates the sequence number with the intent
// event, lets build sign the object and check open it again, and stores it with
// the outcome event. o has its kind, inputs and times. errLost is returned
// when another replica published the same kind since load.
func (p *Publisher) produce(ctx context.Context, o *object, build func(seq uint64, before *object) ([]byte, error), check func(*object) error) error {
	before := p.current[o.kind].Load()
	if err := p.intend(ctx, o, before.seqOf()); err != nil {
		return fmt.Errorf("begin %s: %w", o.kind, err)
	}
	var err error
	if o.body, err = build(o.seq, before); err != nil {
		return err
	}
	o.hash = sha256.Sum256(o.body)
	if err := check(o); err != nil {
		return fmt.Errorf("check what was signed: %w", err)
	}
	if o.kind == kindSnapshot {
		o.changes = stepFrom(before, o)
	}
	if err := p.settle(ctx, o, before.seqOf()); err != nil {
		return fmt.Errorf("store %s: %w", o.kind, err)
	}
	p.keep(o)
	p.metrics.published.WithLabelValues(string(o.kind)).Inc()
	return nil
}

// intend allocates the object's sequence number.
func (p *Publisher) intend(ctx context.Context, o *object, before uint64) error {
	return p.o.DB.Update(ctx, func(tx db.Tx) error {
		var seq, current int64
		if err := tx.QueryRowContext(ctx, `UPDATE trust_state SET allocated = allocated + 1 WHERE kind = $1
			RETURNING allocated, current`, string(o.kind)).Scan(&seq, &current); err != nil {
			return err
		}
		if uint64(current) != before {
			return errLost
		}
		o.seq = uint64(seq)
		_, err := audit.Append(ctx, tx, audit.Event{Kind: "trust." + string(o.kind) + ".intent", Actor: actor, Object: o.name(),
			Data: map[string]any{"seq": seq, "issued_at": o.issued, "expires_at": o.expires, "follows": current}})
		return err
	})
}

// settle stores the object and makes it the current one, unless what was current
// at its intent no longer is. Either way there is an outcome.
func (p *Publisher) settle(ctx context.Context, o *object, before uint64) error {
	var lost bool
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		result, err := tx.ExecContext(ctx, "UPDATE trust_state SET current = $1 WHERE kind = $2 AND current = $3",
			int64(o.seq), string(o.kind), int64(before))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if lost = n == 0; !lost {
			if err := insert(ctx, tx, o); err != nil {
				return err
			}
			if err := p.insertStep(ctx, tx, o, before); err != nil {
				return err
			}
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "trust." + string(o.kind) + ".outcome", Actor: actor, Object: o.name(),
			Data: map[string]any{"seq": int64(o.seq), "hash": o.hash[:], "published": !lost}})
		return err
	})
	if err == nil && lost {
		return errLost
	}
	return err
}

// insert stores the object and drops what is older than kept allows.
func insert(ctx context.Context, tx db.Tx, o *object) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO trust_objects (kind, seq, hash, body, inputs, issued_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, string(o.kind), int64(o.seq), o.hash[:], o.body, o.inputs,
		db.Micros(time.Unix(o.issued, 0)), db.Micros(time.Unix(o.expires, 0))); err != nil {
		return err
	}
	if o.kind == kindBundle {
		return nil
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM trust_objects WHERE kind = $1 AND seq <= $2", string(o.kind), int64(o.seq)-kept)
	return err
}

// load brings into memory what another replica, or an earlier process, published.
func (p *Publisher) load(ctx context.Context) error {
	var found []*object
	err := p.o.DB.Read(ctx, func(tx db.Tx) error {
		found = nil
		for _, k := range kinds {
			o, err := read(ctx, tx, k, p.current[k].Load().seqOf())
			if err != nil {
				return err
			}
			if o != nil {
				found = append(found, o)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load what is published: %w", err)
	}
	for _, o := range found {
		if sha256.Sum256(o.body) != o.hash {
			return fmt.Errorf("load what is published: %s is not what was stored", o.name())
		}
		if o.kind == kindSnapshot {
			s, err := status.Parse(o.body)
			if err != nil {
				return fmt.Errorf("load what is published: %w", err)
			}
			o.covers, o.snapshot = covers(s), s
		}
		p.keep(o)
	}
	return nil
}

// covers returns the numbers of the lists that a snapshot covers.
func covers(s *status.Snapshot) []uint32 {
	numbers := make([]uint32, len(s.Lists))
	for i, l := range s.Lists {
		numbers[i] = l.No
	}
	return numbers
}

// read returns the current object of the kind, or nil if it is the known one or
// none.
func read(ctx context.Context, tx db.Tx, k kind, known uint64) (*object, error) {
	var seq int64
	if err := tx.QueryRowContext(ctx, "SELECT current FROM trust_state WHERE kind = $1", string(k)).Scan(&seq); err != nil {
		return nil, err
	}
	if uint64(seq) == known {
		return nil, nil
	}
	o := &object{kind: k, seq: uint64(seq)}
	var hash []byte
	var issued, expires int64
	if err := tx.QueryRowContext(ctx, `SELECT hash, body, inputs, issued_at, expires_at FROM trust_objects
		WHERE kind = $1 AND seq = $2`, string(k), seq).Scan(&hash, &o.body, &o.inputs, &issued, &expires); err != nil {
		return nil, err
	}
	copy(o.hash[:], hash)
	o.issued, o.expires = db.Time(issued).Unix(), db.Time(expires).Unix()
	return o, nil
}

// keep serves the object from now on, unless a later one is being served.
func (p *Publisher) keep(o *object) {
	for {
		old := p.current[o.kind].Load()
		if old.seqOf() >= o.seq || p.current[o.kind].CompareAndSwap(old, o) {
			return
		}
	}
}

// HeldBefore returns until when a bundle is good that was issued before a
// time, in whole seconds: somebody may hold it. It returns the zero time where
// there is none.
func (p *Publisher) HeldBefore(ctx context.Context, at time.Time) (until time.Time, err error) {
	var expires int64
	err = p.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COALESCE(max(expires_at), 0) FROM trust_objects WHERE kind = 'bundle' AND issued_at < $1 AND expires_at > $2`,
			db.Micros(at.Truncate(time.Second)), db.Micros(p.o.Now())).Scan(&expires)
	})
	if err != nil || expires == 0 {
		return time.Time{}, err
	}
	return db.Time(expires), nil
}
