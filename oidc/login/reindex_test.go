package login_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

// late is a sealer that knows less of the generations than the keyring.
type late struct {
	registry.Sealer
	mu  sync.Mutex
	see func(all [][]byte) [][]byte // nil sees everything
}

func (s *late) Lookups(ctx context.Context, label string, value []byte) ([][]byte, error) {
	all, err := s.Sealer.Lookups(ctx, label, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.see != nil && err == nil {
		all = s.see(all)
	}
	return all, err
}

func (s *late) set(see func(all [][]byte) [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.see = see
}

func onlyFirst(all [][]byte) [][]byte { return all[:1] }
func swapped(all [][]byte) [][]byte   { return [][]byte{all[1], all[0]} }
func onlyLast(all [][]byte) [][]byte  { return all[1:] }

// behind is another replica of the city's sign-in, whose sealer may lag.
func (c *city) behind(t testing.TB) (*login.Service, *late) {
	t.Helper()
	o := c.options
	s := &late{Sealer: o.Sealer}
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城", EN: "Jiangcheng"}, Logger: testkit.Logger(t)})
	check(t, err)
	o.Sealer, o.Site, o.Registerer = s, site, nil
	service, err := login.New(o)
	check(t, err)
	return service, s
}

func reindex(t testing.TB, s *login.Service, limit int) (late int) {
	t.Helper()
	for after, more := "", true; more; more = after != "" {
		next, n, err := s.Reindex(t.Context(), after, limit)
		check(t, err)
		after, late = next, late+n
	}
	return late
}

func TestAccountsWhileTheSecretRotates(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx, ring := t.Context(), c.options.Sealer.(*keys.Ring)
		other, sealer := c.behind(t)
		var people []*person
		nothing := func() error { return nil }
		secret := func(f func(context.Context, string, string) error) func() error {
			return func() error { return f(ctx, keys.SecretLookup, actor) }
		}
		pages := func() error { reindex(t, c.service, 3); return nil }
		for _, phase := range []struct {
			name string
			do   func() error
			see  func(all [][]byte) [][]byte // of the other replica
		}{
			{"at rest", nothing, nil},
			{"staged, one late", secret(ring.StageSecret), onlyFirst},
			{"staged", nothing, nil},
			{"indexed", pages, nil},
			{"switched, one late", secret(ring.SwitchSecret), swapped},
			{"half indexed, one late", pages, swapped},
			{"switched", nothing, nil},
			{"indexed again", pages, nil},
			{"dropped", secret(ring.DropSecret), nil},
			{"tidied", pages, nil},
		} {
			check(t, phase.do())
			sealer.set(phase.see)
			services := []*login.Service{c.service, other}
			for _, s := range services {
				c.service = s
				people = append(people, c.citizen(t, fmt.Sprintf("wang%d", len(people))))
			}
			c.service = services[0]
			stranger := c.addPerson(t, "老王")
			for i, s := range services {
				for _, p := range people {
					if err := s.Prove(ctx, p.username, p.password, c.code(p, 0)); err != nil {
						t.Fatalf("%s: replica %d does not find %s: %v", phase.name, i, p.username, err)
					}
				}
				for _, p := range []*person{people[0], people[len(people)-2], people[len(people)-1]} {
					for _, account := range []login.Account{
						{Person: stranger, Username: strings.ToUpper(p.username), Password: password}, // taken
						{Person: p.id, Username: "another", Password: password},                       // has one
					} {
						if _, err := s.AddAccount(ctx, actor, account); fault.KindOf(err) != fault.Conflict || err == nil {
							t.Fatalf("%s: replica %d adds another account: %v", phase.name, i, err)
						}
					}
				}
			}
		}
		n := len(people)
		if got := c.count(t, `SELECT COUNT(*) FROM login_accounts`); got != n || len(c.events(t, "login.account.add")) != n {
			t.Errorf("%d accounts of %d people", got, n)
		}
		if got := c.count(t, `SELECT COUNT(*) FROM login_lookups l JOIN login_accounts a ON a.person = l.person AND a.lookup = l.lookup`); got != n ||
			c.count(t, `SELECT COUNT(*) FROM login_lookups`) != n || reindex(t, c.service, 4) != 0 {
			t.Errorf("%d hashes of %d accounts", got, n)
		}
	})
}

// TestUsernameRace lets two people ask for every name at once, at replicas that
// hold different generations for the current one, while rows move.
func TestUsernameRace(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		const names = 8
		ctx, ring := t.Context(), c.options.Sealer.(*keys.Ring)
		check(t, ring.StageSecret(ctx, keys.SecretLookup, actor))
		reindex(t, c.service, 3)
		check(t, ring.SwitchSecret(ctx, keys.SecretLookup, actor))
		other, sealer := c.behind(t)
		sealer.set(swapped)
		var applicants [2][names]string
		for i := range names {
			applicants[0][i], applicants[1][i] = c.addPerson(t, "王一"), c.addPerson(t, "王二")
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		won := [names]int{}
		for w, s := range []*login.Service{c.service, other} {
			wg.Go(func() {
				for i := range names {
					_, err := s.AddAccount(ctx, actor, login.Account{Person: applicants[w][i], Username: fmt.Sprintf("wang%d", i), Password: password})
					if err != nil && fault.KindOf(err) != fault.Conflict {
						t.Error(err)
					}
					if err == nil {
						mu.Lock()
						won[i]++
						mu.Unlock()
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for busy := true; busy; {
			select {
			case <-done:
				busy = false
			default:
			}
			reindex(t, c.service, 2)
		}
		for i, n := range won {
			if n != 1 {
				t.Errorf("name %d was given %d times", i, n)
			}
		}
	})
}

func TestReindexAccounts(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx, ring := t.Context(), c.options.Sealer.(*keys.Ring)
		if next, n, err := c.service.Reindex(ctx, "", 5); next != "" || n != 0 || err != nil {
			t.Errorf("no account: %q %d %v", next, n, err)
		}
		a, b, last := c.citizen(t, "wang"), c.citizen(t, "wang2"), c.citizen(t, "wang3")
		check(t, ring.StageSecret(ctx, keys.SecretLookup, actor))
		for _, step := range []struct {
			after string
			limit int
			next  string
			n     int
		}{{"", 0, a.id, 1}, {"", 2, b.id, 1}, {b.id, 1, last.id, 1}, {last.id, 1, "", 0}, {"", 1 << 20, "", 0}} {
			next, n, err := c.service.Reindex(ctx, step.after, step.limit)
			if err != nil || next != step.next || n != step.n {
				t.Errorf("%d after %q: %q %d %v", step.limit, step.after, next, n, err)
			}
		}
		// What an earlier program wrote.
		c.exec(t, `DELETE FROM login_lookups`)
		if _, err := c.service.AddAccount(ctx, actor, login.Account{Person: c.addPerson(t, "王五"), Username: "wang", Password: password}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the name was given twice: %v", err)
		}
		if n := reindex(t, c.service, 2); n != 3 || c.count(t, `SELECT COUNT(*) FROM login_lookups`) != 6 {
			t.Errorf("%d indexed", n)
		}
		// A replica that has missed everything.
		check(t, ring.SwitchSecret(ctx, keys.SecretLookup, actor))
		if n := reindex(t, c.service, 2); n != 3 {
			t.Errorf("%d moved", n)
		}
		other, sealer := c.behind(t)
		sealer.set(onlyLast)
		if _, err := other.AddAccount(ctx, actor, login.Account{Person: c.addPerson(t, "王六"), Username: "wang", Password: password}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the name was given twice: %v", err)
		}
		// A row that cannot be opened stops its page.
		sealer.set(nil)
		check(t, ring.DropSecret(ctx, keys.SecretLookup, actor))
		c.exec(t, `UPDATE login_accounts SET sealed = (SELECT o.sealed FROM login_accounts AS o WHERE o.person = $1) WHERE person = $2`, a.id, b.id)
		_, _, err := c.service.Reindex(ctx, "", 10)
		if err == nil || !strings.Contains(err.Error(), b.id) || strings.Contains(err.Error(), "wang") {
			t.Errorf("got %v", err)
		}
		if n := c.count(t, `SELECT COUNT(*) FROM login_lookups`); n != 6 {
			t.Errorf("%d hashes", n)
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, _, err := c.service.Reindex(gone, "", 10); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
