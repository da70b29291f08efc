package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
)

// race sends one token request many times at once to two replicas, and returns the
// answers by their status.
func (c *town) race(t testing.TB, replicas []http.Handler, n int, client string, form url.Values) map[int][]map[string]any {
	t.Helper()
	var wg sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, n)
	for i := range answers {
		wg.Go(func() {
			answers[i] = httptest.NewRecorder()
			replicas[i%len(replicas)].ServeHTTP(answers[i], c.request(client, form.Encode()))
		})
	}
	wg.Wait()
	by := map[int][]map[string]any{}
	for _, w := range answers {
		answer := decode(t, w.Body.Bytes())
		if w.Code != 200 && answer["error"] != "invalid_grant" {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		by[w.Code] = append(by[w.Code], answer)
	}
	return by
}

func (c *town) replicas(t testing.TB) []http.Handler {
	return []http.Handler{c.mux, newMux(c.replica(t, nil))}
}

// Of many who redeem one code one wins, and as the others have replayed it the grant
// has ended.
func TestRaceForCode(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b, replicas := c.signIn(t, "s1", c.wang), c.replicas(t)
		for range 4 {
			code := b.code(url.Values{"scope": {"openid profile offline_access"}})
			by := c.race(t, replicas, 24, "permits", codeForm(code))
			if len(by[200]) != 1 || len(by[400]) != 23 {
				t.Fatalf("%d winners, %d losers", len(by[200]), len(by[400]))
			}
			c.userinfo(t, by[200][0], 401)
			c.refused(t, "permits", refreshForm(by[200][0]["refresh_token"].(string)), "invalid_grant")
		}
		if n := len(c.events(t, "oidc.grant")); n != 4 {
			t.Errorf("%d events for 4 grants", n)
		}
		if diff := cmp.Diff([]string{"replay", "replay", "replay", "replay"}, c.ends(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// A right and many wrong verifiers at once: the code is redeemed or burnt, never both.
func TestRaceOfVerifiers(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b, replicas := c.signIn(t, "s1", c.wang), c.replicas(t)
		for range 8 {
			code := b.code(nil)
			wrong := codeForm(code)
			wrong.Set("code_verifier", otherVerifier)
			var wg sync.WaitGroup
			codes := make([]int, 6)
			for i := range codes {
				form := wrong
				if i == 3 {
					form = codeForm(code)
				}
				wg.Go(func() {
					w := httptest.NewRecorder()
					replicas[i%2].ServeHTTP(w, c.request("permits", form.Encode()))
					codes[i] = w.Code
				})
			}
			wg.Wait()
			for i, code := range codes {
				if code != 400 && (code != 200 || i != 3) {
					t.Errorf("statuses %v", codes)
				}
			}
			c.refused(t, "permits", codeForm(code), "invalid_grant")
		}
		if n := len(c.ends(t)); n != 8 {
			t.Errorf("%d of 8 grants ended", n)
		}
	})
}

// Of many who refresh with one token one rotates it; the others come a moment later
// and get twins. Of the twins one becomes the family's next, and when another comes
// back the family ends.
func TestRaceToRefresh(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b, replicas := c.signIn(t, "s1", c.wang), c.replicas(t)
		answer := c.offline(t, b)
		by := c.race(t, replicas, 16, "permits", refreshForm(answer["refresh_token"].(string)))
		if len(by[200]) != 16 {
			t.Fatalf("%d of 16 refreshed", len(by[200]))
		}
		if g := c.generation(t); g != 1 {
			t.Errorf("generation %d, want one rotation", g)
		}
		c.redeem(t, "permits", refreshForm(by[200][0]["refresh_token"].(string)), 200)
		c.clock.now = c.clock.now.Add(11e9)
		by = c.race(t, replicas, 16, "permits", refreshForm(by[200][1]["refresh_token"].(string)))
		if len(by[200]) != 0 {
			t.Errorf("%d refreshed with a token that was used", len(by[200]))
		}
		if diff := cmp.Diff([]string{"replay"}, c.ends(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// When a token is too old, of many who send it nobody gets anything, and one event
// says so.
func TestRaceOfReuse(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b, replicas := c.signIn(t, "s1", c.wang), c.replicas(t)
		first := c.offline(t, b)
		second := c.redeem(t, "permits", refreshForm(first["refresh_token"].(string)), 200)
		c.redeem(t, "permits", refreshForm(second["refresh_token"].(string)), 200)
		if by := c.race(t, replicas, 16, "permits", refreshForm(first["refresh_token"].(string))); len(by[200]) != 0 {
			t.Errorf("%d refreshed", len(by[200]))
		}
		if diff := cmp.Diff([]string{"replay"}, c.ends(t)); diff != "" {
			t.Error(diff)
		}
	})
}

func (c *town) generation(t testing.TB) (n int64) {
	t.Helper()
	check(t, c.db.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), "SELECT max(generation) FROM oidc_grants").Scan(&n)
	}))
	return n
}

// A button pressed many times, or a page loaded many times, makes one grant with one
// code that counts.
func TestRaceOfAnswers(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		to := b.authorize(nil).Header().Get("Location")
		key := keyOf(t, b.get(to))
		codes := make([]string, 12)
		var wg sync.WaitGroup
		for i := range codes {
			one := &browser{t: t, mux: c.mux, cookies: b.cookies}
			wg.Go(func() {
				w := one.post(to, url.Values{"allow": {"1"}, "key": {key}})
				u, err := url.Parse(w.Header().Get("Location"))
				if err != nil || w.Code != 303 || u.Query().Get("code") == "" {
					t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
					return
				}
				codes[i] = u.Query().Get("code")
			})
		}
		wg.Wait()
		if n := c.count(t, "oidc_grants"); n != 1 {
			t.Errorf("%d grants", n)
		}
		good := 0
		for _, code := range codes {
			if w := c.do(c.request("permits", codeForm(code).Encode())); w.Code == 200 {
				good++
			}
		}
		if good != 1 {
			t.Errorf("%d codes were redeemed", good)
		}
		if w := b.post(to, url.Values{"allow": {"1"}, "key": {key}}); w.Code != 409 {
			t.Errorf("after it was redeemed: status %d to %q", w.Code, w.Header().Get("Location"))
		}
	})
}
