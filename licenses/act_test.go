package licenses_test

import (
	"fmt"
	"hash/adler32"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/permit"
)

func adler(b []byte) uint32 { return adler32.Checksum(b) }

func TestLifeOfALicense(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue(t, "donghu", "k", food(nil))
		steps := []struct {
			act  licenses.Act
			want licenses.Status
			kind fault.Kind
		}{
			{licenses.Resume, licenses.Issued, fault.Conflict},
			{licenses.Suspend, licenses.Suspended, 0},
			{licenses.Suspend, licenses.Suspended, fault.Conflict},
			{licenses.Resume, licenses.Issued, 0},
			{licenses.Suspend, licenses.Suspended, 0},
			{licenses.Revoke, licenses.Revoked, 0},
			{licenses.Resume, licenses.Revoked, fault.Conflict},
			{licenses.Revoke, licenses.Revoked, fault.Conflict},
		}
		for i, s := range steps {
			before, err := c.StatusVersion(t.Context())
			must(t, err)
			changes := c.changes
			got, err := c.Act(t.Context(), callers["donghu"], l.ID, s.act, "卫生检查", "")
			if (err != nil) != (s.kind != 0) || err != nil && fault.KindOf(err) != s.kind {
				t.Fatalf("step %d, %s: %v", i, s.act, err)
			}
			after, err2 := c.StatusVersion(t.Context())
			must(t, err2)
			if (after != before) != (err == nil) || (c.changes != changes) != (err == nil) {
				t.Errorf("step %d, %s: version %d then %d", i, s.act, before, after)
			}
			if got == nil {
				got, err = c.Find(t.Context(), "donghu-amr", l.ID)
				must(t, err)
			}
			if got.Status != s.want {
				t.Errorf("step %d, %s: %s, want %s", i, s.act, got.Status, s.want)
			}
			c.wantListed(t, l, s.want)
		}
		c.wantClean(t, 1)
	})
}

// wantListed checks that the status lists say want about the licence and nothing
// about any other.
func (c *city) wantListed(t *testing.T, l *licenses.License, want licenses.Status) {
	t.Helper()
	p, err := permit.Parse(l.Permit, dictionaries)
	must(t, err)
	lists, err := c.Statuses(t.Context())
	must(t, err)
	list := lists[p.Status.List]
	if got := slices.Contains(list.Revoked, p.Status.Index); got != (want == licenses.Revoked) || got && len(list.Revoked) != 1 {
		t.Errorf("revoked: %v", list.Revoked)
	}
	if got := slices.Contains(list.Suspended, p.Status.Index); got != (want == licenses.Suspended) || got && len(list.Suspended) != 1 {
		t.Errorf("suspended: %v", list.Suspended)
	}
}

func TestActRefusals(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	l := c.issue(t, "donghu", "k", food(nil))
	cases := []struct {
		name, caller, id, act, reason, key string
		kind                               fault.Kind
	}{
		{"another agency's", "edu", l.ID, "revoke", "r", "", fault.NotFound},
		{"unknown licence", "donghu", db.NewID(), "revoke", "r", "", fault.NotFound},
		{"unknown act", "donghu", l.ID, "burn", "r", "", fault.Invalid},
		{"no reason", "donghu", l.ID, "revoke", "", "", fault.Invalid},
		{"broken text", "donghu", l.ID, "revoke", "\xff", "", fault.Invalid},
		{"NUL", "donghu", l.ID, "revoke", "a\x00b", "", fault.Invalid},
		{"bad key", "donghu", l.ID, "revoke", "r", "a b", fault.Invalid},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.Act(t.Context(), callers[tc.caller], tc.id, licenses.Act(tc.act), tc.reason, tc.key)
			if fault.KindOf(err) != tc.kind {
				t.Errorf("%v, want kind %v", err, tc.kind)
			}
		})
	}
	if c.changes != 0 {
		t.Error("a refused act was announced")
	}
}

func TestActKeysAndRaces(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		l := c.issue(t, "donghu", "k", food(nil))
		for range 2 { // the second is answered like the first
			got, err := c.Act(t.Context(), callers["donghu"], l.ID, licenses.Suspend, "r", "s1")
			must(t, err)
			if got.Status != licenses.Suspended {
				t.Errorf("suspended: %s", got.Status)
			}
		}
		if _, err := c.Act(t.Context(), callers["donghu"], l.ID, licenses.Revoke, "r", "s1"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a key for another act: %v", err)
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				_, err := c.Act(t.Context(), callers["donghu"], l.ID, licenses.Revoke, "r", fmt.Sprint("race", i))
				if err == nil {
					won.Add(1)
				} else if fault.KindOf(err) != fault.Conflict {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of twelve revoked it", won.Load())
		}
	})
}

// TestActWaitsForTheSignature: what is being signed is not acted on, and changed
// last when it was signed.
func TestActWaitsForTheSignature(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		must(t, c.Begin(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "k", Request: food(nil)}}))
		var id string
		must(t, d.Read(t.Context(), func(tx db.Tx) error {
			return tx.QueryRowContext(t.Context(), "SELECT license FROM license_signing").Scan(&id)
		}))
		before, err := c.Find(t.Context(), "donghu-amr", id)
		must(t, err)
		if before.Status != licenses.Signing || before.Permit != "" {
			t.Errorf("status %s before the signature", before.Status)
		}
		for _, act := range []licenses.Act{licenses.Suspend, licenses.Revoke} {
			if _, err := c.Act(t.Context(), callers["donghu"], id, act, "r", ""); fault.KindOf(err) != fault.Conflict {
				t.Errorf("%s before the signature: %v", act, err)
			}
		}
		l := c.issue(t, "donghu", "k", food(nil))
		if l.ID != id || l.Status != licenses.Issued || l.Changed.Before(before.Changed) {
			t.Errorf("completed %+v", l)
		}
		again, err := c.Find(t.Context(), "donghu-amr", id)
		must(t, err)
		if !again.Changed.Equal(l.Changed) {
			t.Errorf("changed %v, read back as %v", l.Changed, again.Changed)
		}
		revoked, err := c.Act(t.Context(), callers["donghu"], id, licenses.Revoke, "r", "")
		must(t, err)
		if revoked.Status != licenses.Revoked || revoked.Changed.Before(l.Changed) {
			t.Errorf("revoked %+v", revoked)
		}
		c.wantClean(t, 1)
	})
}
