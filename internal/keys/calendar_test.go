package keys_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

const day = 24 * time.Hour

var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// on returns the start of a day, counted from the new year.
func on(days int) time.Time { return newYear.Add(time.Duration(days) * day) }

// keyAt returns a permit key of "a" that came to its state on a day, and was
// published ten days before it became active.
func keyAt(id string, state keys.State, days int) keys.Key {
	k := keys.Key{ID: id, Purpose: keys.PurposePermit, Owner: "a", Alg: keys.ES256, State: state, Created: on(days - 1)}
	switch state {
	case keys.Published:
		k.Published = on(days)
	case keys.Active:
		k.Published, k.Activated = on(days-10), on(days)
	case keys.Retiring:
		k.Activated, k.Retiring = on(days-90), on(days)
	case keys.Compromised:
		k.Activated, k.Compromised, k.Since = on(days-90), on(days), on(days-2)
	}
	return k
}

func paused(k keys.Key) keys.Key {
	k.Paused = on(40)
	return k
}

// lines shows steps as "do key day".
func lines(steps []keys.Step) (list []string) {
	for _, s := range steps {
		id := s.Key.ID
		if id == "" {
			id = "-"
		}
		list = append(list, fmt.Sprintf("%s %s %d", s.Do, id, int(s.At.Sub(newYear)/day)))
	}
	return list
}

func TestCalendar(t *testing.T) {
	usual := keys.Policy{Alg: keys.ES256, Life: 90 * day, Lead: 10 * day, Keep: 365 * day, Standby: 1}
	with := func(change func(*keys.Policy)) keys.Policy {
		p := usual
		change(&p)
		return p
	}
	bare := with(func(p *keys.Policy) { p.Standby = 0 })
	staged, published, active, retiring, compromised := keys.Staged, keys.Published, keys.Active, keys.Retiring, keys.Compromised
	cases := []struct {
		name   string
		policy keys.Policy
		list   []keys.Key
		now    int
		want   []string
	}{
		{"nothing at all", usual, nil, 50, []string{"stage - 50"}},
		{"nothing published", usual, []keys.Key{keyAt("1", active, 0)}, 50, []string{"stage - 50"}},
		{"nothing published, life over", usual, []keys.Key{keyAt("1", active, 0)}, 500, []string{"stage - 500"}},
		{"a standby waits", usual, []keys.Key{keyAt("1", active, 0), keyAt("2", published, 0)}, 50, []string{"promote 2 90"}},
		{"life over", usual, []keys.Key{keyAt("1", active, 0), keyAt("2", published, 0)}, 100, []string{"promote 2 90"}},
		{"the standby is too young", usual, []keys.Key{keyAt("1", active, 0), keyAt("2", published, 85)}, 92, []string{"promote 2 95"}},
		{"the standby is just old enough", usual, []keys.Key{keyAt("1", active, 0), keyAt("2", published, 80)}, 85, []string{"promote 2 90"}},
		{"a staged key", usual, []keys.Key{keyAt("1", active, 0), keyAt("2", staged, 5)}, 50, []string{"publish 2 50"}},
		{"several staged keys", usual, []keys.Key{keyAt("3", staged, 6), keyAt("2", staged, 5), keyAt("1", active, 0)}, 50, []string{"publish 2 50"}},
		{"several standbys", with(func(p *keys.Policy) { p.Standby = 3 }),
			[]keys.Key{keyAt("1", active, 0), keyAt("3", published, 20), keyAt("2", published, 10)}, 50, []string{"stage - 50", "promote 2 90"}},
		{"several standbys, some staged", with(func(p *keys.Policy) { p.Standby = 4 }),
			[]keys.Key{keyAt("1", active, 0), keyAt("2", published, 0), keyAt("3", staged, 0)}, 50,
			[]string{"publish 3 50", "stage - 50", "stage - 50", "promote 2 90"}},
		{"more standbys than wanted", usual, []keys.Key{keyAt("1", active, 0), keyAt("2", published, 0), keyAt("3", published, 1)}, 50, []string{"promote 2 90"}},
		{"no standby wanted", bare, []keys.Key{keyAt("1", active, 0)}, 50, []string{"stage - 80"}},
		{"no standby wanted, a staged key", bare, []keys.Key{keyAt("1", active, 0), keyAt("2", staged, 0)}, 50, []string{"publish 2 80"}},
		{"no standby wanted, the lead begins", bare, []keys.Key{keyAt("1", active, 0)}, 80, []string{"stage - 80"}},
		{"no standby wanted, late", bare, []keys.Key{keyAt("1", active, 0)}, 95, []string{"stage - 80"}},
		{"no standby wanted, one is there", bare, []keys.Key{keyAt("1", active, 0), keyAt("2", published, 82)}, 83, []string{"promote 2 92"}},
		{"no standby wanted, nothing there", bare, nil, 50, []string{"stage - 50"}},
		{"a life without end", with(func(p *keys.Policy) { p.Life = 0 }), []keys.Key{keyAt("1", active, 0), keyAt("2", published, 0)}, 500, nil},
		{"a life without end, no standby", with(func(p *keys.Policy) { p.Life, p.Standby = 0, 0 }), []keys.Key{keyAt("1", active, 0)}, 500, nil},
		{"a life without end, paused", with(func(p *keys.Policy) { p.Life = 0 }),
			[]keys.Key{paused(keyAt("1", active, 0)), keyAt("2", published, 0)}, 50, []string{"promote 2 50"}},
		{"paused", usual, []keys.Key{paused(keyAt("1", active, 0)), keyAt("2", published, 0)}, 50, []string{"promote 2 50"}},
		{"paused, the standby is too young", usual, []keys.Key{paused(keyAt("1", active, 0)), keyAt("2", published, 45)}, 50, []string{"promote 2 55"}},
		{"paused, nothing published", usual, []keys.Key{paused(keyAt("1", active, 0))}, 50, []string{"stage - 50"}},
		{"paused, nothing published, no standby", bare, []keys.Key{paused(keyAt("1", active, 0))}, 50, []string{"stage - 50"}},
		{"compromised", usual, []keys.Key{keyAt("1", compromised, 48), keyAt("2", published, 0)}, 50, []string{"promote 2 50"}},
		{"compromised, no standby", bare, []keys.Key{keyAt("1", compromised, 48)}, 50, []string{"stage - 50"}},
		{"a paused standby does not count", usual, []keys.Key{keyAt("1", active, 0), paused(keyAt("2", published, 0))}, 50, []string{"stage - 50"}},
		{"a paused standby is not promoted", usual,
			[]keys.Key{keyAt("1", active, 0), paused(keyAt("2", published, 0)), keyAt("3", published, 1)}, 95, []string{"promote 3 90"}},
		{"a paused staged key is not published", usual, []keys.Key{keyAt("1", active, 0), paused(keyAt("2", staged, 0))}, 50, []string{"stage - 50"}},
		{"retiring", usual, []keys.Key{keyAt("0", retiring, -300), keyAt("1", active, 0), keyAt("2", published, 0)}, 50, []string{"retire 0 65", "promote 2 90"}},
		{"retiring and paused", usual, []keys.Key{paused(keyAt("0", retiring, -300)), keyAt("1", active, 0), keyAt("2", published, 0)}, 50,
			[]string{"retire 0 65", "promote 2 90"}},
		{"nothing is kept", with(func(p *keys.Policy) { p.Keep = 0 }), []keys.Key{keyAt("0", retiring, 5), keyAt("1", active, 5), keyAt("2", published, 0)}, 6,
			[]string{"retire 0 5", "promote 2 95"}},
		{"the dead have no steps", usual, []keys.Key{keyAt("1", active, 0), keyAt("2", published, 0), keyAt("8", keys.Retired, 1), keyAt("9", compromised, 1)}, 50,
			[]string{"promote 2 90"}},
		// Clocks that jump: back before everything, and years ahead.
		{"clock back", usual, []keys.Key{keyAt("0", retiring, 0), keyAt("1", active, 0), keyAt("2", published, 0)}, -1000,
			[]string{"promote 2 90", "retire 0 365"}},
		{"clock back, paused", usual, []keys.Key{paused(keyAt("1", active, 0)), keyAt("2", published, 0)}, -1000, []string{"promote 2 10"}},
		{"clock years ahead", usual, []keys.Key{keyAt("0", retiring, 0), keyAt("1", active, 0), keyAt("2", published, 0)}, 5000,
			[]string{"promote 2 90", "retire 0 365"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			policies := map[string]keys.Policy{keys.PurposePermit: c.policy}
			places := []keys.Place{{Purpose: keys.PurposePermit, Owner: "a"}, {Purpose: keys.PurposePermit, Owner: "a"}}
			kept := slices.Clone(c.list)
			steps := keys.Calendar(c.list, policies, places, on(c.now))
			if diff := cmp.Diff(c.want, lines(steps)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(kept, c.list); diff != "" {
				t.Errorf("the list was changed:\n%s", diff)
			}
			for _, s := range steps {
				if s.Purpose != keys.PurposePermit || s.Owner != "a" || s.Key.Purpose != s.Purpose || s.Key.Owner != "a" || s.Key.Alg != keys.ES256 {
					t.Errorf("step %+v", s)
				}
			}
		})
	}
}

// TestCalendarPlaces: who has no place is retired and not followed; a purpose
// without a policy is left alone; places do not mix.
func TestCalendarPlaces(t *testing.T) {
	policies := map[string]keys.Policy{
		keys.PurposePermit: {Alg: keys.ES256, Life: 90 * day, Keep: day, Standby: 1, Automatic: true},
		keys.PurposeLog:    {Alg: keys.Ed25519, Life: 90 * day, Standby: 1},
	}
	of := func(owner string, k keys.Key) keys.Key { k.Owner = owner; return k }
	list := []keys.Key{
		of("gone", keyAt("1", keys.Active, 0)), of("gone", keyAt("2", keys.Published, 0)), of("gone", keyAt("3", keys.Retiring, 0)),
		of("b", keyAt("4", keys.Active, 5)), of("b", keyAt("5", keys.Published, 0)),
		{ID: "6", Purpose: keys.PurposeTLS, Owner: "a", State: keys.Active},
	}
	places := []keys.Place{{Purpose: keys.PurposePermit, Owner: "b"}, {Purpose: keys.PurposeLog, Owner: "a"}, {Purpose: keys.PurposePermit, Owner: "a"}, {Purpose: keys.PurposeTLS, Owner: "a"}}
	var got []string
	for _, s := range keys.Calendar(list, policies, places, on(50)) {
		got = append(got, fmt.Sprintf("%s %s %s %s %s %v", s.Do, s.Purpose, s.Owner, s.Key.ID, s.Key.Alg, s.Automatic))
	}
	want := []string{"retire permit gone 3 ES256 true", "stage log a  Ed25519 false", "stage permit a  ES256 true", "promote permit b 5 ES256 true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if steps := keys.Calendar(list, nil, places, on(50)); len(steps) != 0 {
		t.Errorf("without policies: %v", lines(steps))
	}
}

func TestDue(t *testing.T) {
	s := keys.Step{At: on(5)}
	if s.Due(on(5).Add(-1)) || !s.Due(on(5)) || !s.Due(on(6)) {
		t.Error("a step is due from its time on")
	}
}

// TestCalendarYears carries out what is due for years, over a clock that jumps,
// and looks for a key that is used too early or away too soon.
func TestCalendarYears(t *testing.T) {
	for seed := range uint64(20) {
		c := &years{t: t, random: rand.New(rand.NewPCG(seed, 1)), now: on(0),
			policy: keys.Policy{Alg: keys.ES256, Life: 90 * day, Lead: 10 * day, Keep: 200 * day, Standby: int(seed % 3)}}
		for range 1500 {
			c.round()
		}
		if c.promoted < 20 || c.retired < 10 {
			t.Errorf("seed %d: %d promotions, %d retirements", seed, c.promoted, c.retired)
		}
	}
}

type years struct {
	t                 *testing.T
	random            *rand.Rand
	policy            keys.Policy
	now               time.Time
	list              []keys.Key
	promoted, retired int
}

func (c *years) round() {
	switch c.random.IntN(50) {
	case 0: // ahead, such as a machine that slept
		c.now = c.now.Add(time.Duration(c.random.IntN(60)) * day)
	case 1: // back, such as a clock that was set
		c.now = c.now.Add(-time.Duration(c.random.IntN(10)) * day)
	case 2:
		if i := c.find(keys.Active); i >= 0 {
			c.list[i].Paused = c.now
		}
	case 3:
		if i := c.find(keys.Active); i >= 0 {
			c.list[i].State = keys.Compromised
		}
	default:
		c.now = c.now.Add(day)
	}
	steps := keys.Calendar(c.list, map[string]keys.Policy{keys.PurposePermit: c.policy}, []keys.Place{{Purpose: keys.PurposePermit, Owner: "a"}}, c.now)
	seen := map[string]bool{}
	for _, s := range steps {
		if id := s.Key.ID; id != "" && seen[id] {
			c.t.Fatalf("two steps of key %s", id)
		}
		seen[s.Key.ID] = true
		if s.Due(c.now) {
			c.do(s)
		}
	}
	if n := c.count(keys.Published); n > max(c.policy.Standby, 1) {
		c.t.Fatalf("%d published keys", n)
	}
}

func (c *years) do(s keys.Step) {
	i := slices.IndexFunc(c.list, func(k keys.Key) bool { return k.ID == s.Key.ID })
	switch s.Do {
	case keys.DoStage:
		k := s.Key
		k.ID, k.State, k.Created = fmt.Sprint(len(c.list)), keys.Staged, c.now
		c.list = append(c.list, k)
	case keys.DoPublish:
		c.list[i].State, c.list[i].Published = keys.Published, c.now
	case keys.DoPromote:
		if c.now.Before(c.list[i].Published.Add(c.policy.Lead)) {
			c.t.Fatalf("key %s is used before its lead is over", s.Key.ID)
		}
		if j := c.find(keys.Active); j >= 0 {
			c.list[j].State, c.list[j].Retiring = keys.Retiring, c.now
		}
		c.list[i].State, c.list[i].Activated = keys.Active, c.now
		c.promoted++
	case keys.DoRetire:
		if c.now.Before(c.list[i].Retiring.Add(c.policy.Keep)) {
			c.t.Fatalf("key %s is retired too soon", s.Key.ID)
		}
		c.list[i].State = keys.Retired
		c.retired++
	default:
		c.t.Fatalf("step %q", s.Do)
	}
}

func (c *years) find(state keys.State) int {
	return slices.IndexFunc(c.list, func(k keys.Key) bool { return k.State == state })
}

func (c *years) count(state keys.State) (n int) {
	for _, k := range c.list {
		if k.State == state {
			n++
		}
	}
	return n
}

func TestPolicy(t *testing.T) {
	good := keys.Policy{Alg: keys.ES256, Life: 90 * day, Lead: 10 * day, Keep: 365 * day, Standby: 1}
	logKeys := keys.Policy{Alg: keys.Ed25519}
	cases := []struct {
		name, purpose string
		policy        keys.Policy
		change        func(*keys.Policy)
		problems      string // the paths
	}{
		{"good", keys.PurposePermit, good, func(*keys.Policy) {}, ""},
		{"bare", keys.PurposeLog, logKeys, func(*keys.Policy) {}, ""},
		{"no standby", keys.PurposeToken, good, func(p *keys.Policy) { p.Standby = 0 }, ""},
		{"no standby for permits", keys.PurposePermit, good, func(p *keys.Policy) { p.Standby = 0 }, "standby"},
		{"too many standbys", keys.PurposePermit, good, func(p *keys.Policy) { p.Standby = 17 }, "standby"},
		{"negative standbys", keys.PurposeToken, good, func(p *keys.Policy) { p.Standby = -1 }, "standby"},
		{"unknown purpose", "root", good, func(*keys.Policy) {}, "purpose"},
		{"no algorithm", keys.PurposePermit, good, func(p *keys.Policy) { p.Alg = "" }, "alg"},
		{"unknown algorithm", keys.PurposePermit, good, func(p *keys.Policy) { p.Alg = "RS256" }, "alg"},
		{"ECDSA for the log", keys.PurposeLog, logKeys, func(p *keys.Policy) { p.Alg = keys.ES256 }, "alg"},
		{"negative life", keys.PurposePermit, good, func(p *keys.Policy) { p.Life = -1 }, "life"},
		{"negative lead", keys.PurposePermit, good, func(p *keys.Policy) { p.Lead = -1 }, "lead"},
		{"negative keep", keys.PurposePermit, good, func(p *keys.Policy) { p.Keep = -1 }, "keep"},
		{"a century", keys.PurposePermit, good, func(p *keys.Policy) { p.Keep = 100 * 365 * day }, "keep"},
		{"shorter than its lead", keys.PurposePermit, good, func(p *keys.Policy) { p.Life = p.Lead }, "life"},
		{"all of it", keys.PurposePermit, keys.Policy{Life: -1, Lead: -1, Keep: -1}, func(*keys.Policy) {}, "alg life lead keep standby"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := c.policy
			c.change(&p)
			err := p.Check(c.purpose)
			var paths []string
			for _, problem := range fault.Problems(err) {
				paths = append(paths, problem.Path)
			}
			if got := strings.Join(paths, " "); got != c.problems {
				t.Errorf("problems %q, want %q (%v)", got, c.problems, err)
			}
			if c.problems != "" {
				wantKind(t, err, fault.Invalid)
			}
		})
	}
}
