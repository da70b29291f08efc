package oidc_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc"
)

// use is one attempt at something that may be used once, and its outcome.
type use struct {
	thing int
	won   bool
}

// oneShot is what such a thing is to do: the first use wins, and no later one.
var oneShot = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, o := range history {
			thing := o.Input.(use).thing
			by[thing] = append(by[thing], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range by {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return false },
	Step: func(used, _, output any) (bool, any) { return output.(use).won != used.(bool), true },
}

// The model knows a history that is none: two winners, or a loser before the winner.
func TestOneShotModel(t *testing.T) {
	op := func(call, end int64, won bool) porcupine.Operation {
		return porcupine.Operation{Input: use{}, Output: use{won: won}, Call: call, Return: end}
	}
	for name, k := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"one":                  {[]porcupine.Operation{op(1, 2, true)}, true},
		"a loser meanwhile":    {[]porcupine.Operation{op(1, 3, false), op(2, 4, true)}, true},
		"two winners":          {[]porcupine.Operation{op(1, 3, true), op(2, 4, true)}, false},
		"no winner":            {[]porcupine.Operation{op(1, 3, false)}, false},
		"a loser before":       {[]porcupine.Operation{op(1, 2, false), op(3, 4, true)}, false},
		"a winner a day later": {[]porcupine.Operation{op(1, 2, true), op(30, 40, true)}, false},
	} {
		if got := porcupine.CheckOperations(oneShot, k.history); got != k.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// contest uses each of many things many times at once, on replicas in turn. Of each
// thing one use wins, by the order of time; an answer is a win or one of the refusals.
func contest(t *testing.T, replicas []http.Handler, things, times int, attempt func(thing int, h http.Handler) (won bool, problem string)) {
	t.Helper()
	begun := time.Now()
	history := make([]porcupine.Operation, things*times)
	var wg sync.WaitGroup
	limit := make(chan struct{}, 64)
	for i := range history {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			thing := i / times
			call := time.Since(begun).Nanoseconds()
			won, problem := attempt(thing, replicas[i%len(replicas)])
			if problem != "" {
				t.Error(problem)
			}
			history[i] = porcupine.Operation{ClientId: i, Input: use{thing: thing}, Output: use{thing, won}, Call: call, Return: time.Since(begun).Nanoseconds()}
		})
	}
	wg.Wait()
	winners := map[int]int{}
	for _, o := range history {
		if o.Output.(use).won {
			winners[o.Input.(use).thing]++
		}
	}
	for thing := range things {
		if winners[thing] != 1 {
			t.Errorf("%d winners for one of %d", winners[thing], things)
		}
	}
	if result := porcupine.CheckOperationsTimeout(oneShot, history, time.Minute); result != porcupine.Ok {
		t.Errorf("the history is %s", result)
	}
}

// Two replicas, each with connections of its own to one PostgreSQL, are raced for
// everything that may be used once.
func TestOnceOnReplicas(t *testing.T) {
	address := testkit.PostgresURL(t)
	open := func() *db.DB {
		d, err := db.Open(t.Context(), address, db.Options{Logger: testkit.Logger(t)})
		check(t, err)
		t.Cleanup(func() { check(t, d.Close()) })
		return d
	}
	c := newTown(t, open())
	second := c.replica(t, func(o *oidc.Options) { o.DB = open() })
	replicas := []http.Handler{c.mux, newMux(second)}
	s, b := c.newSite(t, "strict"), c.signIn(t, "s1", c.wang)
	s.code(t, b, nil) // consents, and learns the nonce
	const things, times = 40, 50

	t.Run("code", func(t *testing.T) {
		codes := make([]string, things)
		for i := range codes {
			codes[i] = s.code(t, b, nil)
		}
		contest(t, replicas, things, times, func(thing int, h http.Handler) (bool, string) {
			return outcome(s.send(t, h, "/oidc/token", codeForm(codes[thing]), s.proof(t, "POST", issuer+"/oidc/token", "", nil)), "invalid_grant")
		})
		if n := len(c.events(t, "oidc.grant")); n != things {
			t.Errorf("%d grants", n)
		}
	})
	t.Run("request_uri", func(t *testing.T) {
		uris := make([]string, things)
		for i := range uris {
			uris[i] = s.push(t, nil)
		}
		contest(t, replicas, things, times, func(thing int, h http.Handler) (bool, string) {
			r := httptest.NewRequest("GET", s.address(uris[thing]), nil)
			r.AddCookie(&http.Cookie{Name: "who", Value: "s1"})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if won := w.Code == 303 && strings.Contains(w.Header().Get("Location"), "?code="); won || w.Code == 400 {
				return won, ""
			}
			return false, fmt.Sprintf("status %d to %q", w.Code, w.Header().Get("Location"))
		})
	})
	t.Run("assertion", func(t *testing.T) {
		forms := make([]url.Values, things)
		for i := range forms {
			forms[i] = url.Values{"token": {"x"}, "client_assertion": {s.assertion(t, nil)}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
		}
		contest(t, replicas, things, times, func(thing int, h http.Handler) (bool, string) {
			return outcome(s.send(t, h, "/oidc/revoke", forms[thing], "-"), "invalid_client")
		})
	})
	t.Run("proof", func(t *testing.T) {
		proofs := make([]string, things)
		for i := range proofs {
			proofs[i] = s.proof(t, "POST", issuer+"/oidc/par", "", nil)
		}
		contest(t, replicas, things, times, func(thing int, h http.Handler) (bool, string) {
			return outcome(s.send(t, h, "/oidc/par", s.request(nil), proofs[thing]), "invalid_dpop_proof")
		})
	})
	t.Run("proof at a resource", func(t *testing.T) {
		token := want(t, s.post(t, "/oidc/token", codeForm(s.code(t, b, nil)), ""), 200)["access_token"].(string)
		proofs := make([]string, things)
		for i := range proofs {
			proofs[i] = s.proof(t, "GET", userinfoAddress, token, nil)
		}
		contest(t, replicas, things, times, func(thing int, h http.Handler) (bool, string) {
			r := httptest.NewRequest("GET", "/oidc/userinfo", nil)
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", proofs[thing])
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code == 200 || w.Code == 401 {
				return w.Code == 200, ""
			}
			return false, fmt.Sprintf("status %d: %s", w.Code, w.Body)
		})
	})
}

// outcome tells a win from the refusal that is due, and both from anything else.
func outcome(w *httptest.ResponseRecorder, refusal string) (won bool, problem string) {
	if w.Code == 200 || w.Code == 201 {
		return true, ""
	}
	if w.Code >= 400 && w.Code < 500 && strings.Contains(w.Body.String(), `"error":"`+refusal+`"`) {
		return false, ""
	}
	return false, fmt.Sprintf("status %d: %s", w.Code, w.Body)
}

// send is one request, with a fresh assertion unless the form has one, and a proof
// unless it is "-". It learns nothing, so many may send at once.
func (s *site) send(t testing.TB, h http.Handler, path string, form url.Values, proof string) *httptest.ResponseRecorder {
	t.Helper()
	if !form.Has("client_assertion") {
		clone := url.Values{"client_assertion": {s.assertion(t, nil)}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
		for name, list := range form {
			clone[name] = list
		}
		form = clone
	}
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if proof != "-" {
		r.Header.Set("DPoP", proof)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// What has expired is swept, and nothing else.
func TestSweepOnce(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		s := c.newSite(t, "strict")
		s.push(t, nil)
		// The first attempt told the nonce and used up nothing.
		if n, m := c.count(t, "oidc_once"), c.count(t, "oidc_pushed"); n != 2 || m != 1 {
			t.Fatalf("%d used up, %d requests", n, m)
		}
		check(t, c.provider.Sweep(t.Context()))
		if n := c.count(t, "oidc_once"); n != 2 {
			t.Errorf("%d are left of 2", n)
		}
		c.clock.now = c.clock.now.Add(10 * time.Minute)
		check(t, c.provider.Sweep(t.Context()))
		if n, m := c.count(t, "oidc_once"), c.count(t, "oidc_pushed"); n != 0 || m != 0 {
			t.Errorf("%d and %d are left", n, m)
		}
	})
}
