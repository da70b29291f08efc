package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc"
)

const (
	bye     = "http://127.0.0.1:9001/bye?from=signet"
	heard   = "http://127.0.0.1:9001/backchannel"
	outside = "http://127.0.0.1:9001/elsewhere"
)

// logoutTown is a town whose clients may sign people out and are told. Its outbox is
// a table, since a transaction may run twice.
type logoutTown struct{ *town }

// messages empties the outbox.
func (c *logoutTown) messages(t testing.TB) (list []oidc.Notice) {
	t.Helper()
	check(t, c.db.Update(t.Context(), func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(t.Context(), `SELECT target, body FROM test_outbox ORDER BY body`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var n oidc.Notice
			var body string
			check(t, rows.Scan(&n.Target, &body))
			n.Body = []byte(body)
			list = append(list, n)
		}
		check(t, rows.Close())
		_, err = tx.ExecContext(t.Context(), `DELETE FROM test_outbox`)
		return err
	}))
	return list
}

func eachLogout(t *testing.T, f func(t *testing.T, c *logoutTown)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, newLogoutTown(t, d)) })
}

func newLogoutTown(t testing.TB, d *db.DB) *logoutTown {
	t.Helper()
	c := &logoutTown{newTown(t, d)}
	c.exec(t, `CREATE TABLE test_outbox (target TEXT, body TEXT)`)
	c.options.SignOut = c.signOut
	c.options.Queue = func(ctx context.Context, tx db.Tx, list []oidc.Notice) error {
		for _, n := range list {
			if _, err := tx.ExecContext(ctx, `INSERT INTO test_outbox (target, body) VALUES ($1, $2)`, n.Target, string(n.Body)); err != nil {
				return err
			}
		}
		return nil
	}
	c.provider = c.replica(t, nil)
	c.mux = newMux(c.provider)
	for _, id := range []string{"permits", "complaints"} {
		c.exec(t, `UPDATE oidc_clients SET post_logout_redirect_uris = $1, backchannel_logout_uri = $2 WHERE id = $3`,
			bye+" https://permits.example/bye", heard, id)
	}
	return c
}

// signOut ends a session as oidc/login does.
func (c *logoutTown) signOut(ctx context.Context, session string) error {
	c.sessions.end(session)
	return c.db.Update(ctx, func(tx db.Tx) error { return c.provider.SessionEnded(ctx, tx, session) })
}

func (c *logoutTown) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	check(t, c.db.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), query, args...)
		return err
	}))
}

func (c *logoutTown) live(t testing.TB, session string) bool {
	t.Helper()
	ok, err := c.sessions.Live(t.Context(), session)
	check(t, err)
	return ok
}

func logoutURL(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return "/oidc/logout?" + v.Encode()
}

func TestLogoutByHint(t *testing.T) {
	eachLogout(t, func(t *testing.T, c *logoutTown) {
		b := c.signIn(t, "s1", c.wang)
		tokens := c.tokens(t, b, url.Values{"scope": {"openid profile offline_access"}})
		hint := tokens["id_token"].(string)
		c.clock.now = c.clock.now.Add(15 * time.Minute) // the ID token has expired, and its grant may be swept
		check(t, c.provider.Sweep(t.Context()))
		w := b.get(logoutURL("id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "a&b"))
		if to := w.Header().Get("Location"); w.Code != 303 || to != bye+"&state=a%26b" || w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("status %d to %q: %s", w.Code, to, text(w))
		}
		if c.live(t, "s1") {
			t.Error("the session lives on")
		}
		c.refused(t, "permits", refreshForm(tokens["refresh_token"].(string)), "invalid_grant")
		if n := len(c.messages(t)); n != 1 {
			t.Errorf("%d messages", n)
		}
		// Once more: nobody is signed in, and the browser goes on.
		w = b.get(logoutURL("id_token_hint", hint, "post_logout_redirect_uri", "https://permits.example/bye"))
		if to := w.Header().Get("Location"); to != "https://permits.example/bye" {
			t.Errorf("status %d to %q", w.Code, to)
		}
		if w := b.get(logoutURL("id_token_hint", hint)); w.Code != 200 || !strings.Contains(text(w), "您已退出登录") {
			t.Errorf("status %d: %s", w.Code, text(w))
		}
	})
}

func TestLogoutAsks(t *testing.T) {
	eachLogout(t, func(t *testing.T, c *logoutTown) {
		b := c.signIn(t, "s1", c.wang)
		other := c.tokens(t, c.signIn(t, "s2", c.wang), nil)["id_token"].(string)      // the same person's other session
		li := c.tokens(t, c.signIn(t, "s3", c.li), nil)["id_token"].(string)           // another person's
		broken := other[:len(other)-6] + strings.Repeat("A", 6)                        // does not verify
		access := c.tokens(t, c.signIn(t, "s4", c.wang), nil)["access_token"].(string) // no ID token
		for name, target := range map[string]string{
			"nothing":              "/oidc/logout",
			"a state alone":        logoutURL("state", "x"),
			"a client alone":       logoutURL("client_id", "permits", "post_logout_redirect_uri", bye, "state", "x"),
			"another session":      logoutURL("id_token_hint", other, "post_logout_redirect_uri", bye, "state", "x"),
			"another person":       logoutURL("id_token_hint", li, "post_logout_redirect_uri", bye, "state", "x"),
			"a hint that is none":  logoutURL("id_token_hint", broken, "client_id", "permits", "post_logout_redirect_uri", bye, "state", "x"),
			"an access token":      logoutURL("id_token_hint", access, "client_id", "permits", "post_logout_redirect_uri", bye, "state", "x"),
			"parameters we ignore": logoutURL("client_id", "permits", "logout_hint", "wang", "post_logout_redirect_uri", bye, "state", "x", "what", "ever"),
		} {
			t.Run(name, func(t *testing.T) {
				w := b.get(target)
				if w.Code != 200 || !strings.Contains(text(w), "退出登录") || !c.live(t, "s1") {
					t.Fatalf("status %d to %q: %s", w.Code, w.Header().Get("Location"), text(w))
				}
				if csp := w.Header().Get("Content-Security-Policy"); strings.Contains(target, "redirect") && !strings.Contains(csp, "form-action 'self' http://127.0.0.1:9001;") {
					t.Errorf("policy %s", csp)
				}
				key := keyOf(t, w)
				form := url.Values{"client_id": {"permits"}, "post_logout_redirect_uri": {bye}, "state": {"x"}, "key": {key}, "logout": {"1"}}
				for what, bad := range map[string]string{"no key": "", "a wrong key": "x" + key, "another session's": keyOf(t, c.signIn(t, "s2", c.wang).get("/oidc/logout"))} {
					form.Set("key", bad)
					if w := b.post("/oidc/logout/confirm", form); w.Code != 200 || !c.live(t, "s1") {
						t.Errorf("%s: status %d", what, w.Code)
					}
				}
				form.Set("key", key)
				form.Set("post_logout_redirect_uri", outside)
				if w := b.post("/oidc/logout/confirm", form); w.Code != 400 || !c.live(t, "s1") {
					t.Errorf("an address that was not asked for: status %d", w.Code)
				}
				form.Set("post_logout_redirect_uri", bye)
				if w := b.post("/oidc/logout/confirm", form); w.Header().Get("Location") != bye+"&state=x" || c.live(t, "s1") {
					t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
				}
				c.enter(b, "s1", c.wang)
			})
		}
		if !c.live(t, "s2") || !c.live(t, "s3") {
			t.Error("another session has ended")
		}
	})
}

func TestLogoutRefused(t *testing.T) {
	eachLogout(t, func(t *testing.T, c *logoutTown) {
		b := c.signIn(t, "s1", c.wang)
		hint := c.tokens(t, b, nil)["id_token"].(string)
		for name, target := range map[string]string{
			"an address nobody registered":  logoutURL("id_token_hint", hint, "post_logout_redirect_uri", outside),
			"a redirect URI of signing in":  logoutURL("id_token_hint", hint, "post_logout_redirect_uri", callback),
			"an address and more":           logoutURL("id_token_hint", hint, "post_logout_redirect_uri", bye+"&x=1"),
			"another case":                  logoutURL("id_token_hint", hint, "post_logout_redirect_uri", strings.ToUpper(bye)),
			"an address without a client":   logoutURL("post_logout_redirect_uri", bye),
			"a client that has none":        logoutURL("client_id", "library", "post_logout_redirect_uri", bye),
			"a program":                     logoutURL("client_id", "console"),
			"nobody's client":               logoutURL("client_id", "nobody"),
			"another client than the hint":  logoutURL("client_id", "complaints", "id_token_hint", hint),
			"a state that cannot be":        logoutURL("id_token_hint", hint, "state", "a\nb"),
			"a state without end":           logoutURL("id_token_hint", hint, "state", strings.Repeat("s", 3000)),
			"a hint twice":                  logoutURL("id_token_hint", hint, "id_token_hint", hint),
			"broken":                        "/oidc/logout?%zz",
			"endless":                       logoutURL("id_token_hint", strings.Repeat("x", 9000)),
			"an address as a script's":      logoutURL("id_token_hint", hint, "post_logout_redirect_uri", "javascript:alert(1)"),
			"an address under a known host": logoutURL("id_token_hint", hint, "post_logout_redirect_uri", "http://127.0.0.1:9001.evil.example/bye"),
		} {
			t.Run(name, func(t *testing.T) {
				w := b.get(target)
				if w.Code != 400 || w.Header().Get("Location") != "" || !c.live(t, "s1") {
					t.Errorf("status %d to %q: %s", w.Code, w.Header().Get("Location"), text(w))
				}
			})
		}
		check(t, c.provider.DisableClient(t.Context(), actor, "permits"))
		if w := b.get(logoutURL("id_token_hint", hint)); w.Code != 400 || !c.live(t, "s1") {
			t.Errorf("a disabled client: status %d", w.Code)
		}
	})
}

// TestLogoutPosted: a form of another site, which comes without cookies, does nothing
// by itself, and what it asks for is done when the browser comes back with them.
func TestLogoutPosted(t *testing.T) {
	c := newLogoutTown(t, testkit.SQLite(t))
	b := c.signIn(t, "s1", c.wang)
	hint := c.tokens(t, b, nil)["id_token"].(string)
	form := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {bye}, "state": {"x"}, "ui_locales": {"en-GB"}}
	w := c.nobody(t).post("/oidc/logout", form)
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/oidc/logout?") || strings.Contains(to, "eyJ") || !c.live(t, "s1") || w.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("status %d to %q", w.Code, to)
	}
	first := to
	w = b.get(to)
	if to = w.Header().Get("Location"); !strings.Contains(to, "lang=en") || !c.live(t, "s1") {
		t.Fatalf("status %d to %q", w.Code, to)
	}
	w = b.get(to) // keeps the language
	if w = b.get(w.Header().Get("Location")); w.Header().Get("Location") != bye+"&state=x" || c.live(t, "s1") {
		t.Errorf("status %d to %q", w.Code, w.Header().Get("Location"))
	}
	for name, form := range map[string]url.Values{"another client than the token's": {"id_token_hint": {hint}, "client_id": {"complaints"}},
		"two tokens": {"id_token_hint": {hint, hint}}, "two clients": {"id_token_hint": {hint}, "client_id": {"permits", "permits"}}} {
		if w := c.nobody(t).post("/oidc/logout", form); w.Code != 400 {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
	again := c.signIn(t, "s2", c.wang)
	for name, at := range map[string]string{"another session's": first, "nobody's": logoutURL("client_id", "permits", "sid", "x"), "without a client": logoutURL("sid", "x")} {
		if w := again.get(at); w.Code == 500 || !c.live(t, "s2") {
			t.Errorf("a session's name, %s: status %d", name, w.Code)
		}
	}
	if w := c.nobody(t).post("/oidc/logout?x=1", form); w.Code != 400 {
		t.Errorf("parameters in the address too: status %d", w.Code)
	}
	if w := c.nobody(t).post("/oidc/logout", url.Values{"state": {strings.Repeat("x", 9000)}}); w.Code != 413 {
		t.Errorf("endless: status %d", w.Code)
	}
	if got := decode(t, c.nobody(t).get("/.well-known/openid-configuration").Body.Bytes()); got["end_session_endpoint"] != issuer+"/oidc/logout" ||
		got["backchannel_logout_supported"] != true || got["backchannel_logout_session_supported"] != true {
		t.Errorf("metadata %v", got)
	}
	plain := decode(t, newTown(t, testkit.SQLite(t)).nobody(t).get("/.well-known/openid-configuration").Body.Bytes())
	if plain["end_session_endpoint"] != nil || plain["backchannel_logout_supported"] != nil {
		t.Errorf("promises what it does not have: %v", plain)
	}
}
