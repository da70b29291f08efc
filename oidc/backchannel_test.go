package oidc_test

import (
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc"
)

// posted is what a site was told.
type posted struct{ url, token string }

func (c *logoutTown) send(t testing.TB, id string, body []byte, status int, fail error) (got *posted, err error) {
	t.Helper()
	return got, c.provider.SendLogout(t.Context(), id, body, func(_ context.Context, to string, form []byte) (int, error) {
		v, err := url.ParseQuery(string(form))
		check(t, err)
		if len(v) != 1 || len(v["logout_token"]) != 1 {
			t.Errorf("form %v", v)
		}
		got = &posted{to, v.Get("logout_token")}
		return status, fail
	})
}

// TestBackchannel: every site that signed a person in under a session, and wants to
// know, is told once, by a token that a stranger can check.
func TestBackchannel(t *testing.T) {
	eachLogout(t, func(t *testing.T, c *logoutTown) {
		ctx := t.Context()
		b := c.signIn(t, "s1", c.wang)
		id := payload(t, c.tokens(t, b, nil)["id_token"])
		c.tokens(t, b, nil) // a second grant of the same site is no second site
		c.redeem(t, "complaints", codeForm(b.code(url.Values{"client_id": {"complaints"}})), 200)
		c.redeem(t, "library", codeForm(b.code(url.Values{"client_id": {"library"}})), 200) // does not want to know
		b.code(nil)                                                                         // a code that nobody redeemed
		c.tokens(t, c.signIn(t, "s2", c.wang), nil)
		check(t, c.provider.WithdrawConsent(ctx, actor, c.wang.ID, "complaints")) // its own session may live on
		c.clock.now = c.clock.now.Add(6 * time.Hour)
		check(t, c.provider.Sweep(ctx))

		check(t, c.signOut(ctx, "s1"))
		list := c.messages(t)
		if len(list) != 2 || list[0].Target != "http://127.0.0.1:9001" {
			t.Fatalf("messages %+v", list)
		}
		check(t, c.signOut(ctx, "s1"))
		if again := c.messages(t); len(again) != 0 {
			t.Errorf("told again: %v", again)
		}
		i := slices.IndexFunc(list, func(n oidc.Notice) bool { return cmp.Equal(decode(t, n.Body)["client"], any("permits")) })
		c.clock.now = c.clock.now.Add(time.Hour) // the site was away
		got, err := c.send(t, "message-1", list[i].Body, 200, nil)
		check(t, err)
		claims := c.stranger(t, got.token)
		want := map[string]any{"iss": issuer, "aud": "permits", "sub": id["sub"], "sid": id["sid"], "jti": "message-1",
			"iat": float64(c.clock.now.Unix()), "exp": float64(c.clock.now.Add(2 * time.Minute).Unix()),
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
		if diff := cmp.Diff(want, claims); diff != "" || got.url != heard {
			t.Errorf("told %s: %s", got.url, diff)
		}
		if n := c.count(t, "oidc_visits"); n != 1 { // of s2
			t.Errorf("%d visits are left", n)
		}
		c.clock.now = c.clock.now.Add(14 * time.Hour) // the person of s2 has proved themselves again
		check(t, c.provider.Sweep(ctx))
		if n := c.count(t, "oidc_visits"); n != 1 {
			t.Errorf("%d visits are left of a session that goes on", n)
		}
		c.sessions.end("s2")
		c.clock.now = c.clock.now.Add(14 * time.Hour)
		check(t, c.provider.Sweep(ctx))
		if n := c.count(t, "oidc_visits"); n != 0 {
			t.Errorf("%d visits are left of sessions that are over", n)
		}
	})
}

// stranger checks a token as a site would that knows the keys' address alone.
func (c *logoutTown) stranger(t testing.TB, token string) map[string]any {
	t.Helper()
	var set jose.JSONWebKeySet
	check(t, json.Unmarshal(c.nobody(t).get("/oidc/jwks").Body.Bytes(), &set))
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	check(t, err)
	h := signed.Signatures[0].Protected
	if h.ExtraHeaders[jose.HeaderType] != "logout+jwt" {
		t.Errorf("type %v", h.ExtraHeaders)
	}
	keys := set.Key(h.KeyID)
	if len(keys) != 1 {
		t.Fatalf("no key %s", h.KeyID)
	}
	payload, err := signed.Verify(keys[0].Key)
	check(t, err)
	return decode(t, payload)
}

func TestSendLogoutFails(t *testing.T) {
	c := newLogoutTown(t, testkit.SQLite(t))
	c.tokens(t, c.signIn(t, "s1", c.wang), nil)
	check(t, c.signOut(t.Context(), "s1"))
	body := c.messages(t)[0].Body
	for _, status := range []int{0, 201, 302, 400, 404, 429, 500, 503} {
		if _, err := c.send(t, "m", body, status, nil); err == nil || fault.KindOf(err) == fault.Invalid {
			t.Errorf("status %d: %v", status, err)
		}
	}
	if _, err := c.send(t, "m", body, 0, errors.New("away")); err == nil || fault.KindOf(err) == fault.Invalid {
		t.Errorf("error %v", err)
	}
	if _, err := c.send(t, "m", body, 204, nil); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]string{"nothing": "", "no JSON": "{", "no site": `{"sub":"a","sid":"b"}`, "no session": `{"client":"permits","sub":"a"}`,
		"no person": `{"client":"permits","sid":"a"}`, "more": `{"client":"permits","sub":"a","sid":"b","x":1}`, "another kind": `[]`} {
		if got, err := c.send(t, "m", []byte(bad), 200, nil); fault.KindOf(err) != fault.Invalid || got != nil {
			t.Errorf("%s: sent %v, %v", name, got, err)
		}
	}
	check(t, c.provider.DisableClient(t.Context(), actor, "permits"))
	if got, err := c.send(t, "m", body, 200, nil); err != nil || got != nil {
		t.Errorf("a disabled client: sent %v, %v", got, err)
	}
	if got, err := c.send(t, "m", []byte(`{"client":"gone","sub":"a","sid":"b"}`), 200, nil); err != nil || got != nil {
		t.Errorf("a client that is gone: sent %v, %v", got, err)
	}
}

// TestBackchannelRace: of a redemption and the end of its session at the same time,
// either the code is refused or the site is told.
func TestBackchannelRace(t *testing.T) {
	eachLogout(t, func(t *testing.T, c *logoutTown) {
		c.exec(t, `CREATE TABLE test_sessions (id TEXT PRIMARY KEY)`)
		held := func(ctx context.Context, tx db.Tx, query, session string) (bool, error) {
			result, err := tx.ExecContext(ctx, query, session)
			if err != nil {
				return false, err
			}
			n, err := result.RowsAffected()
			return n == 1, err
		}
		c.options.Hold = func(ctx context.Context, tx db.Tx, session string) (bool, error) {
			return held(ctx, tx, `UPDATE test_sessions SET id = id WHERE id = $1`, session)
		}
		c.provider = c.replica(t, nil)
		c.mux = newMux(c.provider)
		won := map[int]int{}
		for i := range 40 {
			session := fmt.Sprint("race", i)
			c.exec(t, `INSERT INTO test_sessions (id) VALUES ($1)`, session)
			code := c.signIn(t, session, c.wang).code(nil)
			var wg sync.WaitGroup
			w := httptest.NewRecorder()
			wg.Go(func() { c.mux.ServeHTTP(w, c.request("permits", codeForm(code).Encode())) })
			wg.Go(func() {
				time.Sleep(time.Duration(i%8) * 200 * time.Microsecond) // meets it at different points
				if err := c.db.Update(t.Context(), func(tx db.Tx) error {
					if _, err := held(t.Context(), tx, `DELETE FROM test_sessions WHERE id = $1`, session); err != nil {
						return err
					}
					return c.provider.SessionEnded(t.Context(), tx, session)
				}); err != nil {
					t.Error(err)
				}
				c.sessions.end(session)
			})
			wg.Wait()
			told := len(c.messages(t))
			if w.Code != 200 && w.Code != 400 || told != map[int]int{200: 1}[w.Code] {
				t.Errorf("status %d, %d messages: %s", w.Code, told, w.Body)
			}
			won[w.Code]++
		}
		t.Logf("redeemed %d, refused %d", won[200], won[400])
		if n := c.count(t, "oidc_visits"); n != 0 {
			t.Errorf("%d visits are left of sessions that have ended", n)
		}
	})
}
