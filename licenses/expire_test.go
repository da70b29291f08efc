package licenses_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// in returns a replica whose clock is ahead.
func (c *city) in(t *testing.T, ahead time.Duration) *licenses.Service {
	t.Helper()
	s, err := licenses.New(t.Context(), licenses.Options{DB: c.db, Ring: c.ring, Registry: c.reg, Types: c.Types(), Tokens: tokens{},
		Now: func() time.Time { return time.Now().Add(ahead) }})
	must(t, err)
	return s
}

const month = 32 * 24 * time.Hour // after which what ends soon is over

// TestExpiry: whoever reads a licence past its end finds it expired, whether the record
// says so already or not, and nothing can be done to it.
func TestExpiry(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		d.Rehearse()
		c := newCity(t, d)
		made := map[string]string{}
		for _, name := range []string{"issued", "suspended", "revoked", "going-on"} {
			change := soon
			if name == "going-on" {
				change = nil
			}
			l := c.issue(t, "donghu", name, food(change))
			made[name] = l.ID
			if act := map[string]licenses.Act{"suspended": licenses.Suspend, "revoked": licenses.Revoke}[name]; act != "" {
				_, err := c.Act(t.Context(), callers["donghu"], l.ID, act, "r", "")
				must(t, err)
			}
		}
		later := c.in(t, month)
		want := map[string]licenses.Status{"issued": licenses.Expired, "suspended": licenses.Expired, "revoked": licenses.Revoked, "going-on": licenses.Issued}
		check := func(when string) {
			t.Helper()
			for name, status := range want {
				l, err := later.Any(t.Context(), made[name])
				must(t, err)
				if l.Status != status {
					t.Errorf("%s: %s is %s, want %s", when, name, l.Status, status)
				}
			}
			for status, names := range map[licenses.Status][]string{licenses.Expired: {"issued", "suspended"}, licenses.Issued: {"going-on"},
				licenses.Suspended: nil, licenses.Revoked: {"revoked"}} {
				for _, f := range []licenses.Filter{{Status: status}, {Status: status, Type: "food-business"}, {Status: status, Oldest: true},
					{Status: status, Holder: firmCode}, {Status: status, Limit: 1}} {
					f.Agency = "donghu-amr"
					var ids, expected []string
					for {
						list, next, err := later.List(t.Context(), f)
						must(t, err)
						for _, l := range list {
							ids = append(ids, l.ID)
						}
						if f.After = next; next == "" {
							break
						}
					}
					for _, name := range names {
						expected = append(expected, made[name])
					}
					slices.Sort(ids)
					slices.Sort(expected)
					if !slices.Equal(ids, expected) {
						t.Errorf("%s: %+v finds %v, want %v", when, f, ids, expected)
					}
				}
			}
			for _, name := range []string{"issued", "suspended"} {
				for _, act := range []licenses.Act{licenses.Suspend, licenses.Resume, licenses.Revoke} {
					if _, err := later.Act(t.Context(), callers["donghu"], made[name], act, "r", ""); fault.KindOf(err) != fault.Conflict {
						t.Errorf("%s: %s what was %s: %v", when, act, name, err)
					}
				}
				if _, err := later.Replace(t.Context(), callers["donghu"], made[name], licenses.Replacement{Kind: licenses.Reprinted, Reason: "r", Key: db.NewID()}); fault.KindOf(err) != fault.Conflict {
					t.Errorf("%s: replaced what was %s: %v", when, name, err)
				}
			}
		}
		check("before it is recorded")
		if n, err := c.Expire(t.Context()); n != 0 || err != nil {
			t.Errorf("today %d expired: %v", n, err)
		}
		c.wantSuspended(t, 1)
		n, err := later.Expire(t.Context())
		must(t, err)
		if n != 2 {
			t.Errorf("%d expired, want 2", n)
		}
		check("once it is recorded")
		c.wantSuspended(t, 0)
		c.wantRevoked(t, 1)
		if n, err := later.Expire(t.Context()); n != 0 || err != nil {
			t.Errorf("again %d: %v", n, err)
		}
		for name, events := range map[string]int{"issued": 1, "suspended": 1, "revoked": 0, "going-on": 0} {
			if got := c.expiries(t, made[name]); got != events {
				t.Errorf("%d events of expiry for %s, want %d", got, name, events)
			}
		}
		_, err = later.CheckAll(t.Context(), func(id, problem string) { t.Errorf("licence %s %s", id, problem) })
		must(t, err)
		problems := 0 // by a clock that knows that they have not ended
		_, err = c.CheckAll(t.Context(), func(string, string) { problems++ })
		must(t, err)
		if problems != 2 {
			t.Errorf("%d problems where the record says expired before the end, want 2", problems)
		}
	})
}

func (c *city) wantSuspended(t *testing.T, want int) {
	t.Helper()
	lists, err := c.Statuses(t.Context())
	must(t, err)
	got := 0
	for _, l := range lists {
		got += len(l.Suspended)
	}
	if got != want {
		t.Errorf("%d suspended, want %d", got, want)
	}
}

func (c *city) expiries(t *testing.T, id string) (n int) {
	t.Helper()
	must(t, c.db.Read(t.Context(), func(tx db.Tx) error {
		records, err := audit.Find(t.Context(), tx, audit.EventFilter{Object: "license:" + id, Kind: licenses.EventExpire})
		n = len(records)
		return err
	}))
	return n
}

// TestExpiryWaits: neither a licence that is being signed nor one that is being replaced
// expires before that is done.
func TestExpiryWaits(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		must(t, c.Begin(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "begun", Request: food(soon)}}))
		old := c.issue(t, "donghu", "old", food(soon))
		must(t, c.BeginReplacement(t.Context(), callers["donghu"], old.ID, licenses.Replacement{Kind: licenses.Reprinted, Reason: "r", Key: "new"}))
		later := c.in(t, month)
		if n, err := later.Expire(t.Context()); n != 0 || err != nil {
			t.Fatalf("%d expired: %v", n, err)
		}
		_, err := c.SweepBefore(t.Context(), time.Now().Add(time.Minute))
		must(t, err)
		if n, err := later.Expire(t.Context()); n != 2 || err != nil { // the one begun, and the new version
			t.Errorf("%d expired: %v", n, err)
		}
		if l, err := later.Any(t.Context(), old.ID); err != nil || l.Status != licenses.Replaced {
			t.Errorf("the old version is %+v, %v", l, err)
		}
	})
}

// TestExpiryOnce: three replicas at once, with more licences than one transaction
// takes, while a clerk revokes some at the last moment.
func TestExpiryOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var requests []licenses.Keyed
		for i := range 256 {
			requests = append(requests, licenses.Keyed{Key: fmt.Sprint("k", i), Request: food(soon)})
		}
		for _, list := range [][]licenses.Keyed{requests, {{Key: "a", Request: food(soon)}, {Key: "b", Request: food(soon)}}} {
			results, err := c.Issue(t.Context(), callers["donghu"], list)
			must(t, err)
			for _, r := range results {
				must(t, r.Err)
			}
		}
		all, _, err := c.List(t.Context(), licenses.Filter{Agency: "donghu-amr", Limit: 200})
		must(t, err)
		var expired, revoked atomic.Int64
		var race sync.WaitGroup
		for range 3 {
			later := c.in(t, month)
			race.Go(func() {
				n, err := later.Expire(context.WithoutCancel(t.Context()))
				if err != nil {
					t.Error(err)
				}
				expired.Add(int64(n))
			})
		}
		for _, l := range all[:40] {
			race.Go(func() {
				switch _, err := c.Act(t.Context(), callers["donghu"], l.ID, licenses.Revoke, "r", ""); {
				case err == nil:
					revoked.Add(1)
				case fault.KindOf(err) != fault.Conflict:
					t.Error(err)
				}
			})
		}
		race.Wait()
		if expired.Load()+revoked.Load() != 258 {
			t.Errorf("%d expired and %d revoked, want 258 together", expired.Load(), revoked.Load())
		}
		c.wantRevoked(t, int(revoked.Load()))
		events := 0
		for _, l := range all {
			events += c.expiries(t, l.ID)
		}
		if want := len(all) - int(revoked.Load()); events != want {
			t.Errorf("%d events, want %d", events, want)
		}
	})
}
