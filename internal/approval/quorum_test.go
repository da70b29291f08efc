package approval_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// sign returns a signature by each key.
func sign(t testing.TB, statement []byte, keys ...*ecdsa.PrivateKey) (list [][]byte) {
	t.Helper()
	for _, k := range keys {
		b, err := approval.SignCOSE(statement, k)
		check(t, err)
		list = append(list, b)
	}
	return list
}

func (c *city) breakGlass(officers ...string) []byte {
	c.t.Helper()
	b, err := c.service.BreakGlass(c.t.Context(), officers)
	check(c.t, err)
	return b
}

func TestQuorumReplacesOfficers(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		open := c.submit(c.ann, "red")
		proof := c.proof(open, c.bob)
		stuck := c.submit(c.ann, "blue")
		c.lamp.run = func(bool) error { return fault.New(fault.Unavailable, "away") }
		begun := c.approve(stuck, c.bob)
		c.lamp.run = nil
		dan, eve := c.person(), c.person()
		st := c.breakGlass(c.ann, dan, eve)
		codes, err := c.service.ApplyQuorum(ctx, st, sign(t, st, c.quorum[0], c.quorum[2])...)
		check(t, err)
		list, err := c.service.Officers(ctx)
		check(t, err)
		var names []string
		for _, o := range list {
			names = append(names, o.Person)
			if len(o.Credentials) != 0 {
				t.Errorf("%s kept a credential", o.Person)
			}
		}
		want := []string{c.ann, dan, eve}
		slices.Sort(want)
		slices.Sort(names)
		if !slices.Equal(names, want) || len(codes) != 3 {
			t.Errorf("officers %v, want %v", names, want)
		}
		c.wantState(open.ID, approval.Rejected)
		_, err = c.service.Approve(ctx, open.ID, c.bob, proof)
		wantKind(t, err, fault.Conflict, "an earlier request")
		c.wantState(begun.ID, approval.Approved) // what has begun is completed
		for _, code := range codes {
			c.passkeys[code.Person] = c.enrolPasskey(code)
		}
		r := c.submit(dan, "grey")
		_, err = c.service.Statement(ctx, r.ID, c.bob)
		wantKind(t, err, fault.Denied, "an earlier officer")
		c.approve(r, c.ann)
		events := c.events("officer.replace", "")
		if len(events) != 1 || events[0].Actor != "quorum" || len(c.events("officer.remove", "")) != 3 {
			t.Errorf("events %v", events)
		}
		_, err = c.service.ApplyQuorum(ctx, st, sign(t, st, c.quorum[0], c.quorum[2])...)
		wantKind(t, err, fault.Conflict, "applied again")
	})
}

// What was approved and has not begun does not survive its approvers.
func TestQuorumStopsWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.submit(c.ann, "red")
		check(t, c.db.Update(ctx, func(tx db.Tx) error { // the process ended right after it was approved
			_, err := tx.ExecContext(ctx, `UPDATE approval_requests SET state = 'approved', decider = $2 WHERE id = $1`, r.ID, c.bob)
			return err
		}))
		st := c.breakGlass(c.person(), c.person(), c.person())
		_, err := c.service.ApplyQuorum(ctx, st, sign(t, st, c.quorum...)...)
		check(t, err)
		c.wantState(r.ID, approval.Failed)
		c.clock.add(time.Hour)
		check(t, c.service.Sweep(ctx))
		if c.lamp.calls != 0 {
			t.Error("run")
		}
	})
}

func TestQuorumRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		st := c.breakGlass(c.person(), c.person(), c.person())
		other := c.breakGlass(c.person(), c.person(), c.person())
		a, b := c.quorum[0], c.quorum[1]
		stranger := newKey(t, elliptic.P256())
		for name, signatures := range map[string][][]byte{
			"none":                   nil,
			"one":                    sign(t, st, a),
			"one twice":              sign(t, st, a, a),
			"a stranger":             sign(t, st, a, stranger),
			"two and a stranger":     sign(t, st, a, b, stranger),
			"over another statement": append(sign(t, st, a), sign(t, other, b)...),
			"rubbish":                append(sign(t, st, a), []byte("rubbish")),
			"more than there are":    sign(t, st, a, b, c.quorum[2], a),
		} {
			_, err := c.service.ApplyQuorum(ctx, st, signatures...)
			wantKind(t, err, fault.Denied, name)
		}
		parsed, err := approval.ParseStatement(st)
		check(t, err)
		for name, change := range map[string]func(s *approval.Statement){
			"another city":  func(s *approval.Statement) { s.Origin = "https://other.example" },
			"another thing": func(s *approval.Statement) { s.Resolved = []byte(`{"keys":[],"version":1}`) },
			"something more": func(s *approval.Statement) {
				s.Resolved = []byte(`{"officers":["a","b","c"],"run":"lamp","version":1}`)
			},
			"two officers": func(s *approval.Statement) {
				s.Resolved = []byte(`{"officers":["` + c.ann + `","` + c.bob + `"],"version":1}`)
			},
			"a stranger":  func(s *approval.Statement) { s.Resolved = []byte(`{"officers":["a","b","c"],"version":1}`) },
			"another set": func(s *approval.Statement) { s.Resolved = []byte(`{"officers":["a","b","c"],"version":7}`) },
			"an approval": func(s *approval.Statement) { s.Kind, s.Requester, s.Approver = "lamp.set", c.ann, c.bob },
			"expired":     func(s *approval.Statement) { s.IssuedAt -= 8 * 24 * 3600; s.Expires -= 8 * 24 * 3600 },
			"not yet":     func(s *approval.Statement) { s.IssuedAt += 3600; s.Expires += 3600 },
		} {
			s := parsed
			change(&s)
			bad, err := s.Encode()
			check(t, err)
			_, err = c.service.ApplyQuorum(ctx, bad, sign(t, bad, a, b)...)
			if kind := fault.KindOf(err); err == nil || kind != fault.Invalid && kind != fault.Conflict {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err = c.service.ApplyQuorum(ctx, []byte("statement"), sign(t, st, a, b)...)
		wantKind(t, err, fault.Invalid, "not a statement")
		// The officers have changed since.
		c.addOfficer()
		_, err = c.service.ApplyQuorum(ctx, st, sign(t, st, a, b)...)
		wantKind(t, err, fault.Conflict, "made for other officers")
		for name, officers := range map[string][]string{"two": {c.ann, c.bob}, "one twice": {c.ann, c.bob, c.ann}, "a stranger": {c.ann, c.bob, "x"}} {
			_, err := c.service.BreakGlass(ctx, officers)
			wantKind(t, err, fault.Invalid, name)
		}
		if list, err := c.service.Officers(ctx); err != nil || len(list) != 4 {
			t.Errorf("%d officers, %v", len(list), err)
		}
	})
}

func TestQuorumChanges(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		old := c.quorum
		next := approval.Quorum{Need: 2}
		c.quorum = nil
		for range 3 {
			k := newKey(t, elliptic.P384())
			c.quorum = append(c.quorum, k)
			next.Keys = append(next.Keys, spki(t, k))
		}
		c.do(approval.KindQuorum, next, c.ann, c.bob)
		st := c.breakGlass(c.person(), c.person(), c.person())
		_, err := c.service.ApplyQuorum(ctx, st, sign(t, st, old[0], old[1])...)
		wantKind(t, err, fault.Denied, "the keys of before")
		_, err = c.service.ApplyQuorum(ctx, st, sign(t, st, c.quorum[0], old[1])...)
		wantKind(t, err, fault.Denied, "one key of before")
		_, err = c.service.ApplyQuorum(ctx, st, sign(t, st, c.quorum[0], c.quorum[1])...)
		check(t, err)
	})
}

func TestQuorumBeforeTheFounding(t *testing.T) {
	c := emptyCity(t, sqlite(t))
	_, err := c.service.BreakGlass(t.Context(), []string{c.person(), c.person(), c.person()})
	wantKind(t, err, fault.Conflict, "no officers yet")
}

// Of two statements for one set of officers, one counts.
func TestQuorumTwiceAtOnce(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		var wg sync.WaitGroup
		statements, errs := make([][]byte, 6), make([]error, 6)
		for i := range statements {
			statements[i] = c.breakGlass(c.person(), c.person(), c.person())
		}
		for i, st := range statements {
			signatures := sign(t, st, c.quorum...)
			wg.Go(func() { _, errs[i] = c.service.ApplyQuorum(ctx, st, signatures...) })
		}
		wg.Wait()
		applied := 0
		for _, err := range errs {
			if err == nil {
				applied++
			} else {
				wantKind(t, err, fault.Conflict, "the others")
			}
		}
		if list, err := c.service.Officers(ctx); err != nil || len(list) != 3 || applied != 1 {
			t.Errorf("%d applied, %d officers, %v", applied, len(list), err)
		}
	})
}
